"use strict";
// Renders the OpenAPI document. Everything is set as text, never as markup.

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function schemaText(schema, document_, depth) {
  if (!schema) return "";
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return depth > 3 ? name : schemaText(document_.components.schemas[name], document_, depth + 1) || name;
  }
  if (schema.oneOf || schema.allOf || schema.anyOf) {
    const parts = schema.oneOf || schema.allOf || schema.anyOf;
    return parts.map((part) => schemaText(part, document_, depth + 1)).join(" | ");
  }
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "array") return "[ " + schemaText(schema.items, document_, depth + 1) + " ]";
  if (schema.properties) {
    const indent = "  ".repeat(depth + 1);
    const required = schema.required || [];
    const lines = Object.entries(schema.properties).map(([name, value]) => {
      const mark = required.includes(name) ? "" : "?";
      return indent + name + mark + ": " + schemaText(value, document_, depth + 1);
    });
    return "{\n" + lines.join("\n") + "\n" + "  ".repeat(depth) + "}";
  }
  return Array.isArray(schema.type) ? schema.type.join(" | ") : schema.type || "any";
}

function bodyOf(holder, title, document_) {
  const content = holder && holder.content;
  if (!content) return [];
  return Object.entries(content).flatMap(([type, media]) => [
    element("h4", title + " (" + type + ")"),
    element("pre", schemaText(media.schema, document_, 0)),
  ]);
}

function parameters(operation) {
  if (!operation.parameters || operation.parameters.length === 0) return [];
  const table = element("table");
  for (const parameter of operation.parameters) {
    const row = element("tr");
    row.append(element("td", parameter.name), element("td", parameter.in), element("td", parameter.description || ""));
    table.append(row);
  }
  return [element("h4", "Parameters"), table];
}

function operationView(path, method, operation, document_) {
  const details = element("details");
  const summary = element("summary");
  summary.append(element("span", method.toUpperCase(), "method"), element("code", path));
  details.append(summary, element("p", operation.description || operation.summary || ""), ...parameters(operation));
  details.append(...bodyOf(operation.requestBody, "Body", document_));
  for (const [status, answer] of Object.entries(operation.responses || {})) {
    details.append(element("h4", status + ": " + (answer.description || "")), ...bodyOf(answer, "Answer", document_));
  }
  details.dataset.words = (method + " " + path + " " + (operation.summary || "")).toLowerCase();
  return details;
}

function render(document_) {
  const groups = new Map();
  for (const [path, item] of Object.entries(document_.paths)) {
    for (const method of ["get", "head", "post", "put", "patch", "delete", "options"]) {
      if (!item[method]) continue;
      const tag = (item[method].tags || ["other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operationView(path, method, item[method], document_));
    }
  }
  const main = document.getElementById("operations");
  main.replaceChildren();
  for (const [tag, views] of [...groups].sort()) main.append(element("h2", tag), ...views);
}

document.getElementById("find").addEventListener("input", (event) => {
  const word = event.target.value.toLowerCase();
  for (const details of document.querySelectorAll("details")) details.hidden = !details.dataset.words.includes(word);
});

fetch("/api/v1/openapi.json")
  .then((answer) => answer.json())
  .then(render)
  .catch((error) => document.getElementById("operations").replaceChildren(element("p", "Cannot load the description: " + error)));

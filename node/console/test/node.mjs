// A real node for the browser tests: the binary named by MEDIAKEEP_BIN, in a folder of its own, on a free port.
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const startWithin = 60_000;
const agent = new Agent({ keepAlive: true, maxSockets: 32, rejectUnauthorized: false });

function binary() {
  const path = process.env.MEDIAKEEP_BIN;
  if (!path) throw new Error('MEDIAKEEP_BIN must name the mediakeep binary');
  return path;
}

/** Starts the binary and gives the first line it prints, read as JSON. */
async function start(args, dir) {
  const child = spawn(binary(), args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, RUST_LOG: 'warn' } });
  let log = '';
  child.stderr.on('data', (text) => {
    log = (log + text).slice(-8_000);
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const stop = async () => {
    child.stdin.end();
    const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
    await ended;
    clearTimeout(timer);
    await rm(dir, { recursive: true, force: true });
  };
  const line = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the node did not start\n${log}`)), startWithin);
    createInterface({ input: child.stdout }).once('line', (text) => {
      clearTimeout(timer);
      resolve(text);
    });
    ended.then((code) => {
      clearTimeout(timer);
      reject(new Error(`the node ended with ${code}\n${log}`));
    });
  });
  return { told: JSON.parse(line), stop, log: () => log };
}

const freshFolder = () => mkdtemp(join(tmpdir(), 'mediakeep-console-'));

/** A claimed node with an application, as `mediakeep dev` makes it; `folder` is where it keeps its data, `config` the text of its configuration. With several `nodes` they are one cluster, each at a site of its own, and the first is the one that is asked. */
export async function claimedNode({ folder, config, nodes = 1 } = {}) {
  const dir = folder ?? (await freshFolder());
  const args = ['dev', '--nodes', String(nodes), '--dir', dir, '--stop-with-input'];
  if (config) {
    await writeFile(join(dir, 'node.toml'), config);
    args.push('--config', join(dir, 'node.toml'));
  }
  const { told, stop, log } = await start(args, dir);
  const { username, password, application } = told;
  return { url: told.nodes[0].url, nodes: told.nodes, username, password, application, stop, log };
}

/** A node that nobody has claimed yet. */
export async function unclaimedNode() {
  const dir = await freshFolder();
  const args = ['run', '--dir', join(dir, 'data'), '--key-file', join(dir, 'node.key'), '--listen', '127.0.0.1:0'];
  const { told, stop, log } = await start([...args, '--announce', '--stop-with-input'], dir);
  return { url: told.url, claimCode: told.claim_code, stop, log };
}

/** A node that joins a cluster by a token. */
export async function joiningNode(token, name, site) {
  const dir = await freshFolder();
  const args = ['run', '--dir', join(dir, 'data'), '--key-file', join(dir, 'node.key'), '--listen', '127.0.0.1:0'];
  const where = ['--cluster-listen', '127.0.0.1:0', '--name', name, '--site', site, '--join', token];
  const { told, stop, log } = await start([...args, ...where, '--announce', '--stop-with-input'], dir);
  return { url: told.url, stop, log };
}

/** One call of the API from outside the browser: gives its JSON answer, or for an empty one the address it names; trusts this node's own certificate only because it is a test's. */
export function callApi(node, method, path, { token, json, bytes, headers = {} } = {}) {
  const body = json === undefined ? bytes : JSON.stringify(json);
  const all = { accept: 'application/json', ...headers };
  if (json !== undefined) all['content-type'] = 'application/json';
  if (body !== undefined) all['content-length'] = Buffer.byteLength(body);
  if (token) all.authorization = `Bearer ${token}`;
  return new Promise((resolve, reject) => {
    const url = new URL(`/api/v1${path}`, node.url);
    const sent = request(url, { method, headers: all, agent }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part) => {
        text += part;
      });
      answer.on('end', () => {
        if (answer.statusCode >= 400) reject(new Error(`${method} ${path}: ${answer.statusCode} ${text}`));
        else resolve(text === '' ? answer.headers.location : JSON.parse(text));
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** A token of the node's first admin. */
export async function adminToken(node) {
  const json = { username: node.username, password: node.password };
  const answer = await callApi(node, 'POST', '/sessions?kind=token', { json });
  return answer.token;
}

/** Uploads a file whole, as `curl -T` does; gives the id of its asset. */
export async function putFile(node, token, name, bytes) {
  const path = `/applications/${node.application}/files/${encodeURIComponent(name)}`;
  const answer = await callApi(node, 'PUT', path, { token, bytes, headers: { 'content-type': 'video/mp4' } });
  return answer.asset;
}

/** Waits until an asset can be watched and nothing is done on it any more. */
export async function ready(node, token, asset) {
  for (;;) {
    const now = await callApi(node, 'GET', `/assets/${asset}`, { token });
    if (now.state === 'failed') throw new Error(`the asset failed: ${now.reason}`);
    if (now.state === 'ready' && now.watchable) return now;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Announces an upload and sends nothing yet: the quickest way to an asset that stands in the library. Gives its id. */
export async function beginUpload(node, token, title, fileName = `${title}.mp4`) {
  const encoded = (text) => Buffer.from(text).toString('base64');
  const metadata = [`filename ${encoded(fileName)}`, `title ${encoded(title)}`];
  metadata.push(`application ${encoded(node.application)}`);
  const headers = { 'tus-resumable': '1.0.0', 'upload-length': '1000', 'upload-metadata': metadata.join(',') };
  const address = await callApi(node, 'POST', '/uploads', { token, headers });
  return address.split('/').pop();
}

// Chromium from the distribution, watched: whatever the page complains about fails the test that opened it.
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const axeRules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** Long, since CI has two loaded cores; every wait ends as soon as its condition holds. */
export const patience = Number(process.env.PATIENCE_MS ?? 60_000);

export const launchChromium = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--autoplay-policy=no-user-gesture-required',
    ],
  });

/** What the node's document lists, as patterns: `/api/v1/assets/{id}` matches one segment in the place of `{id}`. */
const listed = Object.entries(
  JSON.parse(readFileSync(new URL('../../openapi.json', import.meta.url), 'utf8')).paths,
).map(([path, methods]) => ({
  // The file of a View is the rest of its address, such as `v720/3.m4s`.
  pattern: new RegExp(
    `^${path
      .replaceAll('.', '\\.')
      .replace('{file}', '.+')
      .replace(/\{[^}]+\}/g, '[^/]+')}$`,
  ),
  methods: Object.keys(methods).map((method) => method.toUpperCase()),
}));

/** True when the request is for a page or a file of the console itself, or for something that the node's document lists. */
function isListed(method, path) {
  if (!/^\/(api|play|download|\.well-known|metrics|healthz|readyz)(\/|$)/.test(path)) return method === 'GET';
  return listed.some((one) => one.pattern.test(path) && one.methods.includes(method));
}

/**
 * A page of its own context; `troubles` collects violations of the policy, script errors, dialogs, and requests that go
 * elsewhere or to something the node's document does not list.
 */
export async function openPage(browser, node, options = {}) {
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    baseURL: node.url,
    viewport: { width: 1280, height: 800 },
    locale: 'en-US',
    reducedMotion: 'reduce',
    ...options,
  });
  context.setDefaultTimeout(patience);
  context.setDefaultNavigationTimeout(patience);
  const troubles = [];
  await context.exposeBinding('reportViolation', (_source, text) => troubles.push(`policy: ${text}`));
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      window.reportViolation(`${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
    });
  });
  const page = await context.newPage();
  page.on('pageerror', (error) => troubles.push(`error: ${error.stack}`));
  page.on('dialog', (dialog) => {
    if (dialog.type() !== 'beforeunload') troubles.push(`dialog: ${dialog.message()}`);
    dialog.accept().catch(() => undefined);
  });
  page.on('request', (request) => {
    const address = new URL(request.url());
    if (address.protocol.startsWith('http') && address.origin !== node.url) troubles.push(`foreign: ${address.href}`);
    if (address.origin === node.url && !isListed(request.method(), address.pathname)) {
      troubles.push(`not in openapi.json: ${request.method()} ${address.pathname}`);
    }
  });
  return { page, context, troubles };
}

export async function logIn(page, { username, password }) {
  await page.goto('/login');
  await page.getByLabel('User name').fill(username);
  await page.locator('input[autocomplete=current-password]').fill(password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('heading', { level: 1, name: 'Library' }).waitFor();
}

/** What axe finds on the page as it is, one line for each rule broken. */
export async function axeFindings(page) {
  await page.evaluate(axeSource);
  return page.evaluate(async (rules) => {
    const found = await window.axe.run({ runOnly: rules });
    return found.violations.map((violation) => {
      const first = violation.nodes[0];
      return `${violation.id} (${violation.impact}): ${first?.target} ${first?.failureSummary}`;
    });
  }, axeRules);
}

/** Takes a picture of the page into the folder that SCREENSHOTS names, for people to look at; without it, nothing. */
export async function shot(page, name) {
  const folder = process.env.SCREENSHOTS;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
}

/** Waits until `check` gives something true; fails with what it was waiting for. */
export async function until(what, check, within = patience) {
  const end = Date.now() + within;
  let last;
  while (Date.now() < end) {
    last = await check();
    if (last) return last;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`waited ${within} ms for ${what}; last: ${JSON.stringify(last)}`);
}

/** Makes the line from this page to the node, or with `way` `down` the one from it, as slow as `bytesPerSecond`; 0 takes the brake off. */
export async function slowLine(page, bytesPerSecond, way = 'up') {
  const session = await page.context().newCDPSession(page);
  const rate = bytesPerSecond === 0 ? -1 : bytesPerSecond;
  const [up, down] = way === 'up' ? [rate, -1] : [-1, rate];
  const conditions = { offline: false, latency: 0, downloadThroughput: down, uploadThroughput: up };
  await session.send('Network.enable');
  await session.send('Network.emulateNetworkConditions', conditions);
}

/** Resolves once the page shows no skeleton any more. */
export async function loaded(page) {
  await page.getByRole('heading', { level: 1 }).waitFor();
  const skeletons = page.locator('[role=status][aria-label=Loading]');
  await until('everything to be loaded', async () => (await skeletons.count()) === 0);
}

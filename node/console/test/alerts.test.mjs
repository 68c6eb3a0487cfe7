// Alerts as an admin meets them: a quiet bell, a page that says what to do, and a webhook that is told once.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { axeFindings, launchChromium, loaded, logIn, openPage, shot, until } from './browser.mjs';
import { claimedNode } from './node.mjs';

const recovery = 'The recovery key is not confirmed';
let node;
let browser;
let hook;

before(async () => {
  const config = 'outbound_networks = ["127.0.0.0/8"]\n';
  [node, browser, hook] = await Promise.all([claimedNode({ config }), launchChromium(), receiver()]);
});
after(async () => {
  await browser?.close();
  await node?.stop();
  await hook?.stop();
});

/** A server of another system that takes webhooks over TLS. */
async function receiver() {
  const folder = await mkdtemp(join(tmpdir(), 'mediakeep-hook-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const names = ['-subj', '/CN=hook', '-addext', 'subjectAltName=IP:127.0.0.1'];
  // A server's certificate, and no authority's.
  names.push('-addext', 'basicConstraints=critical,CA:FALSE');
  const made = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  await promisify(execFile)('openssl', [...made, '-keyout', key, '-out', cert, ...names]);
  const authority = await readFile(cert, 'utf8');
  const got = [];
  const server = createServer({ key: await readFile(key), cert: authority }, (request, answer) => {
    let body = '';
    request.setEncoding('utf8').on('data', (part) => {
      body += part;
    });
    request.on('end', () => {
      got.push({ headers: request.headers, body, message: JSON.parse(body) });
      answer.writeHead(204).end();
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true, force: true });
  };
  return { url: `https://127.0.0.1:${server.address().port}/alerts`, authority, got, stop };
}

const isSigned = ({ headers, body }, secret) => {
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
  return headers['webhook-signature'] === `v1,${createHmac('sha256', key).update(signed).digest('base64')}`;
};
const said = (page, text) => page.getByRole('region', { name: 'News' }).getByText(text).first().waitFor();
const bell = (page) => page.getByRole('banner').getByRole('link', { name: /alert/ });
const card = (page) =>
  page.getByRole('list', { name: 'Alerts that are there now' }).getByRole('listitem').filter({ hasText: recovery });

test('an alert rings a bell, says what to do, is told to a webhook once, and is taken care of', async () => {
  const { page, context, troubles } = await openPage(browser, node);
  await logIn(page, node);
  await bell(page).click();
  await page.getByRole('heading', { level: 1, name: 'Alerts' }).waitFor();
  await card(page).getByText('write it down and confirm it').waitFor();
  await card(page).getByText('Warning', { exact: true }).waitFor();

  // An address that leads inside is refused in words, and what was typed stays.
  const settings = page.getByRole('region', { name: 'Where alerts are told' });
  await settings.getByRole('switch', { name: 'Webhook' }).check();
  await settings.getByRole('textbox', { name: 'Address' }).fill('https://169.254.169.254/latest');
  await settings.getByRole('button', { name: 'Save' }).click();
  await said(page, 'leads inside');
  assert.equal(await settings.getByRole('textbox', { name: 'Address' }).inputValue(), 'https://169.254.169.254/latest');
  await settings.getByRole('textbox', { name: 'Address' }).fill(hook.url);
  await settings.getByLabel('Certificate authority (PEM)').fill(hook.authority);
  await shot(page, 'alerts');
  await settings.getByRole('button', { name: 'Save' }).click();
  const dialog = page.getByRole('dialog', { name: 'Secret of the webhook' });
  const secret = await dialog.getByText(/^whsec_/).textContent();
  assert.deepEqual(await axeFindings(page), []);
  await dialog.getByRole('button').last().click();

  await until('the alert', () => hook.got.length > 0);
  assert.equal(hook.got[0].message.kind, 'recovery_key_unconfirmed');
  assert.ok(isSigned(hook.got[0], secret), 'it is signed');
  await page.getByRole('button', { name: 'Send a test: Webhook' }).click();
  await said(page, 'Webhook: the other side took it');
  await until('the test', () => hook.got.some((one) => one.message.change === 'test'));
  assert.equal(hook.got.length, 2, 'the alert was told once');

  const other = await context.newPage();
  await other.goto('/activity');
  await bell(other).waitFor();
  await card(page)
    .getByRole('button', { name: `I take care of it: ${recovery}` })
    .click();
  await card(page).getByText(`${node.username} takes care of it`).waitFor();
  await bell(page).waitFor({ state: 'detached' });
  await bell(other).waitFor({ state: 'detached' });
  assert.deepEqual(troubles, []);
  await context.close();
});

test('the page of alerts is accessible in dark and in German', async () => {
  const { page, context, troubles } = await openPage(browser, node, { colorScheme: 'dark', locale: 'de-DE' });
  await page.goto('/login');
  await page.locator('input[autocomplete=username]').fill(node.username);
  await page.locator('input[autocomplete=current-password]').fill(node.password);
  await page.locator('button[type=submit]').click();
  await page.getByRole('heading', { level: 1, name: 'Bibliothek' }).waitFor();
  await page.goto('/alerts');
  await page.getByRole('heading', { level: 1, name: 'Meldungen' }).waitFor();
  await page.getByText('Der Wiederherstellungsschlüssel ist nicht bestätigt').waitFor();
  for (const name of ['Syslog', 'E-Mail']) await page.getByRole('switch', { name }).check();
  await loaded(page);
  assert.deepEqual(await axeFindings(page), []);
  await shot(page, 'alerts-dark-de');
  assert.deepEqual(troubles, []);
  await context.close();
});

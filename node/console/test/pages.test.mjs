// Every page, in dark and in light: accessible, true to its policy, and deaf to hostile text in every stored field.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { axeFindings, launchChromium, loaded, logIn, openPage, shot } from './browser.mjs';
import { adminToken, callApi, claimedNode } from './node.mjs';

const hostile = `"><img src=x onerror=alert(1)><script>alert(2)</script>'`;
const passphrase = 'seven quiet herons wade';
let node;
let browser;

before(async () => {
  [node, browser] = await Promise.all([claimedNode(), launchChromium()]);
  const token = await adminToken(node);
  const app = `/applications/${node.application}`;
  await callApi(node, 'POST', `${app}/collections`, { token, json: { name: hostile.slice(0, 60) } });
  await callApi(node, 'POST', `${app}/api-keys`, { token, json: { name: hostile.slice(0, 60), role: 'viewer' } });
  await callApi(node, 'POST', `${app}/invites`, { token, json: { role: 'user' } });
  await callApi(node, 'POST', '/applications', { token, json: { name: hostile.slice(0, 60) } });
  await callApi(node, 'POST', '/users', { token, json: { username: 'vera', password: passphrase } });
});
after(async () => {
  await browser?.close();
  await node?.stop();
});

const pages = () => {
  const app = `/a/${node.application}`;
  return [
    [`${app}/library`, 'Library'],
    [`${app}/library?trashed=true`, 'Trash'],
    [`${app}/upload`, 'Upload'],
    [`${app}/members`, 'Members'],
    [`${app}/keys`, 'API keys'],
    [`${app}/settings`, 'Settings'],
    ['/activity', 'Activity'],
    ['/users', 'Users'],
    ['/applications', 'Applications'],
    ['/audit', 'Audit'],
    ['/account', 'My account'],
    ['/cluster', 'Cluster'],
    ['/alerts', 'Alerts'],
    ['/backups', 'Backups'],
    ['/system', 'System'],
    ['/nowhere', 'Page not found'],
  ];
};

for (const colorScheme of ['light', 'dark']) {
  test(`every page is accessible and keeps its policy in ${colorScheme}`, async () => {
    const { page, context, troubles } = await openPage(browser, node, { colorScheme });
    await page.goto('/login');
    await page.getByRole('heading', { name: 'Log in' }).waitFor();
    assert.deepEqual(await axeFindings(page), [], '/login');
    await logIn(page, node);
    for (const [address, title] of pages()) {
      await page.goto(address);
      await page.getByRole('heading', { level: 1, name: title }).waitFor();
      await loaded(page);
      assert.deepEqual(await axeFindings(page), [], address);
      await shot(page, `${title.toLowerCase().replaceAll(' ', '-')}-${colorScheme}`);
    }
    assert.deepEqual(troubles, []);
    await context.close();
  });
}

test('library and account fit 320 px without scrolling sideways', async () => {
  const { page, context } = await openPage(browser, node, { viewport: { width: 320, height: 640 } });
  await logIn(page, node);
  for (const address of [`/a/${node.application}/library`, '/account']) {
    await page.goto(address);
    await page.getByRole('heading', { level: 1 }).waitFor();
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= 320, `${address} is ${width} px wide`);
  }
  await context.close();
});

test('German is complete: the menu, a page and the language of the document change', async () => {
  const { page, context } = await openPage(browser, node, { locale: 'de-DE' });
  await page.goto('/login');
  await page.getByRole('heading', { name: 'Anmelden' }).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.lang), 'de');
  await context.close();
});

test('the System page lists every use of cryptography, with words in both languages', async () => {
  const inventory = await callApi(node, 'GET', '/system/cryptography', { token: await adminToken(node) });
  const { page, context } = await openPage(browser, node);
  await logIn(page, node);
  const rows = async (title, heading) => {
    await page.goto('/system');
    await page.getByRole('heading', { level: 1, name: 'System' }).waitFor();
    const section = page.getByRole('region', { name: title });
    await section.getByRole('columnheader', { name: heading }).waitFor();
    const text = await section.textContent();
    assert.doesNotMatch(text, /cryptography\.|undefined|null/);
    assert.equal(await section.locator('tbody tr').count(), inventory.uses.length);
    return section.locator('tbody tr');
  };
  const english = await rows('Cryptography', 'Algorithm');
  const media = await english.filter({ hasText: 'Media at rest' }).textContent();
  assert.match(media, /AES-256-GCM.*Blob key.*For each use/s);
  assert.match(
    await english.filter({ hasText: 'The key over all data keys' }).textContent(),
    /On request.*Epoch 1 · Since/s,
  );
  await page.evaluate(() => localStorage.setItem('mediakeep.language', 'de'));
  const german = await rows('Kryptografie', 'Verfahren');
  assert.match(
    await german.filter({ hasText: 'Gespeicherte Medien' }).textContent(),
    /Blob-Schlüssel.*Für jede Verwendung/s,
  );
  await context.close();
});

test('an invited person chooses name and passphrase, and sees only what a viewer may', async () => {
  const token = await adminToken(node);
  const made = await callApi(node, 'POST', `/applications/${node.application}/invites`, {
    token,
    json: { role: 'viewer' },
  });
  const { page, context, troubles } = await openPage(browser, node);
  await page.goto(`/invite#${encodeURIComponent(made.secret)}`);
  await page.getByLabel('User name').fill('ines');
  await page.getByLabel('New passphrase').fill(passphrase);
  await page.getByRole('button', { name: 'Create account' }).click();
  await page.getByRole('heading', { level: 1, name: 'Library' }).waitFor();
  assert.equal(await page.getByRole('link', { name: 'Members' }).count(), 0);
  await page.goto('/users');
  await page.getByRole('alert').getByText('You may not do this').waitFor();
  assert.deepEqual(troubles, []);
  await context.close();
});

test('a page can be reached by the keyboard alone: skip link, then content', async () => {
  const { page, context } = await openPage(browser, node);
  await logIn(page, node);
  await page.goto(`/a/${node.application}/upload`);
  await page.getByRole('heading', { level: 1, name: 'Upload' }).waitFor();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'main');
  await context.close();
});

test('one node alone is called under-protected, calmly, and is not offered for removal', async () => {
  const { page, context, troubles } = await openPage(browser, node);
  await logIn(page, node);
  await page.goto('/cluster');
  await page.getByText('Under-protected').waitFor();
  await page.getByText('Everything is kept once, on this one node').waitFor();
  assert.ok(await page.getByRole('button', { name: /^Remove / }).isDisabled());
  assert.equal(await page.getByText('Leader', { exact: true }).count(), 1);
  assert.deepEqual(troubles, []);
  await context.close();
});

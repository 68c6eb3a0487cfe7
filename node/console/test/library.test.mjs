// The library: selecting many, hostile names everywhere, the way back, another language.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { axeFindings, launchChromium, loaded, logIn, openPage, until } from './browser.mjs';
import { hostileTexts, planted } from './hostile.mjs';
import { adminToken, beginUpload, callApi, claimedNode } from './node.mjs';

let node;
let browser;
let token;
let library;

before(async () => {
  const config = '[limits]\nrequests_per_second = 5000\nrequest_burst = 5000\n';
  [node, browser] = await Promise.all([claimedNode({ config }), launchChromium()]);
  token = await adminToken(node);
  library = `/a/${node.application}/library`;
});
after(async () => {
  await browser?.close();
  await node?.stop();
});

const titles = (page) => page.getByRole('list', { name: 'Library' }).getByRole('listitem');
const listed = (query) => callApi(node, 'GET', `/applications/${node.application}/assets?${query}`, { token });
const bulk = (page) => page.getByRole('region', { name: 'Selected assets' });
const said = (page, text) => page.getByRole('region', { name: 'News' }).getByText(text).first().waitFor();

test('several assets get a tag and a collection, go to the trash and come back', async () => {
  for (const title of ['Pier one', 'Pier two', 'Pier three']) await beginUpload(node, token, title);
  const collections = `/applications/${node.application}/collections`;
  const harbour = await callApi(node, 'POST', collections, { token, json: { name: 'Harbour' } });
  const { page, context, troubles } = await openPage(browser, node);
  await logIn(page, node);
  for (const title of ['Pier one', 'Pier two']) await page.getByRole('checkbox', { name: `Select ${title}` }).check();
  await bulk(page).getByText('2 selected').waitFor();
  assert.deepEqual(await axeFindings(page), []);
  await bulk(page).getByRole('button', { name: 'Add tag' }).click();
  await page.getByRole('dialog').getByLabel('Tag').fill('pier');
  await page.getByRole('dialog').getByRole('button', { name: 'Add' }).click();
  await said(page, 'Done for 2 assets');
  assert.equal((await listed('tag=pier')).items.length, 2);

  for (const title of ['Pier one', 'Pier two']) await page.getByRole('checkbox', { name: `Select ${title}` }).check();
  await bulk(page).getByLabel('Add to collection').selectOption('Harbour');
  await until('the collection', async () => (await listed(`collection=${harbour.id}`)).items.length === 2);
  // The page ends the selection once it has heard of it itself.
  await bulk(page).waitFor({ state: 'detached' });

  await page.getByRole('checkbox', { name: 'Select Pier one' }).check();
  await page.getByRole('checkbox', { name: 'Select Pier two' }).check();
  await bulk(page).getByRole('button', { name: 'Move to trash' }).click();
  await until('two to be gone', async () => (await titles(page).count()) === 1);
  await page.getByRole('link', { name: 'Trash' }).click();
  await page.getByRole('heading', { level: 1, name: 'Trash' }).waitFor();
  await until('both in the trash', async () => (await titles(page).count()) === 2);
  await page.getByRole('checkbox', { name: 'Select Pier one' }).check();
  await bulk(page).getByRole('button', { name: 'Restore' }).click();
  await until('one to be left', async () => (await titles(page).count()) === 1);
  assert.equal((await listed('q=Pier')).items.length, 2);
  assert.deepEqual(troubles, []);
  await context.close();
});

test('the way back from an asset leads to the same filter, and a language is chosen once', async () => {
  const { page, context, troubles } = await openPage(browser, node);
  await logIn(page, node);
  await page.getByRole('searchbox', { name: 'Search' }).fill('Pier');
  await page.waitForURL(/q=Pier/);
  await titles(page)
    .first()
    .getByRole('link', { name: /^Details of/ })
    .click();
  await page.getByRole('heading', { level: 1, name: /Pier/ }).waitFor();
  await page.goBack();
  await page.getByRole('heading', { level: 1, name: 'Library' }).waitFor();
  assert.equal(await page.getByRole('searchbox', { name: 'Search' }).inputValue(), 'Pier');
  await page.getByRole('searchbox', { name: 'Search' }).fill('nothing is called this');
  await page.getByText('Nothing matches').waitFor();
  await page.getByRole('link', { name: 'Clear filters' }).click();
  await titles(page).first().waitFor();

  await page.getByRole('button', { name: /^Account of/ }).click();
  await page.getByLabel('Language').selectOption('Deutsch');
  await page.getByRole('heading', { level: 1, name: 'Bibliothek' }).waitFor();
  await page.reload();
  await page.getByRole('heading', { level: 1, name: 'Bibliothek' }).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.lang), 'de');
  assert.deepEqual(await axeFindings(page), []);
  assert.deepEqual(troubles, []);
  await context.close();
});

test('hostile text in every field and file name runs nothing, anywhere', async () => {
  const app = `/applications/${node.application}`;
  const assets = [];
  for (const text of hostileTexts) {
    // A file name cannot hold a path; everything else of the text can stand in it.
    const id = await beginUpload(node, token, text, `${text.replaceAll(/[/\\]/g, '|')}.mp4`);
    const short = text.slice(0, 40);
    const collection = await callApi(node, 'POST', `${app}/collections`, { token, json: { name: text.slice(0, 60) } });
    const change = {
      description: text,
      tags: [short],
      fields: { [short]: text },
      collections: [collection.id],
    };
    await callApi(node, 'PATCH', `/assets/${id}`, { token, json: change });
    await callApi(node, 'POST', `${app}/api-keys`, { token, json: { name: text.slice(0, 60), role: 'viewer' } });
    await callApi(node, 'POST', `/assets/${id}/hold`, { token, json: { reason: text } });
    assets.push({ id, text });
  }
  await callApi(node, 'PATCH', app, { token, json: { name: hostileTexts[1] } });
  const { page, context, troubles } = await openPage(browser, node);
  await logIn(page, node);
  const query = `q=${encodeURIComponent(JSON.stringify(hostileTexts[1]))}`;
  const addresses = [library, `${library}?view=list`, `${library}?${query}`, `/a/${node.application}/keys`];
  addresses.push(`/a/${node.application}/settings`, '/applications', '/audit', '/activity', '/account');
  for (const { id } of assets) addresses.push(`/asset/${id}`);
  for (const address of addresses) {
    await page.goto(address);
    await loaded(page);
    assert.equal(await page.locator(planted).count(), 0, address);
  }
  for (const { id, text } of assets) {
    await page.goto(`/watch/${id}`);
    await page.getByRole('heading', { level: 1 }).waitFor();
    assert.equal(await page.getByRole('heading', { level: 1 }).textContent(), text);
    assert.equal(await page.locator(planted).count(), 0, text);
  }
  assert.deepEqual(troubles, []);
  await context.close();
});

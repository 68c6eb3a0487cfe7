// The library: selecting many, hostile names everywhere, the way back, another language.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { axeFindings, launchChromium, loaded, logIn, openPage, until } from './browser.mjs';
import { hostileTexts, planted } from './hostile.mjs';
import { adminToken, beginUpload, callApi, claimedNode } from './node.mjs';

const many = 10_000;
const atOnce = 32;
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
  if (process.env.SHOW_LOG) console.log(node?.log());
  await browser?.close();
  await node?.stop();
});

async function waitIfBusy(refusal) {
  if (!/: 503 |hang up|ECONNRESET/.test(String(refusal))) throw refusal;
  await new Promise((resolve) => setTimeout(resolve, 250));
}

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

test('a collection says how long it keeps its assets, and a deleted application comes back or goes for good', async () => {
  const collections = `/applications/${node.application}/collections`;
  const { id } = await callApi(node, 'POST', collections, { token, json: { name: 'Lectures' } });
  const asset = await beginUpload(node, token, 'A lecture');
  await callApi(node, 'PATCH', `/assets/${asset}`, { token, json: { collections: [id] } });
  await callApi(node, 'POST', '/applications', { token, json: { name: 'Old court' } });
  const { page, context, troubles } = await openPage(browser, node);
  await logIn(page, node);
  await page.goto(`${node.url}/a/${node.application}/settings`);
  await page.getByRole('button', { name: 'Retention of Lectures' }).click();
  await page.getByLabel('Days from the upload').fill('90');
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/retention-dialog.png` });
  assert.deepEqual(await axeFindings(page), []);
  await page.getByRole('button', { name: 'Save' }).last().click();
  await page.getByRole('cell', { name: '90 days' }).waitFor();
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/retention.png`, fullPage: true });
  await page.goto(`${node.url}/asset/${asset}`);
  await page.getByText(/keep it for so long only/).waitFor();
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/retention-asset.png` });

  await page.goto(`${node.url}/applications`);
  await page.getByRole('link', { name: 'Settings of Old court' }).click();
  await page.getByRole('button', { name: 'Delete application' }).click();
  await page.getByRole('dialog').getByRole('textbox').fill('Old court');
  await page.getByRole('dialog').getByRole('button', { name: 'Delete application' }).click();
  await said(page, 'Application put in the trash');
  await page.goto(`${node.url}/applications`);
  await page.getByRole('button', { name: 'Restore Old court' }).waitFor();
  if (process.env.SHOTS)
    await page.screenshot({ path: `${process.env.SHOTS}/trashed-applications.png`, fullPage: true });
  assert.deepEqual(await axeFindings(page), []);
  await page.getByRole('button', { name: 'Restore Old court' }).click();
  await page.getByRole('link', { name: 'Settings of Old court' }).click();
  await page.getByRole('button', { name: 'Delete application' }).click();
  await page.getByRole('dialog').getByRole('textbox').fill('Old court');
  await page.getByRole('dialog').getByRole('button', { name: 'Delete application' }).click();
  await said(page, 'Application put in the trash');
  await page.goto(`${node.url}/applications`);
  await page.getByRole('button', { name: 'Delete for ever: Old court' }).click();
  await page.getByRole('dialog').getByRole('textbox').fill('Old court');
  await page.getByRole('dialog').getByRole('button', { name: 'Delete for ever' }).click();
  await page.getByText('Old court').first().waitFor({ state: 'detached' });
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

test(`a library of ${many} assets scrolls to its end with few of them in the page`, async () => {
  let next = 0;
  const make = async () => {
    while (next < many) {
      const title = `Take ${next++}`;
      // A loaded machine may answer that it cannot take changes now; as any client, this one asks again.
      while (!(await beginUpload(node, token, title).catch(waitIfBusy))) {}
    }
  };
  await Promise.all(Array.from({ length: atOnce }, make));
  const { page, context, troubles } = await openPage(browser, node);
  await logIn(page, node);
  const session = await context.newCDPSession(page);
  const memory = async () => {
    await session.send('HeapProfiler.collectGarbage');
    return (await session.send('Runtime.getHeapUsage')).usedSize;
  };
  for (const view of ['', '?view=list']) {
    const asked = Date.now();
    await page.goto(`${library}${view}`);
    await page.getByText('assets shown').waitFor();
    const first = Date.now() - asked;
    assert.ok(first < 5_000, `the first page took ${first} ms`);
    const start = await memory();
    // Frames are counted while it scrolls: what blocks the page for long would show here.
    const longest = page.evaluate(
      () =>
        new Promise((resolve) => {
          let last = performance.now();
          let worst = 0;
          window.endOfScroll = () => resolve(worst);
          const frame = (now) => {
            worst = Math.max(worst, now - last);
            last = now;
            requestAnimationFrame(frame);
          };
          requestAnimationFrame(frame);
        }),
    );
    await until('the end of the list', async () => {
      await page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight));
      const shown = await page.getByText('assets shown').textContent();
      return Number(shown.replace(/\D/g, '')) >= many;
    });
    await page.evaluate(() => window.endOfScroll());
    const cards = view === '' ? titles(page) : page.locator('.asset-table tbody tr:not([aria-hidden])');
    const inPage = await cards.count();
    assert.ok(inPage > 0 && inPage < 120, `${inPage} of them are in the page`);
    const grown = ((await memory()) - start) / 1_000_000;
    assert.ok(grown < 60, `memory grew by ${grown.toFixed(1)} MB`);
    console.log(
      `${view || 'grid'}: first page ${first} ms, ${inPage} in the page, ${grown.toFixed(1)} MB more, longest frame ${await longest} ms`,
    );
    await page.evaluate(() => window.scrollTo(0, 0));
    await until(
      'the first rows',
      async () => (await cards.first().isVisible()) && (await page.evaluate(() => window.scrollY)) === 0,
    );
  }
  // All of them are ticked by one click, and the search finds one among them as it is typed.
  await page.getByRole('checkbox', { name: 'Select all shown' }).check();
  await bulk(page)
    .getByText(/^10,\d{3} selected$/)
    .waitFor();
  await bulk(page).getByRole('button', { name: 'Clear selection' }).click();
  await page.getByRole('searchbox', { name: 'Search' }).fill('Take 7777');
  await page.getByRole('link', { name: 'Take 7777', exact: true }).waitFor();
  assert.deepEqual(troubles, []);
  await context.close();
});

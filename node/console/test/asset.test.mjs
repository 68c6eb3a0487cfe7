// One asset and what is done with it in a browser: captions, poster, dates, who may watch, downloads, a session that ends.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { axeFindings, launchChromium, loaded, logIn, openPage, shot, until } from './browser.mjs';
import { makeClip } from './clip.mjs';
import { hostileTexts, planted } from './hostile.mjs';
import { adminToken, callApi, claimedNode, putFile, ready } from './node.mjs';

const passphrase = 'seven quiet herons wade';
const title = 'harbour lecture';
let node;
let browser;
let clip;
let token;
let asset;
let original;

before(async () => {
  [node, browser, clip] = await Promise.all([claimedNode(), launchChromium(), makeClip(26, '320x180')]);
  token = await adminToken(node);
  original = await readFile(clip.path);
  asset = await putFile(node, token, 'harbour_lecture.mkv', original);
  for (const username of ['vera', 'anton']) {
    const user = await callApi(node, 'POST', '/users', { token, json: { username, password: passphrase } });
    await callApi(node, 'PUT', `/applications/${node.application}/members/${user.id}`, {
      token,
      json: { role: 'viewer' },
    });
  }
  await ready(node, token, asset);
  await callApi(node, 'PATCH', `/assets/${asset}`, { token, json: { title } });
});
after(async () => {
  await browser?.close();
  await node?.stop();
  await clip?.remove();
});

/** A page of somebody who is logged in. */
async function pageOf(username, options) {
  const opened = await openPage(browser, node, options);
  const password = username === node.username ? node.password : passphrase;
  await logIn(opened.page, { username, password });
  return opened;
}

const section = (page, name) => page.getByRole('region', { name, exact: true });
const said = (page, text) => page.getByRole('region', { name: 'News' }).getByText(text).first().waitFor();

/** True when the person finds it in the library and may start to watch. */
async function sees(page) {
  await page.goto(`/a/${node.application}/library`);
  await loaded(page);
  return (await page.getByRole('link', { name: title, exact: true }).count()) === 1;
}

/** Starts the player of the page and waits until the picture moves. */
async function play(page) {
  await page.getByRole('button', { name: `Play ${title}` }).click();
  await until('the picture to move', () => page.evaluate(() => document.querySelector('video').currentTime > 0.3));
}

/** Lines of every caption track that is shown. */
const shownLines = (page) =>
  page.evaluate(() =>
    [...document.querySelector('video').textTracks]
      .filter((track) => track.mode === 'showing')
      .flatMap((track) => [...(track.cues ?? [])].map((cue) => cue.text)),
  );

test('captions are added, shown in the player, and taken away; hostile ones stay text', async () => {
  const { page, context, troubles } = await pageOf(node.username);
  await page.goto(`/asset/${asset}`);
  const captions = section(page, 'Captions');
  await captions.getByLabel('Language code').fill('de');
  const file = captions.locator('input[type=file]');
  await file.setInputFiles({ name: 'a.vtt', mimeType: 'text/vtt', buffer: Buffer.from('these are no captions') });
  await said(page, 'This file is not WebVTT text');

  // What the node takes of the hostile lines must still be shown as text; what it refuses is not stored at all.
  const taken = [];
  for (const [number, text] of hostileTexts.entries()) {
    const body = `WEBVTT\n\n00:00:00.000 --> 00:00:20.000\n${text}\n`;
    const headers = { 'content-type': 'text/vtt' };
    const sent = callApi(node, 'PUT', `/assets/${asset}/captions/x-h${number}`, { token, bytes: body, headers });
    await sent.then(
      () => taken.push(`x-h${number}`),
      (refusal) => assert.match(String(refusal), /: 4\d\d /),
    );
  }
  const good = 'WEBVTT\n\n00:00:00.000 --> 00:00:20.000\nGuten Morgen, Hafen\n';
  await file.setInputFiles({ name: 'a.vtt', mimeType: 'text/vtt', buffer: Buffer.from(good) });
  await said(page, 'Captions saved');

  await page.goto(`/watch/${asset}`);
  await play(page);
  await page.getByRole('button', { name: 'Playback settings' }).click();
  await page.getByRole('radio', { name: 'German' }).click();
  await until('the German captions', async () => (await shownLines(page)).includes('Guten Morgen, Hafen'));
  const choices = page.getByRole('radiogroup', { name: 'Captions' }).getByRole('radio');
  for (let choice = 0; choice < (await choices.count()); choice += 1) {
    await choices.nth(choice).click();
    assert.equal(await page.locator(planted).count(), 0);
  }
  const foreign = troubles.filter((trouble) => !trouble.startsWith('policy: media-src data'));
  assert.deepEqual(foreign, []);

  for (const language of taken) await callApi(node, 'DELETE', `/assets/${asset}/captions/${language}`, { token });
  await page.goto(`/asset/${asset}`);
  await captions.getByRole('button', { name: 'Remove captions: de' }).click();
  await said(page, 'Captions removed');
  await captions.getByRole('button', { name: 'Remove captions: de' }).waitFor({ state: 'detached' });
  await context.close();
});

test('a picture of the video becomes its poster', async () => {
  const { page, context } = await pageOf(node.username);
  const poster = () => page.request.get(`/api/v1/assets/${asset}/poster`).then((answer) => answer.body());
  const before = await poster();
  await page.goto(`/asset/${asset}`);
  await page.getByRole('button', { name: 'Choose a picture' }).click();
  await play(page);
  await page.getByRole('slider', { name: 'Position' }).fill('12');
  await until('the picture', () => page.evaluate(() => document.querySelector('video').currentTime >= 12));
  await page.getByRole('button', { name: 'Use this picture as poster' }).click();
  await said(page, 'Poster saved');
  const now = await poster();
  assert.notDeepEqual(now, before);
  await context.close();
});

test('it is watched from its date on, and only by those who are named', async () => {
  const admin = await pageOf(node.username);
  const vera = await pageOf('vera');
  const anton = await pageOf('anton');
  assert.equal(await sees(vera.page), false, 'it is not published');

  await admin.page.goto(`/asset/${asset}`);
  const publishing = section(admin.page, 'Publishing');
  await publishing.getByLabel('From').fill('2099-01-01T08:00');
  await publishing.getByLabel('Until').fill('2098-01-01T08:00');
  await publishing.getByText('The end must come after the start').waitFor();
  await publishing.getByLabel('Until').fill('');
  await publishing.getByRole('button', { name: 'Publish', exact: true }).click();
  await said(admin.page, 'Published');
  assert.equal(await sees(vera.page), false, 'its date has not come');

  await publishing.getByLabel('From').fill('2020-01-01T08:00');
  await publishing.getByRole('button', { name: 'Change dates' }).click();
  await until('vera to see it', () => sees(vera.page));
  assert.equal(await sees(anton.page), true);

  await publishing.getByRole('radio', { name: 'Only these people' }).click();
  await publishing.getByRole('combobox', { name: 'People' }).fill('vera');
  await admin.page.getByRole('option', { name: 'vera' }).click();
  await publishing.getByRole('button', { name: 'Save who may watch' }).click();
  await until('anton to be left out', async () => !(await sees(anton.page)));
  assert.equal(await sees(vera.page), true);
  await anton.page.goto(`/watch/${asset}`);
  await anton.page.getByRole('alert').getByText('It does not exist, or you may not see it').waitFor();
  await anton.page.getByRole('link', { name: 'Back to the library' }).waitFor();
  await vera.page.goto(`/watch/${asset}`);
  await play(vera.page);
  for (const one of [admin, vera, anton]) {
    assert.deepEqual(one.troubles, []);
    await one.context.close();
  }
});

test('watching goes on where it was stopped', async () => {
  const { page, context } = await pageOf(node.username);
  await page.goto(`/watch/${asset}`);
  await play(page);
  await page.getByRole('slider', { name: 'Position' }).fill('14');
  await until('the new place', () => page.evaluate(() => document.querySelector('video').currentTime > 14.2));
  await page.goto(`/a/${node.application}/library`);
  await page.goto(`/watch/${asset}`);
  await page
    .getByRole('button', { name: `Play ${title}` })
    .or(page.getByRole('button', { name: 'Play', exact: true }))
    .first()
    .click();
  await until('the old place', () => page.evaluate(() => document.querySelector('video').currentTime > 14));
  await context.close();
});

test('the original and a rendition are downloaded whole', async () => {
  const { page, context, troubles } = await pageOf(node.username);
  await page.goto(`/asset/${asset}`);
  const fetched = async (name) => {
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name }).click()]);
    return download.path();
  };
  const whole = await readFile(await fetched('Original file'));
  const hash = (bytes) => createHash('sha256').update(bytes).digest('hex');
  assert.equal(hash(whole), hash(original));
  const rendition = await fetched(/^MP4, \d+p$/);
  const fields = ['-show_entries', 'format=duration:stream=codec_name', '-of', 'json'];
  const told = JSON.parse((await promisify(execFile)('ffprobe', ['-v', 'error', ...fields, rendition])).stdout);
  assert.deepEqual(told.streams.map((stream) => stream.codec_name).toSorted(), ['aac', 'h264']);
  assert.ok(Math.abs(Number(told.format.duration) - 26) < 0.5, `it lasts ${told.format.duration} s`);
  assert.deepEqual(troubles, []);
  await context.close();
});

test('a change in one tab appears in the other and takes nothing that is being typed there', async () => {
  const { page, context } = await pageOf(node.username);
  const other = await context.newPage();
  await page.goto(`/asset/${asset}`);
  await other.goto(`/asset/${asset}`);
  await other.getByLabel('From').fill('2021-05-05T08:00');
  const description = page.getByRole('textbox', { name: 'Description' });
  await description.fill('Filmed from the pier.');
  const saves = [];
  page.on('request', (request) => request.method() === 'PATCH' && saves.push(request.url()));
  await section(page, 'Description').getByRole('button', { name: 'Save' }).dblclick();
  await said(page, 'Saved');
  assert.equal(saves.length, 1, 'a double click saves once');
  await until('the other tab', async () =>
    (await other.getByRole('textbox', { name: 'Description' }).inputValue()).includes('pier'),
  );
  assert.equal(await other.getByLabel('From').inputValue(), '2021-05-05T08:00');
  await context.close();
});

for (const colorScheme of ['light', 'dark']) {
  test(`the page of an asset and its player are accessible in ${colorScheme}`, async () => {
    const { page, context, troubles } = await pageOf(node.username, { colorScheme });
    await page.goto(`/asset/${asset}`);
    await loaded(page);
    await section(page, 'Description').waitFor();
    assert.deepEqual(await axeFindings(page), [], 'asset');
    await shot(page, `asset-${colorScheme}`);
    await page.goto(`/watch/${asset}`);
    await page.getByRole('button', { name: `Play ${title}` }).waitFor();
    assert.deepEqual(await axeFindings(page), [], 'watch, before it plays');
    await play(page);
    await page.getByRole('button', { name: 'Playback settings' }).click();
    await page.getByRole('radio').first().waitFor();
    assert.deepEqual(await axeFindings(page), [], 'watch, with its settings open');
    await shot(page, `watch-${colorScheme}`);
    const other = troubles.filter((trouble) => !trouble.startsWith('policy: media-src data'));
    assert.deepEqual(other, []);
    await context.close();
  });
}

test('whoever goes on typing while a change is saved, or while the node is away, keeps it all', async () => {
  const { page, context } = await pageOf(node.username);
  await page.goto(`/asset/${asset}`);
  const description = page.getByRole('textbox', { name: 'Description' });
  await description.fill('First words.');
  // The page asks anew once it has saved. What it hears is held back until more has been typed.
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const asked = page.waitForRequest((request) => request.method() === 'GET' && request.url().endsWith(asset));
  await page.route(`**/api/v1/assets/${asset}`, async (route) => {
    if (route.request().method() === 'GET') await held;
    await route.continue();
  });
  await section(page, 'Description').getByRole('button', { name: 'Save' }).click();
  await asked;
  await description.fill('First words. More of them.');
  const heard = page.waitForResponse((response) => response.url().endsWith(asset) && response.ok());
  release();
  await heard;
  await page.unroute(`**/api/v1/assets/${asset}`);
  // And an answer that fails takes nothing off the page.
  await page.route(`**/api/v1/assets/${asset}`, (route) => route.abort());
  const failed = page.waitForEvent('requestfailed', (request) => request.url().endsWith(asset));
  await callApi(node, 'PATCH', `/assets/${asset}`, { token, json: { tags: ['harbour'] } });
  await failed;
  assert.equal(await description.inputValue(), 'First words. More of them.');
  await page.unroute(`**/api/v1/assets/${asset}`);
  await page.getByText('harbour').first().waitFor();
  assert.equal(await description.inputValue(), 'First words. More of them.');
  await context.close();
});

test('a network lost in the middle of a change loses nothing that was typed', async () => {
  const { page, context, troubles } = await pageOf(node.username);
  await page.goto(`/asset/${asset}`);
  const description = page.getByRole('textbox', { name: 'Description' });
  const save = section(page, 'Description').getByRole('button', { name: 'Save' });
  await description.fill('Typed in a tunnel.');
  // Without a network the change waits, and is made once the network is back.
  await context.setOffline(true);
  await page.getByText('You are offline').waitFor();
  await save.click();
  assert.equal(await description.inputValue(), 'Typed in a tunnel.');
  await context.setOffline(false);
  await said(page, 'Saved');
  // A node that does not answer is another matter: it is said at once, and a second try is the person's own.
  await description.fill('Typed in a long tunnel.');
  await page.route('**/api/v1/assets/*', (route) => route.abort());
  await save.click();
  await said(page, 'The node cannot be reached');
  assert.equal(await description.inputValue(), 'Typed in a long tunnel.');
  await page.unroute('**/api/v1/assets/*');
  await save.click();
  await until('the change', async () =>
    (await callApi(node, 'GET', `/assets/${asset}`, { token })).description.includes('long'),
  );
  // The way back leads through the pages as they were visited.
  await page.getByRole('link', { name: 'Library', exact: true }).first().click();
  await page.getByRole('heading', { level: 1, name: 'Library' }).waitFor();
  await page.goBack();
  await page.getByRole('heading', { level: 1, name: title }).waitFor();
  assert.equal(await description.inputValue(), 'Typed in a long tunnel.');
  assert.deepEqual(troubles, []);
  await context.close();
});

test('a session that ends in the middle of a change asks for the passphrase, and what was typed is still there', async () => {
  const { page, context, troubles } = await pageOf(node.username);
  await page.goto(`/asset/${asset}`);
  await page.getByLabel('Title').fill('Typed before the session ended');
  await callApi(node, 'DELETE', '/sessions', { token });
  await page.getByRole('heading', { name: 'Log in' }).waitFor();
  await shot(page, 'session-over');
  assert.deepEqual(await axeFindings(page), []);
  assert.equal(await page.getByLabel('User name').inputValue(), node.username);
  await page.locator('input[autocomplete=current-password]').fill('not the passphrase');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('alert').filter({ hasText: 'passphrase' }).waitFor();
  await page.locator('input[autocomplete=current-password]').fill(node.password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('heading', { name: 'Log in' }).waitFor({ state: 'detached' });
  assert.equal(new URL(page.url()).pathname, `/asset/${asset}`);
  assert.equal(await page.getByLabel('Title').inputValue(), 'Typed before the session ended');
  await section(page, 'Description').getByRole('button', { name: 'Save' }).click();
  await said(page, 'Saved');
  // What happens elsewhere is heard of again.
  await callApi(node, 'PATCH', `/assets/${asset}`, { token, json: { title } });
  await page.getByRole('heading', { level: 1, name: title }).waitFor();
  assert.deepEqual(troubles, []);
  await context.close();
});

test('two tabs whose session ended open with one log-in, and another person finds nothing of the one before', async () => {
  const { page, context, troubles } = await pageOf(node.username);
  await page.goto(`/asset/${asset}`);
  await page.getByLabel('Title').fill('Typed by the admin');
  const other = await context.newPage();
  await other.goto('/audit');
  await other.getByRole('heading', { level: 1, name: 'Audit' }).waitFor();
  await callApi(node, 'DELETE', '/sessions', { token });
  for (const tab of [page, other]) await tab.getByRole('heading', { name: 'Log in' }).waitFor();
  await other.getByLabel('User name').fill('vera');
  await other.locator('input[autocomplete=current-password]').fill(passphrase);
  await other.getByRole('button', { name: 'Log in' }).click();
  await other.getByRole('heading', { level: 1, name: 'Library' }).waitFor();
  await page.bringToFront();
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange', { bubbles: true })));
  await page.getByRole('heading', { level: 1, name: 'Library' }).waitFor();
  for (const tab of [page, other]) {
    assert.equal(await tab.getByRole('link', { name: 'Audit' }).count(), 0);
    assert.equal(await tab.getByLabel('Title').count(), 0);
  }
  assert.deepEqual(troubles, []);
  await context.close();
});

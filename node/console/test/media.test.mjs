// The main job in a browser: a clip goes in, becomes watchable, plays, switches, and stops for somebody who may no longer watch.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { axeFindings, launchChromium, logIn, openPage, shot, until } from './browser.mjs';
import { makeClip } from './clip.mjs';
import { watchInFirefox } from './firefox.mjs';
import { adminToken, callApi, claimedNode } from './node.mjs';

const passphrase = 'seven quiet herons wade';
let node;
let browser;
let clip;
let token;
let asset;

before(async () => {
  [node, browser, clip] = await Promise.all([claimedNode(), launchChromium(), makeClip(8)]);
  token = await adminToken(node);
});
after(async () => {
  await browser?.close();
  await node?.stop();
  await clip?.remove();
});

/** What the `<video>` of the page has to say. */
const playback = (page) =>
  page.evaluate(() => {
    const video = document.querySelector('video');
    const frames = video?.getVideoPlaybackQuality().totalVideoFrames ?? 0;
    return { time: video?.currentTime ?? 0, height: video?.videoHeight ?? 0, frames };
  });

async function press(page, title) {
  await page.getByRole('button', { name: `Play ${title}` }).click();
}

const plays = (page) =>
  until('the picture to move', async () => {
    const now = await playback(page);
    return now.time > 0.5 && now.frames > 0 ? now : undefined;
  });

test('a clip is uploaded in the browser and becomes watchable', async () => {
  const { page, context, troubles } = await openPage(browser, node);
  await logIn(page, node);
  await page.getByRole('link', { name: 'Upload', exact: true }).first().click();
  await page.getByRole('heading', { level: 1, name: 'Upload' }).waitFor();
  await page.locator('input[type=file]').setInputFiles(clip.path);
  await page.getByText('uploaded; now being processed').waitFor();
  assert.deepEqual(await axeFindings(page), []);
  const link = await page.getByRole('link', { name: 'harbour_lecture.mkv' }).getAttribute('href');
  asset = link.split('/').pop();
  await until('the asset to be ready', async () => {
    const now = await callApi(node, 'GET', `/assets/${asset}`, { token });
    assert.notEqual(now.state, 'failed', now.reason);
    return now.state === 'ready' && now.watchable;
  });
  await page.goto(`/a/${node.application}/library`);
  await page.getByRole('link', { name: 'harbour lecture', exact: true }).waitFor();
  assert.deepEqual(troubles, []);
  await context.close();
});

test('it plays, changes quality, shows captions and obeys the keyboard', async () => {
  const { page, context, troubles } = await openPage(browser, node);
  await logIn(page, node);
  await page.goto(`/watch/${asset}`);
  await press(page, 'harbour lecture');
  await plays(page);
  // However slow this machine is, the clip does not end while it is asked for something.
  await page.evaluate(() => {
    document.querySelector('video').loop = true;
  });

  await page.getByRole('button', { name: 'Playback settings' }).click();
  await page.getByRole('radio', { name: '240p' }).click();
  await page.keyboard.press('Escape');
  await page.getByRole('slider', { name: 'Position' }).fill('0');
  await until('the small picture', async () => (await playback(page)).height === 240);

  await page.getByRole('button', { name: 'Captions on' }).click();
  await page.getByRole('slider', { name: 'Position' }).fill('1');
  await until('a caption', () =>
    page.evaluate(() =>
      [...document.querySelector('video').textTracks].some(
        (track) =>
          track.mode === 'showing' && [...(track.activeCues ?? [])].some((cue) => cue.text.includes('harbour')),
      ),
    ),
  );

  await page.keyboard.press('Shift+?');
  await page.getByRole('dialog', { name: 'Keyboard' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('region', { name: 'Player: harbour lecture' }).getByRole('button', { name: 'Mute' }).focus();
  await page.keyboard.press('k');
  await until('the pause', () => page.evaluate(() => document.querySelector('video').paused));
  assert.deepEqual(await axeFindings(page), []);
  // hls.js gives each caption track the empty address `data:,WEBVTT` and fills in the cues itself; the policy refuses that address, which harms nothing.
  assert.deepEqual(
    troubles.filter((trouble) => !trouble.startsWith('policy: media-src data')),
    [],
  );
  await context.close();
});

test('who watches as much as they may is shown where, and can go on here instead', async () => {
  const first = await openPage(browser, node);
  await logIn(first.page, node);
  await first.page.goto(`/a/${node.application}/settings`);
  const limit = first.page.getByLabel('Videos one person may watch at once');
  await limit.fill('1');
  await first.page.getByRole('button', { name: 'Save' }).first().click();
  await first.page.getByText('Saved').first().waitFor();
  await first.page.goto(`/watch/${asset}`);
  await press(first.page, 'harbour lecture');
  await plays(first.page);
  // Loaded again, and once more, it is no second one.
  for (const _ of [1, 2]) {
    await first.page.reload();
    await press(first.page, 'harbour lecture');
    await plays(first.page);
  }
  await first.page.evaluate(() => document.querySelector('video').pause());

  const second = await openPage(browser, node);
  await logIn(second.page, node);
  await second.page.goto(`/watch/${asset}`);
  const told = second.page.getByRole('alert').filter({ hasText: 'You are watching elsewhere' });
  await told.waitFor();
  await told.getByText('harbour lecture').waitFor();
  await shot(second.page, 'watching-elsewhere');
  assert.deepEqual(await axeFindings(second.page), []);
  await told.getByRole('button', { name: 'Watch here instead' }).click();
  await press(second.page, 'harbour lecture');
  await plays(second.page);

  // The first page has what it has loaded, and is given nothing more.
  const answer = await first.page.request.get(`/play/${asset}/key/0`);
  assert.equal(answer.status(), 403);
  assert.equal((await answer.json()).code, 'view_ended');
  await first.page.reload();
  await first.page.getByRole('alert').filter({ hasText: 'You are watching elsewhere' }).waitFor();
  // A page that is closed frees its place.
  await second.page.goto(`/a/${node.application}/library`);
  await until('the place to be free', async () => {
    const { items } = await callApi(node, 'GET', '/views', { token });
    return items.length === 0;
  });
  await first.page.getByRole('button', { name: 'Try again' }).click();
  await press(first.page, 'harbour lecture');
  await plays(first.page);
  await callApi(node, 'PATCH', `/applications/${node.application}`, { token, json: { views_at_once: null } });
  await Promise.all([first.context.close(), second.context.close()]);
});

test('Firefox plays it too', async () => {
  const seen = await watchInFirefox(node, asset);
  assert.ok(seen.time > 0.5, `currentTime is ${seen.time}`);
  assert.ok(seen.frames > 0, `${seen.frames} frames were decoded`);
});

test('somebody whose access is taken away is refused', async () => {
  const user = await callApi(node, 'POST', '/users', { token, json: { username: 'vera', password: passphrase } });
  const member = `/applications/${node.application}/members/${user.id}`;
  await callApi(node, 'PUT', member, { token, json: { role: 'viewer' } });
  await callApi(node, 'POST', `/assets/${asset}/publish`, { token, json: {} });
  const { page, context, troubles } = await openPage(browser, node);
  await logIn(page, { username: 'vera', password: passphrase });
  await page.goto(`/watch/${asset}`);
  await press(page, 'harbour lecture');
  await plays(page);

  await callApi(node, 'POST', `/assets/${asset}/unpublish`, { token });
  await page.reload();
  await page.getByRole('alert').first().waitFor();
  assert.equal(await page.locator('video').count(), 0, 'there is nothing to play');
  const answer = await page.request.get(`/play/${asset}/main.m3u8`);
  assert.ok([401, 403, 404].includes(answer.status()), `the playlist answers ${answer.status()}`);
  assert.deepEqual(troubles, []);
  await context.close();
});

test('hostile text in every field of an asset is shown as text', async () => {
  const hostile = `"><img src=x onerror=alert(1)><script>alert(2)</script>'`;
  const collections = `/applications/${node.application}/collections`;
  const collection = await callApi(node, 'POST', collections, { token, json: { name: hostile } });
  const change = {
    title: hostile,
    description: `${hostile}\njavascript:alert(3)`,
    tags: [hostile.slice(0, 40)],
    fields: { [hostile.slice(0, 40)]: hostile },
    collections: [collection.id],
  };
  await callApi(node, 'PATCH', `/assets/${asset}`, { token, json: change });
  const { page, context, troubles } = await openPage(browser, node, { colorScheme: 'dark' });
  await logIn(page, node);
  const library = `/a/${node.application}/library`;
  for (const address of [
    `/watch/${asset}`,
    `/asset/${asset}`,
    library,
    `${library}?view=list`,
    '/activity',
    '/audit',
  ]) {
    await page.goto(address);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await page.locator('[role=status][aria-label=Loading]').waitFor({ state: 'detached' });
    if (!address.startsWith('/audit')) await page.getByText(hostile).filter({ visible: true }).first().waitFor();
    assert.equal(await page.locator('img[src=x], script:not([src])').count(), 0, address);
    assert.deepEqual(await axeFindings(page), [], address);
  }
  assert.deepEqual(troubles, []);
  await context.close();
});

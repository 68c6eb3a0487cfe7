// Three sites: the one that serves the page and the video dies, and whoever watches watches on.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { launchChromium, logIn, openPage, slowLine, until } from './browser.mjs';
import { makeClip } from './clip.mjs';
import { adminToken, claimedNode, putFile, ready } from './node.mjs';

let node;
let browser;
let clip;

before(async () => {
  [node, browser, clip] = await Promise.all([claimedNode({ nodes: 3 }), launchChromium(), makeClip(90, '426x240')]);
});
after(async () => {
  await browser?.close();
  await node?.stop();
  await clip?.remove();
});

const position = (page) => page.evaluate(() => document.querySelector('video')?.currentTime ?? 0);

test('the player moves to another site when its own dies, without a word', async () => {
  const token = await adminToken(node);
  const asset = await putFile(node, token, 'harbour_lecture.mkv', await readFile(clip.path));
  await ready(node, token, asset);
  const { page, context } = await openPage(browser, node);
  await logIn(page, node);
  const steering = page.waitForResponse((answer) => answer.url().includes('/steering.json?') && answer.ok());
  // Little is buffered when the node dies.
  await slowLine(page, 150_000, 'down');
  await page.goto(`/watch/${asset}`);
  await page.getByRole('button', { name: 'Play harbour lecture' }).click();
  await until('the picture to move', async () => (await position(page)) > 0.5);
  await steering;

  const asked = [];
  page.on('request', (request) => asked.push(new URL(request.url()).origin));
  await slowLine(page, 0, 'down');
  process.kill(node.nodes[0].pid, 'SIGKILL');
  // Far beyond what is buffered: these seconds can come from another node only.
  await page.evaluate(() => {
    document.querySelector('video').currentTime = 75;
  });
  await until('the picture to move again', async () => (await position(page)) > 77, 20_000);
  const others = node.nodes.slice(1).map((other) => new URL(other.url).origin);
  assert.ok(
    asked.some((origin) => others.includes(origin)),
    asked.join(' '),
  );
  assert.equal(
    await page
      .getByRole('alert')
      .filter({ hasText: /play|video/i })
      .count(),
    0,
  );
  await context.close();
});

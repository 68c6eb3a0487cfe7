// Most of the voting nodes are lost: whoever looks at whatever page is told that nothing can be changed, until somebody leads again.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { axeFindings, launchChromium, loaded, logIn, openPage, shot } from './browser.mjs';
import { claimedNode } from './node.mjs';

let node;
let browser;

before(async () => {
  [node, browser] = await Promise.all([claimedNode({ nodes: 3 }), launchChromium()]);
});
after(async () => {
  for (const lost of node?.nodes.slice(1) ?? []) signal(lost, 'SIGCONT');
  await browser?.close();
  await node?.stop();
});

const signal = ({ pid }, name) => process.kill(pid, name);

test('without a leader every page says that nothing can be changed, until one leads again', async () => {
  const { page, context } = await openPage(browser, node);
  await logIn(page, node);
  await loaded(page);
  const banner = page.getByRole('status').filter({ hasText: 'No node leads' });
  assert.equal(await banner.count(), 0);
  // The others hear and say nothing, as if they were lost.
  for (const lost of node.nodes.slice(1)) signal(lost, 'SIGSTOP');
  await banner.waitFor();
  await banner.getByText('nothing can be changed').waitFor();
  await page.goto('/cluster');
  await loaded(page);
  await banner.waitFor();
  await page.getByText('mediakeep cluster recover').waitFor();
  assert.deepEqual(await axeFindings(page), []);
  await shot(page, 'no-leader');
  for (const back of node.nodes.slice(1)) signal(back, 'SIGCONT');
  await banner.waitFor({ state: 'detached' });
  await context.close();
});

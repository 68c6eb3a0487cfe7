// The first run: somebody claims a fresh node in the browser.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { axeFindings, launchChromium, openPage, shot } from './browser.mjs';
import { unclaimedNode } from './node.mjs';

let node;
let browser;
before(async () => {
  [node, browser] = await Promise.all([unclaimedNode(), launchChromium()]);
});
after(async () => {
  await browser?.close();
  await node?.stop();
});

/** The step as it is, in light and in dark. */
async function accessible(page, step) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    assert.deepEqual(await axeFindings(page), [], `${step} in ${colorScheme}`);
    await shot(page, `${step}-${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: 'light' });
}

test('a fresh node is claimed with the code, and its recovery key is typed again', async () => {
  const { page, context, troubles } = await openPage(browser, node);
  await page.goto('/');
  await page.getByRole('heading', { name: 'Set up mediakeep' }).waitFor();
  await accessible(page, 'setup-code');

  // A wrong code is refused in words and loses nothing that was typed.
  await page.getByLabel('Claim code').fill('wrong-code');
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByLabel('User name').fill('olga');
  await page.locator('input[autocomplete=new-password]').fill('seven quiet herons wade');
  await page.getByLabel('Application').fill('School of Crafts');
  await page.getByText('Strength: strong').waitFor();
  await accessible(page, 'setup-account');
  await page.getByRole('button', { name: 'Claim this node' }).click();
  await page.getByRole('alert').getByText('The claim code is wrong').waitFor();
  assert.equal(await page.getByLabel('User name').inputValue(), 'olga');
  await page.getByRole('button', { name: 'Back' }).click();
  await page.getByLabel('Claim code').fill(node.claimCode);

  // A reload keeps the step and what was typed, but never the passphrase.
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByLabel('User name').waitFor();
  await page.reload();
  assert.equal(await page.getByLabel('User name').inputValue(), 'olga');
  assert.equal(await page.locator('input[autocomplete=new-password]').inputValue(), '');
  await page.locator('input[autocomplete=new-password]').fill('seven quiet herons wade');
  await page.getByRole('button', { name: 'Claim this node' }).click();

  const key = await page.locator('.secret p').textContent();
  assert.ok(key.length > 20, 'a recovery key is shown');
  await accessible(page, 'setup-recovery');
  await page.getByRole('button', { name: 'I wrote it down' }).click();
  await page.getByLabel('Recovery key').fill('not the key');
  await page.getByRole('button', { name: 'Confirm' }).click();
  await page.getByRole('alert').waitFor();
  await page.getByLabel('Recovery key').fill(key);
  await page.getByRole('button', { name: 'Confirm' }).click();
  await page.getByText('olga administers this node').waitFor();
  await accessible(page, 'setup-summary');
  await page.getByRole('link', { name: 'Open the library' }).click();
  await page.getByRole('heading', { level: 1, name: 'Library' }).waitFor();
  await page.getByText('Nothing here yet').waitFor();

  // It cannot be claimed a second time.
  await page.goto('/setup');
  await page.getByText('This node is set up already.').waitFor();
  assert.deepEqual(troubles, []);
  await context.close();
});

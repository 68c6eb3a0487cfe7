// A cluster as an admin sees it: sites side by side, a node that joins, gives up its part and leaves, and one that falls silent.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { axeFindings, launchChromium, loaded, logIn, openPage, shot, until } from './browser.mjs';
import { makeClip } from './clip.mjs';
import { adminToken, callApi, claimedNode, joiningNode, putFile } from './node.mjs';

let node;
let browser;
let clip;
let fourth;

before(async () => {
  [node, browser, clip] = await Promise.all([claimedNode({ nodes: 3 }), launchChromium(), makeClip(2, '320x180')]);
  const token = await adminToken(node);
  await putFile(node, token, 'harbour_lecture.mkv', await readFile(clip.path));
});
after(async () => {
  await browser?.close();
  await fourth?.stop();
  await node?.stop();
  await clip?.remove();
});

const site = (page, name) => page.getByRole('region', { name: `Site ${name}` });
const card = (page, name) => page.getByRole('listitem', { name, exact: true });
const said = (page, text) => page.getByRole('region', { name: 'News' }).getByText(text).first().waitFor();

async function clusterPage(options) {
  const opened = await openPage(browser, node, options);
  await logIn(opened.page, node);
  await opened.page.goto('/cluster');
  await loaded(opened.page);
  return opened;
}

for (const colorScheme of ['light', 'dark']) {
  test(`sites, roles, disks, copies and what may be lost are shown in ${colorScheme}`, async () => {
    const { page, context, troubles } = await clusterPage({ colorScheme });
    for (const name of ['s1', 's2', 's3']) await site(page, name).waitFor();
    await page.getByText('One more node may fail').waitFor();
    await page.getByText('Any one site may be lost').waitFor();
    assert.equal(await page.getByText('Leader', { exact: true }).count(), 1);
    assert.equal(await page.getByText(/ of .* used/).count(), 3, 'each node says how full its disk is');
    await page.getByRole('region', { name: 'Copies' }).getByText('Assets with three copies').waitFor();
    await until('three copies', async () => /1\s*100\s*%/.test(await page.locator('.copies').textContent()));
    assert.deepEqual(await axeFindings(page), []);
    await shot(page, `cluster-${colorScheme}`);
    assert.deepEqual(troubles, []);
    await context.close();
  });
}

test('the cluster key and the certificate authority are exchanged from here', async () => {
  const { page, context, troubles } = await clusterPage();
  const section = page.getByRole('region', { name: 'Keys and certificates' });
  const sure = (name) => page.getByRole('dialog').getByRole('button', { name }).click();
  await section.getByText('Cluster key 1').waitFor();
  await section.getByRole('button', { name: 'Exchange the cluster key' }).click();
  await sure('Exchange the cluster key');
  await section.getByText('Cluster key 2').waitFor();
  await section.getByText('Every data key is wrapped under it').waitFor();

  const fingerprint = () => section.getByText(/^[0-9a-f]{64}$/).textContent();
  const before = await fingerprint();
  await section.getByRole('button', { name: 'Exchange the authority' }).click();
  await sure('Exchange the authority');
  await until('another authority', async () => (await fingerprint()) !== before);
  await section.getByText('Every node and every edge has a certificate by it').waitFor();
  assert.deepEqual(await axeFindings(page), []);
  await shot(page, 'cluster-keys');
  assert.deepEqual(troubles, []);
  await context.close();
});

test('a node joins while the dialog is open, gives up its part, takes part again and is removed', async () => {
  const { page, context, troubles } = await clusterPage();
  await page.getByRole('button', { name: 'Add a node' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add a node' });
  await dialog.getByRole('button', { name: 'Make a token' }).click();
  await dialog.getByText('Waiting for the node').waitFor();
  await dialog.getByText(/\d:\d\d left/).waitFor();
  const command = await dialog.getByText(/^mediakeep run --join /).textContent();
  await dialog.getByText('Fingerprint').waitFor();
  assert.deepEqual(await axeFindings(page), []);
  await shot(page, 'cluster-join');
  fourth = await joiningNode(command.split(' ').pop(), 'n4', 's4');
  await dialog.getByText('n4 joined at site s4').waitFor();
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  await card(page, 'n4').getByText('Active', { exact: true }).waitFor();

  await page.getByRole('button', { name: 'Drain n4' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Drain' }).click();
  await card(page, 'n4').getByText('Draining').waitFor();
  await card(page, 'n4').getByText('It is empty').waitFor();
  assert.deepEqual(await axeFindings(page), []);
  await shot(page, 'cluster-drained');
  await page.getByRole('button', { name: 'Let n4 take part again' }).click();
  await card(page, 'n4').getByText('Active', { exact: true }).waitFor();
  assert.equal(await card(page, 'n4').getByText('It is empty').count(), 0);

  await page.getByRole('button', { name: 'Remove n4' }).click();
  const question = page.getByRole('dialog', { name: 'Remove n4 for good?' });
  const remove = question.getByRole('button', { name: 'Remove' });
  assert.ok(await remove.isDisabled(), 'the name must be typed first');
  await question.getByLabel('Type “n4” to go ahead').fill('n4');
  await remove.click();
  await said(page, 'Node removed');
  await site(page, 's4').waitFor({ state: 'detached' });
  assert.deepEqual(troubles, []);
  await context.close();
});

test('an admin says which site is near to whom: what is wrong is said at its row, and what is right is kept', async () => {
  const { page, context, troubles } = await clusterPage();
  const section = page.getByRole('region', { name: 'Where viewers are sent' });
  await section.getByText('No networks yet').waitFor();
  await section.getByRole('button', { name: 'Add a network' }).click();
  await section.getByLabel('Network in row 1').fill('10.1.2.0/16');
  await section.getByRole('button', { name: 'Add a network' }).click();
  await section.getByLabel('Network in row 2').fill('somewhere');
  await section.getByRole('combobox', { name: 'Site in row 2' }).fill('');
  await section.getByRole('button', { name: 'Save' }).click();
  await section.getByText('Did you mean 10.1.0.0/16?').waitFor();
  await section.getByText('Such as 10.1.0.0/16').waitFor();
  await section.getByText('A site is missing').waitFor();
  assert.deepEqual(await axeFindings(page), []);
  const token = await adminToken(node);
  const saved = async () => (await callApi(node, 'GET', '/cluster/site-map', { token })).networks;
  assert.deepEqual(await saved(), [], 'nothing was sent');

  await section.getByLabel('Network in row 1').fill('10.1.0.0/16');
  await section.getByLabel('Network in row 2').fill('2001:db8::/32');
  await section.getByRole('combobox', { name: 'Site in row 2' }).fill('s2');
  await section.getByLabel('Round trip in row 2, in milliseconds').fill('12');
  await section.getByRole('button', { name: 'Save' }).click();
  await said(page, 'In force');
  assert.deepEqual(await saved(), [
    { network: '10.1.0.0/16', site: 's1', round_trip_ms: null },
    { network: '2001:db8::/32', site: 's2', round_trip_ms: 12 },
  ]);
  await shot(page, 'cluster-site-map');
  await page.reload();
  await section.getByRole('button', { name: 'Remove row 1' }).click();
  await section.getByRole('button', { name: 'Save' }).click();
  await until('the row to be gone', async () => (await saved()).length === 1);
  assert.deepEqual(troubles, []);
  await context.close();
});

test('a node that falls silent is seen within seconds, and an alert tells of it', async () => {
  const { page, context } = await clusterPage();
  const followers = page.getByRole('listitem').filter({ hasText: 'Voter' });
  const name = (await followers.last().getAttribute('aria-label')) ?? '';
  const silent = node.nodes.find((one) => one.dir.endsWith(name));
  assert.notEqual(silent.url, node.url, 'the page must not lose its own node');
  process.kill(silent.pid, 'SIGKILL');
  await card(page, name).getByText('Does not answer').waitFor();
  await page.getByText('One node does not answer').waitFor();
  await page.getByText('No further node may fail').waitFor();
  assert.deepEqual(await axeFindings(page), []);
  await shot(page, 'cluster-silent');
  await page.getByRole('banner').getByRole('link', { name: /alert/ }).click();
  await page.getByRole('heading', { name: 'A node does not answer' }).waitFor();
  await page.getByText(`node: ${name}`).first().waitFor();
  await context.close();
});

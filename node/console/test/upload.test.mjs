// Uploads in a browser: they go on after a reload, a pause, a lost network and a lost session, and many at once.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { launchChromium, logIn, openPage, slowLine, until } from './browser.mjs';
import { adminToken, callApi, claimedNode } from './node.mjs';

const run = promisify(execFile);
const megabyte = 1_000_000;
let node;
let browser;
let token;
let folder;

before(async () => {
  [node, browser, folder] = await Promise.all([
    claimedNode(),
    launchChromium(),
    mkdtemp(join(tmpdir(), 'mediakeep-files-')),
  ]);
  token = await adminToken(node);
});
after(async () => {
  await browser?.close();
  await node?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** A file of noise: its path and its hash. */
async function noise(name, size) {
  const bytes = randomBytes(size);
  const path = join(folder, name);
  await writeFile(path, bytes);
  return { path, name, sha256: createHash('sha256').update(bytes).digest('hex') };
}

/** The upload page of somebody who is logged in. */
async function uploadPage(where = node) {
  const opened = await openPage(browser, where);
  await logIn(opened.page, where);
  await opened.page.goto(`/a/${where.application}/upload`);
  await opened.page.getByRole('heading', { level: 1, name: 'Upload' }).waitFor();
  return opened;
}

const choose = (page, files) => page.locator('input[type=file]').setInputFiles(files);
const line = (page, name) =>
  page.getByRole('list', { name: 'Uploads' }).getByRole('listitem').filter({ hasText: name });

/** Waits until more than `bytes` megabytes of the file went out. */
const sent = (page, name, megabytes) =>
  until(`${megabytes} MB of ${name}`, async () => {
    const told = await line(page, name).textContent();
    return Number(/([\d.]+) MB of/.exec(told ?? '')?.[1] ?? 0) >= megabytes;
  });

/** The hash the node has of the file behind a finished line. */
async function kept(page, name) {
  await line(page, name).getByText('uploaded; now being processed').waitFor();
  const link = await line(page, name).getByRole('link').getAttribute('href');
  const path = `/assets/${link.split('/').pop()}`;
  return until('the hash', async () => (await callApi(node, 'GET', path, { token })).sha256);
}

test('an upload goes on after a reload from what the node has, and nothing is lost', async () => {
  const file = await noise('broken off.mp4', 20 * megabyte);
  const { page, context, troubles } = await uploadPage();
  await slowLine(page, 4 * megabyte);
  await choose(page, file.path);
  await sent(page, file.name, 6);
  await page.reload();
  await page.getByRole('heading', { name: 'Interrupted uploads' }).waitFor();

  const offsets = [];
  page.on('request', (request) => {
    if (request.method() === 'PATCH') offsets.push(Number(request.headers()['upload-offset']));
  });
  await slowLine(page, 0);
  await choose(page, file.path);
  assert.equal(await kept(page, file.name), file.sha256);
  assert.ok(offsets[0] > 0, `it went on at byte ${offsets[0]}`);
  assert.equal(await page.getByRole('heading', { name: 'Interrupted uploads' }).count(), 0);
  assert.deepEqual(troubles, []);
  await context.close();
});

test('an upload is paused, resumed and cancelled', async () => {
  const file = await noise('held.mp4', 16 * megabyte);
  const { page, context, troubles } = await uploadPage();
  await slowLine(page, 3 * megabyte);
  await choose(page, file.path);
  await sent(page, file.name, 2);
  await page.getByRole('button', { name: 'Pause held.mp4' }).click();
  await line(page, file.name).getByText('paused').waitFor();
  await page.getByRole('button', { name: 'Resume held.mp4' }).click();
  await sent(page, file.name, 5);

  await page.getByRole('button', { name: 'Cancel held.mp4' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel upload' }).click();
  await line(page, file.name).waitFor({ state: 'detached' });
  const library = `/applications/${node.application}/assets?q=held`;
  await until('the node to forget it', async () => (await callApi(node, 'GET', library, { token })).items.length === 0);
  await page.reload();
  assert.equal(await page.getByRole('heading', { name: 'Interrupted uploads' }).count(), 0);
  assert.deepEqual(troubles, []);
  await context.close();
});

test('many dropped files go up two at a time', async () => {
  const { page, context, troubles } = await uploadPage();
  const names = Array.from({ length: 12 }, (_, number) => `take ${number + 1}.mp4`);
  const busy = { now: 0, most: 0 };
  page.on('request', (request) => {
    if (request.method() === 'PATCH') busy.most = Math.max(busy.most, ++busy.now);
  });
  page.on('requestfinished', (request) => {
    if (request.method() === 'PATCH') busy.now -= 1;
  });
  const data = await page.evaluateHandle((all) => {
    const transfer = new DataTransfer();
    for (const name of all) transfer.items.add(new File([name.repeat(2000)], name, { type: 'video/mp4' }));
    return transfer;
  }, names);
  await page.dispatchEvent('.drop', 'drop', { dataTransfer: data });
  await until('all of them', async () => (await page.getByText('uploaded; now being processed').count()) === 12);
  assert.ok(busy.most <= 2, `${busy.most} went up at once`);
  assert.deepEqual(troubles, []);
  await context.close();
});

test('without a network the page says so, and the upload goes on by itself afterwards', async () => {
  const file = await noise('tunnel.mp4', 12 * megabyte);
  const { page, context, troubles } = await uploadPage();
  await slowLine(page, 3 * megabyte);
  await choose(page, file.path);
  await sent(page, file.name, 2);
  await slowLine(page, 0);
  await context.setOffline(true);
  await page.getByText('You are offline').waitFor();
  await line(page, file.name).getByText('waiting for the network').waitFor();
  await context.setOffline(false);
  await page.getByText('You are offline').waitFor({ state: 'detached' });
  assert.equal(await kept(page, file.name), file.sha256);
  assert.deepEqual(troubles, []);
  await context.close();
});

test('a session that ends in the middle asks for the passphrase, and the upload is taken up again', async () => {
  const file = await noise('long evening.mp4', 12 * megabyte);
  const { page, context, troubles } = await uploadPage();
  await slowLine(page, 3 * megabyte);
  await choose(page, file.path);
  await sent(page, file.name, 2);
  await callApi(node, 'DELETE', '/sessions', { token });
  // The page finds out by its next request, which may come before either click.
  const soon = { timeout: 2_000 };
  await page
    .getByRole('button', { name: 'Pause long evening.mp4' })
    .click(soon)
    .catch(() => undefined);
  await page
    .getByRole('button', { name: 'Resume long evening.mp4' })
    .click(soon)
    .catch(() => undefined);
  await page.getByRole('heading', { name: 'Log in' }).waitFor();
  await slowLine(page, 0);
  await page.getByLabel('User name').fill(node.username);
  await page.locator('input[autocomplete=current-password]').fill(node.password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('heading', { level: 1, name: 'Upload' }).waitFor();
  assert.equal(await kept(page, file.name), file.sha256);
  assert.deepEqual(troubles, []);
  await context.close();
});

test('a full disk is told in plain words, and the upload goes on once there is room', async () => {
  // A file system of its own, so that the disk really is full; mounting needs root, as the node's own tests do.
  const disk = await mkdtemp(join(tmpdir(), 'mediakeep-disk-'));
  await run('mount', ['-t', 'tmpfs', '-o', 'size=72m', 'tmpfs', disk]);
  const small = await claimedNode({ folder: join(disk, 'data') });
  try {
    const smallToken = await adminToken(small);
    const old = await noise('old.mp4', 30 * megabyte);
    const file = await noise('large.mp4', 50 * megabyte);
    const { page, context, troubles } = await uploadPage(small);
    await choose(page, old.path);
    await line(page, old.name).getByText('uploaded; now being processed').waitFor();
    await choose(page, file.path);
    await line(page, file.name).getByText('The disk is nearly full').waitFor();

    const asset = (await line(page, old.name).getByRole('link').getAttribute('href')).split('/').pop();
    await callApi(small, 'POST', `/assets/${asset}/trash`, { token: smallToken, json: {} });
    await callApi(small, 'POST', `/assets/${asset}/purge`, { token: smallToken, json: {} });
    const done = line(page, file.name).getByText('uploaded; now being processed');
    const retry = page.getByRole('button', { name: 'Try large.mp4 again' });
    await until('room for it', async () => {
      if (await done.isVisible()) return true;
      if (await retry.isVisible()) await retry.click();
      return false;
    });
    assert.deepEqual(troubles, []);
    await context.close();
  } finally {
    await small.stop();
    await run('umount', ['--lazy', disk]);
    await rm(disk, { recursive: true, force: true });
  }
});

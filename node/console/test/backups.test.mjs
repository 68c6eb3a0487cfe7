// Backups as an admin meets them: a place is added, a backup becomes whole, damage is found and named, and nobody else sees it.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { axeFindings, launchChromium, loaded, logIn, openPage, shot, until } from './browser.mjs';
import { adminToken, callApi, claimedNode, putFile } from './node.mjs';

const passphrase = 'seven quiet herons wade';
let node;
let browser;
let outside;
let asset;

before(async () => {
  outside = await mkdtemp(join(tmpdir(), 'mediakeep-backups-'));
  await mkdir(join(outside, 'disk'));
  const config = `[backup]\nfolders = [${JSON.stringify(outside)}]\nnetworks = ["127.0.0.0/8"]\n`;
  [node, browser] = await Promise.all([claimedNode({ config }), launchChromium()]);
  const token = await adminToken(node);
  // It need not play: what was uploaded is backed up either way.
  asset = await putFile(node, token, 'harbour lecture.mp4', Buffer.alloc(300_000, 'media'));
  await callApi(node, 'POST', '/users', { token, json: { username: 'vera', password: passphrase } });
});
after(async () => {
  await browser?.close();
  await node?.stop();
  if (outside) await rm(outside, { recursive: true, force: true });
});

const said = (page, text) => page.getByRole('region', { name: 'News' }).getByText(text).first().waitFor();
const place = (page, name) => page.getByRole('list', { name: 'Places for backups' }).getByRole('listitem', { name });
const rows = (page) => page.getByRole('group', { name: 'Runs' }).getByRole('row');

async function backupsPage(options) {
  const opened = await openPage(browser, node, options);
  await logIn(opened.page, node);
  await opened.page.getByRole('navigation').getByRole('link', { name: 'Backups' }).click();
  await opened.page.getByRole('heading', { level: 1, name: 'Backups' }).waitFor();
  await loaded(opened.page);
  return opened;
}

/** Asks for a check of the newest backup, and waits until one more has ended. */
async function check(page, how) {
  const before = await rows(page).count();
  await rows(page)
    .getByRole('button', { name: /^Check the backup of/ })
    .last()
    .click();
  await page.getByRole('dialog').getByRole('button', { name: how }).click();
  await until(`the run: ${how}`, async () => {
    const first = rows(page).nth(1);
    const done = (await rows(page).count()) > before && !(await first.textContent()).includes('Running');
    return done && (await first.textContent()).includes(how);
  });
}

test('an admin adds a place, backs up, checks and drills, and damage is found and named', async () => {
  const { page, context, troubles } = await backupsPage();
  await page.getByText('No backups yet').waitFor();
  await page.getByRole('button', { name: 'Add a place' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add a place' });
  await dialog.getByLabel('Name').fill('Disk in the cellar');
  // A place that may not be is refused at its field, and what was typed stays.
  const folder = dialog.getByRole('textbox', { name: 'Folder' });
  await folder.fill('/etc');
  await dialog.getByRole('button', { name: 'Add' }).click();
  await until('the field to be marked', async () => (await folder.getAttribute('aria-invalid')) === 'true');
  await dialog.getByText('folders for backups lie below').waitFor();
  assert.equal(await dialog.getByLabel('Name').inputValue(), 'Disk in the cellar');
  assert.deepEqual(await axeFindings(page), []);
  await shot(page, 'backups-refused-place');
  await folder.fill(join(outside, 'disk'));
  await dialog.getByLabel('At, your time').fill('03:15');
  assert.equal(await dialog.getByLabel('In between').inputValue(), '0');
  await dialog.getByRole('button', { name: 'Add' }).click();
  await said(page, 'It was tried and works');
  const card = place(page, 'Disk in the cellar');
  await card.getByText('No backup yet').waitFor();
  await card.getByText(/Daily at 03:15 here, \d\d:\d\d UTC/).waitFor();

  // A double click is one backup.
  await card.getByRole('button', { name: 'Back up now' }).dblclick();
  await card.getByText('Backed up').waitFor();
  await rows(page).getByText('Whole', { exact: true }).waitFor();
  assert.equal(await rows(page).count(), 2, 'one head, one run');

  await check(page, 'Quick check');
  await check(page, 'Drill');
  assert.equal(await rows(page).getByText('All well').count(), 2);
  await card.getByText('All well').waitFor();
  await shot(page, 'backups');

  const blobs = join(outside, 'disk', 'blobs', asset);
  const [name] = await readdir(blobs);
  const bytes = await readFile(join(blobs, name));
  bytes[bytes.length >> 1] ^= 1;
  await writeFile(join(blobs, name), bytes);
  await check(page, 'Check of every byte');
  await rows(page).nth(1).getByText('One thing is wrong').waitFor();
  await rows(page).nth(1).getByRole('button', { name: 'See what is wrong' }).click();
  const flaws = page.getByRole('dialog', { name: 'One thing is wrong' });
  await flaws.getByText('Damaged', { exact: true }).waitFor();
  await flaws.getByRole('link', { name: 'A file of “harbour lecture”' }).waitFor();
  await flaws.getByText(name).waitFor();
  assert.deepEqual(await axeFindings(page), []);
  await shot(page, 'backups-flaws');
  await page.keyboard.press('Escape');
  await card.getByText('Damaged', { exact: true }).waitFor();

  // The disk is gone: the run says so, and what was there stays on the list.
  await rm(join(outside, 'disk'), { recursive: true });
  await card.getByRole('button', { name: 'Back up now' }).click();
  await rows(page).getByText('cannot be reached').waitFor();
  await rows(page).nth(1).getByText('Failed').waitFor();
  await card.getByRole('button', { name: 'Remove' }).click();
  await page.getByRole('dialog', { name: 'Remove Disk in the cellar?' }).getByText('What lies there stays').waitFor();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await said(page, 'What lies there is still there');
  await page.getByText('No backups yet').waitFor();
  assert.deepEqual(troubles, []);
  await context.close();
});

test('a place on a network asks for its secret again when the server changes; German and dark are accessible', async () => {
  const token = await adminToken(node);
  await mkdir(join(outside, 'second'));
  const folder = { kind: 'folder', path: join(outside, 'second') };
  await callApi(node, 'POST', '/backup-targets', { token, json: { name: 'Zweite', place: folder, secret: 'unused' } });
  const { page, context, troubles } = await openPage(browser, node, { colorScheme: 'dark', locale: 'de-DE' });
  await page.goto('/login');
  await page.locator('input[autocomplete=username]').fill(node.username);
  await page.locator('input[autocomplete=current-password]').fill(node.password);
  await page.locator('button[type=submit]').click();
  await page.getByRole('heading', { level: 1, name: 'Bibliothek' }).waitFor();
  await page.goto('/backups');
  await page.getByRole('heading', { level: 1, name: 'Sicherungen' }).waitFor();
  await page.getByRole('button', { name: 'Zweite ändern' }).click();
  const dialog = page.getByRole('dialog', { name: 'Zweite ändern' });
  await dialog.getByLabel('Art des Ortes').selectOption('s3');
  await dialog.getByLabel('Adresse').fill('https://127.0.0.1:9');
  await dialog.getByRole('textbox', { name: 'Bucket' }).fill('media');
  await dialog.getByLabel('Zugriffsschlüssel (Kennung)').fill('AKIA');
  // The form itself asks for the secret; and so does the node, whoever sends it none.
  assert.equal(await dialog.locator('form').evaluate((form) => form.checkValidity()), false);
  await dialog.locator('form').evaluate((form) => {
    form.noValidate = true;
  });
  await dialog.getByRole('button', { name: 'Speichern' }).click();
  await dialog.getByText('Das ist jetzt ein anderer Server oder Name').waitFor();
  assert.deepEqual(await axeFindings(page), []);
  await shot(page, 'backups-s3-dark-de');
  await page.keyboard.press('Escape');
  await shot(page, 'backups-dark-de');
  assert.deepEqual(await axeFindings(page), []);
  assert.deepEqual(troubles, []);
  await context.close();
});

test('backups follow changes between the daily ones, and stay out of the way in the list', async () => {
  await mkdir(join(outside, 'near'));
  const { page, context, troubles } = await backupsPage();
  await page.getByRole('button', { name: 'Add a place' }).click();
  const dialog = page.getByRole('dialog', { name: 'Add a place' });
  await dialog.getByLabel('Name').fill('Near');
  await dialog.getByRole('textbox', { name: 'Folder' }).fill(join(outside, 'near'));
  await dialog.getByLabel('In between').selectOption({ label: 'At most 5 minutes after a change' });
  await shot(page, 'backups-in-between');
  await dialog.getByRole('button', { name: 'Add' }).click();
  const card = place(page, 'Near');
  await card.getByText('At most 5 minutes after a change').waitFor();
  await card.getByText('Backed up').waitFor();
  const between = rows(page).getByText('Backup in between');
  await until('what is whole to leave the list', async () => (await between.count()) === 0);
  await page.getByRole('switch', { name: 'Show those between the daily ones' }).click();
  await between.first().waitFor();
  assert.deepEqual(await axeFindings(page), []);
  await shot(page, 'backups-in-between-list');
  // What was chosen is there when it is changed; without a time of the day there is nothing in between.
  await card.getByRole('button', { name: 'Change Near' }).click();
  const change = page.getByRole('dialog', { name: 'Change Near' });
  assert.equal(await change.getByLabel('In between').inputValue(), '5');
  await change.getByRole('switch', { name: 'Back up daily' }).click();
  assert.equal(await change.getByLabel('In between').count(), 0);
  await change.getByRole('button', { name: 'Save' }).click();
  await card.getByText('On demand only').waitFor();
  await card.getByRole('button', { name: 'Remove' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await said(page, 'What lies there is still there');
  assert.deepEqual(troubles, []);
  await context.close();
});

test('somebody who is no cluster admin is refused, in words, and is not shown the way', async () => {
  const { page, context, troubles } = await openPage(browser, node);
  await page.goto('/login');
  await page.getByLabel('User name').fill('vera');
  await page.locator('input[autocomplete=current-password]').fill(passphrase);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('navigation').getByRole('link', { name: 'System' }).waitFor();
  assert.equal(await page.getByRole('link', { name: 'Backups' }).count(), 0);
  await page.goto('/backups');
  await page.getByRole('alert').getByText('You may not do this').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Add a place' }).count(), 0);
  assert.deepEqual(troubles, []);
  await context.close();
});

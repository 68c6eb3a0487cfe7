// Roles of an application's own: an admin makes one and gives it, and whoever has it sees at once what it allows.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { axeFindings, launchChromium, loaded, logIn, openPage, shot, until } from './browser.mjs';
import { adminToken, callApi, claimedNode, putFile } from './node.mjs';

const passphrase = 'seven quiet herons wade';
let node;
let browser;
let asset;

before(async () => {
  [node, browser] = await Promise.all([claimedNode(), launchChromium()]);
  const token = await adminToken(node);
  // It need not play: what may be done with it is the same.
  asset = await putFile(node, token, 'harbour lecture.mp4', Buffer.alloc(100_000, 'media'));
  await callApi(node, 'POST', '/users', { token, json: { username: 'vera', password: passphrase } });
});
after(async () => {
  await browser?.close();
  await node?.stop();
});

const said = (page, text) => page.getByRole('region', { name: 'News' }).getByText(text).first().waitFor();
const menu = (page, name) => page.getByRole('navigation').getByRole('link', { name, exact: true });
const roleRow = (page, name) =>
  page.getByRole('group', { name: 'Own roles' }).getByRole('row').filter({ hasText: name });

async function membersPage(options) {
  const opened = await openPage(browser, node, options);
  await logIn(opened.page, node);
  await menu(opened.page, 'Members').click();
  await opened.page.getByRole('heading', { level: 1, name: 'Members' }).waitFor();
  await loaded(opened.page);
  return opened;
}

test('a role is made, given, changed under the eyes of who has it, and removed', async () => {
  const { page, context, troubles } = await membersPage();
  await page.getByText('No roles of your own yet.').waitFor();
  await page.getByRole('button', { name: 'New role' }).click();
  const dialog = page.getByRole('dialog', { name: 'New role' });
  await dialog.getByRole('textbox', { name: 'Name' }).fill('viewer');
  await dialog.getByLabel('Watch', { exact: true }).uncheck();
  await dialog.getByLabel('Upload', { exact: true }).check();
  await dialog.getByText('Part of what is chosen below').waitFor();
  await shot(page, 'role-dialog');
  assert.deepEqual(await axeFindings(page), []);
  // A name that is taken is said, and what was chosen stays.
  await dialog.getByRole('button', { name: 'Save' }).click();
  await said(page, 'This name is taken');
  await dialog.getByRole('textbox', { name: 'Name' }).fill('Drop box');
  assert.equal(await dialog.getByLabel('Upload', { exact: true }).isChecked(), true);
  await dialog.getByRole('button', { name: 'Save' }).click();
  await roleRow(page, 'Drop box').getByText('See everything, published or not · Upload').waitFor();

  const add = page.getByRole('region', { name: 'Add somebody who has an account' });
  await add.getByLabel('User name').selectOption({ label: 'vera' });
  await add.getByLabel('Role').selectOption({ label: 'Drop box' });
  await add.getByRole('button', { name: 'Add' }).click();
  await page.getByLabel('Role of vera').waitFor();
  await until('the role to be counted', async () =>
    (await roleRow(page, 'Drop box').textContent()).includes('Upload1'),
  );
  assert.equal(await page.getByRole('button', { name: 'Remove Drop box' }).isDisabled(), true);
  await shot(page, 'members-roles');

  const vera = await openPage(browser, node);
  await logIn(vera.page, { ...node, username: 'vera', password: passphrase });
  await menu(vera.page, 'Upload').waitFor();
  for (const hidden of ['Members', 'API keys', 'Settings', 'Trash', 'Audit']) {
    assert.equal(await menu(vera.page, hidden).count(), 0, hidden);
  }
  await vera.page.goto(`/asset/${asset}`);
  const publish = vera.page.getByRole('button', { name: 'Publish' });
  await publish.waitFor();
  assert.equal(await publish.isDisabled(), true);

  await page.getByRole('button', { name: 'Change Drop box' }).click();
  const change = page.getByRole('dialog', { name: 'Change Drop box' });
  await change.getByText('1 has this role: a change counts for them at once.').waitFor();
  await change.getByLabel('Publish', { exact: true }).check();
  await change.getByRole('button', { name: 'Save' }).click();
  await until('the button to be enabled', async () => !(await publish.isDisabled()));
  await publish.click();
  await said(vera.page, 'Published');

  await page.getByLabel('Role of vera').selectOption({ label: 'Viewer' });
  await menu(vera.page, 'Upload').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Remove Drop box' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await page.getByText('No roles of your own yet.').waitFor();
  assert.deepEqual(troubles, []);
  assert.deepEqual(vera.troubles, []);
  await vera.context.close();
  await context.close();
});

test('whoever manages members is offered nothing beyond their own role', async () => {
  const token = await adminToken(node);
  const app = `/applications/${node.application}`;
  const role = await callApi(node, 'POST', `${app}/roles`, {
    token,
    json: { name: 'Front desk', abilities: ['watch', 'members'] },
  });
  const users = await callApi(node, 'GET', '/users', { token });
  const vera = users.items.find((user) => user.username === 'vera');
  await callApi(node, 'PUT', `${app}/members/${vera.id}`, { token, json: { custom_role: role.id } });
  // As long as the list of roles is not there, a member is not shown as something else.
  const admin = await openPage(browser, node);
  await admin.page.route('**/roles*', (route) => route.abort());
  await logIn(admin.page, node);
  await menu(admin.page, 'Members').click();
  const shown = admin.page.getByLabel('Role of vera').locator('option:checked');
  await shown.waitFor({ state: 'attached' });
  assert.equal(await shown.textContent(), 'Front desk');
  await admin.context.close();
  const { page, context } = await openPage(browser, node, { colorScheme: 'dark' });
  await logIn(page, { ...node, username: 'vera', password: passphrase });
  await menu(page, 'Members').click();
  await page.getByRole('button', { name: 'New role' }).click();
  const dialog = page.getByRole('dialog', { name: 'New role' });
  assert.equal(await dialog.getByLabel('Watch', { exact: true }).isEnabled(), true);
  assert.equal(await dialog.getByLabel('Delete for good').isEnabled(), false);
  assert.deepEqual(await axeFindings(page), []);
  await shot(page, 'role-dialog-dark');
  await dialog.getByRole('textbox', { name: 'Name' }).fill('Doors');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await roleRow(page, 'Doors').waitFor();
  // The node refuses what the page offers all the same.
  await page.getByRole('button', { name: 'Invite' }).click();
  const invite = page.getByRole('dialog', { name: 'Invite' });
  await invite.getByLabel('Role').selectOption({ label: 'Admin' });
  await invite.getByRole('button', { name: 'Make invitation' }).click();
  await said(page, 'Your role does not allow it');
  await invite.getByLabel('Role').selectOption({ label: 'Doors' });
  await invite.getByRole('button', { name: 'Make invitation' }).click();
  await page.getByRole('dialog', { name: 'Invitation' }).waitFor();
  await context.close();
});

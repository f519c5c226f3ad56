import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Page, Route } from 'playwright-core';
import { mailboxColumns, password } from '../app/testbed.ts';
import { writeJournal } from '../http/writeJournal.ts';
import { mailLine } from '../journal/storage.ts';
import { seedMaildir } from '../testbed/seed.ts';
import { fill, functionKey, go, startUiTestbed, type UiTestbed, violationsOf } from './browser.ts';
import { addRecord } from './records.ts';

let ui: UiTestbed;

before(async () => {
  ui = await startUiTestbed({ users: ['anna', 'bert'], settings: { MAILBOX_CLIENT: 'of an app setting' } });
  await ui.bed.addConnection('quiet', { ...columns(), enabled: false });
});
after(() => ui.stop());

const columns = () => mailboxColumns(ui.bed.dovecot, 'IMAP', 'anna');
const api = /\/api\/(connections|mails|runs|undelivered|openapi)/;
const toast = (page: Page) => page.locator('.toasts');
const refuse = (sentence: string) => (route: Route) =>
  route.fulfill({ status: 500, body: JSON.stringify({ error: sentence }) });

for (const [what, body] of [
  ['is cut short', '{"connections":[{"cus'],
  ['is a sign-in page', '<html>Sign in</html>'],
  ['is nothing', 'null'],
] as const) {
  test(`an answer that ${what} is told in a sentence, on every page`, async (context) => {
    const { page } = await ui.open(context);
    await page.getByRole('link', { name: 'acme/quiet' }).waitFor();
    await page.route(api, (route) => route.fulfill({ status: 200, body }));
    for (const hash of ['#/mails', '#/undelivered', '#/show/acme/quiet', '#/edit/acme/quiet', '#/']) {
      await go(page, hash);
      await page.reload();
      await page.getByText(/^The app’s answer can’t be read/).waitFor();
      assert.equal(await toast(page).textContent(), '', 'it is said once');
    }
  });
}

test('what a gateway refuses is told with what to do', async (context) => {
  const { page } = await ui.open(context);
  let status = 503;
  await page.route(api, (route) => route.fulfill({ status, body: '<html>' }));
  await page.reload();
  await page.getByText('The app answered 503: it may be starting, or have too much to do.').waitFor();
  assert.doesNotMatch(String(await page.locator('main').textContent()), /Loading…/);
  status = 403;
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByText('Access is refused (403)').waitFor();
});

test('the question for a key stays until it is answered, and what is pasted along with a key does no harm', async (context) => {
  const { page } = await ui.open(context, { key: '' });
  const dialog = page.getByRole('dialog', { name: 'Function key' });
  await dialog.waitFor();
  for (let presses = 0; presses < 3; presses += 1) await page.keyboard.press('Escape');
  await page.getByLabel('Key', { exact: true }).fill(`\u200b${functionKey}\u2060`);
  await page.getByRole('button', { name: 'Continue' }).click();
  await dialog.waitFor({ state: 'detached' });
  await page.getByRole('link', { name: 'acme/quiet' }).waitFor();
});

test('older mails that come late are none of another search, and those that can not be loaded leave what is there', async (context) => {
  const at = (index: number) => new Date(Date.now() - index * 1_000);
  const lines = Array.from({ length: 150 }, (_, index) =>
    mailLine({ at: at(index), emailSubject: `Order ${index}` }),
  );
  await writeJournal(ui.bed, 'quiet', lines);
  const { page } = await ui.open(context);
  const mails = page.locator('tbody.mail');
  const older = page.getByRole('button', { name: 'Older ones' });
  await go(page, '#/mails?connection=quiet');
  await older.waitFor();
  assert.equal(await mails.count(), 100);
  const olderOnes = (url: URL) => url.pathname.endsWith('/mails') && url.searchParams.has('after');
  await page.route(olderOnes, refuse('Storage is away.'));
  await older.click();
  await page.getByRole('alert').filter({ hasText: 'Storage is away.' }).waitFor();
  assert.equal(await mails.count(), 100);
  await page.unroute(olderOnes);

  const held: Route[] = [];
  await page.route(olderOnes, (route) => void held.push(route));
  await Promise.all([page.waitForRequest((request) => request.url().includes('after=')), older.click()]);
  await page.getByRole('searchbox').fill('Order 149');
  await page.getByText(/^1 mail ·/).waitFor();
  await Promise.all([
    page.waitForResponse((response) => response.url().includes('after=')),
    ...held.map((route) => route.continue()),
  ]);
  await page.getByRole('searchbox').fill('Order 148');
  await mails.filter({ hasText: 'Order 148' }).waitFor();
  assert.equal(await mails.count(), 1);
});

test('what a test has found covers no more than half of the window', async (context) => {
  const mailOf = (index: number) =>
    Buffer.from(`From: ann@example.org\r\nSubject: Order ${index}\r\n\r\nHello\r\n`);
  await seedMaildir(
    ui.bed.dovecot.maildir('bert'),
    Array.from({ length: 12 }, (_, index) => mailOf(index)),
  );
  for (const viewport of [
    { width: 1280, height: 720 },
    { width: 360, height: 740 },
  ]) {
    const { page } = await ui.open(context, { viewport });
    page.on('dialog', (dialog) => dialog.accept());
    await go(page, '#/new');
    await fill(page, { Username: 'bert', Password: password, Host: '127.0.0.1' });
    await page.getByLabel('Use SSL').uncheck();
    await page.getByText('Advanced', { exact: true }).click();
    await fill(page, { Port: String(ui.bed.dovecot.imapPort), 'Subject Filter': 'order' });
    await page.getByRole('button', { name: 'Test connection' }).click();
    await page.getByText('unread mails; of the first 10 the filters take 10').waitFor();
    const bar = await page.locator('.bar').boundingBox();
    assert.ok(bar !== null && bar.height < viewport.height * 0.6, `${bar?.height} of ${viewport.height}`);
    assert.deepEqual(await violationsOf(page), []);
  }
});

test('what turns text about turns no more than its own', async (context) => {
  const subject = 'Invoice \u202egpj.exe';
  const times = { storedAt: new Date(), nextTryAt: new Date(Date.now() + 60_000) };
  const record = { partCount: 1, partsLeft: 1, tries: 1, error: 'Away.', from: `Ann \u202e <a@example.org>` };
  await addRecord(ui.bed, { ...record, ...times, connection: 'quiet', subject });
  const { page } = await ui.open(context);
  await go(page, '#/undelivered');
  await page.getByRole('button', { name: 'Give up…' }).click();
  const { left, right } = await page.getByRole('dialog').evaluate(sidesOf, 'is removed');
  assert.ok(left < right, 'the sentence goes from left to right');
  await page.getByRole('button', { name: 'Cancel' }).click();
  const date = await page.locator('tbody .sub').first().evaluate(sidesOf, 'UTC');
  assert.ok(date.left < date.right, 'the date goes from left to right');
});

test('what a poll has moved stands on the connection’s own page at once', async (context) => {
  await seedMaildir(ui.bed.dovecot.maildir('anna'), [Buffer.from('Subject: just now\r\n\r\nHello\r\n')]);
  await ui.bed.addConnection('watched', columns());
  const { page } = await ui.open(context);
  await go(page, '#/show/acme/watched');
  await page.getByText('No run has moved mail or failed in the last week.').waitFor();
  await page.getByText('No mail was picked up').waitFor();
  await page.getByRole('button', { name: 'Poll now' }).click();
  await page.getByText('acme/watched was polled: 1 mail').waitFor();
  await page.getByRole('region', { name: 'Runs' }).getByText('1 mail, 1 message').waitFor();
  await page.getByRole('button', { name: 'just now' }).waitFor();
});

test('who has a deleting connection take other mails than before is asked first', async (context) => {
  const deletes = { deleteMessages: true, folder: 'INBOX', enabled: false };
  await ui.bed.addConnection('deletes', { ...columns(), ...deletes, subjectFilter: 'order' });
  const { page } = await ui.open(context);
  const dialog = page.getByRole('dialog', { name: 'Mails will be deleted' });
  await page.goto(`${ui.url}#/edit/acme/deletes`);
  await page.getByText('Advanced', { exact: true }).click();
  for (const [label, value, stored] of [
    ['Folder', 'Archive', 'INBOX'],
    ['Subject Filter', '', 'order'],
  ] as const) {
    await fill(page, { [label]: value });
    await page.getByRole('button', { name: 'Save' }).click();
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await fill(page, { [label]: stored });
  }
  await fill(page, { 'Polling Interval': '90' });
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('acme/deletes is saved.').waitFor();
});

test('a stored secret gives way to the app setting that is named in its place', async (context) => {
  await ui.bed.addConnection('secretive', {
    ...{ host: 'mail.example.com', hostType: 'IMAP', username: 'x', enabled: false },
    ...{
      authType: 'oauth2',
      oauth2Grant: 'refreshToken',
      oauth2TenantId: 'acme.example',
      oauth2ClientId: 'id',
    },
    ...{ oauth2ClientSecret: 'stored', oauth2RefreshToken: 'stored too' },
  });
  const { page } = await ui.open(context);
  await page.goto(`${ui.url}#/edit/acme/secretive`);
  await page.getByText('Advanced', { exact: true }).click();
  await fill(page, { 'OAuth2 Client Secret Setting': 'MAILBOX_CLIENT' });
  assert.equal(await page.getByLabel('OAuth2 Client Secret', { exact: true }).isDisabled(), true);
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('acme/secretive is saved.').waitFor();
  const { oauth2ClientSecret, oauth2ClientSecretSetting, oauth2RefreshToken } =
    await ui.bed.state('secretive');
  assert.deepEqual(
    [oauth2ClientSecret, oauth2ClientSecretSetting, oauth2RefreshToken],
    [undefined, 'MAILBOX_CLIENT', 'stored too'],
  );
});

test('Back and Forward lead to where they led, when a form with changes is not left', async (context) => {
  const { page } = await ui.open(context);
  let answers = 0;
  page.on('dialog', async (dialog) => {
    answers += 1;
    await (answers < 3 ? dialog.dismiss() : dialog.accept());
  });
  await page.getByRole('link', { name: 'Mails', exact: true }).click();
  await page.getByRole('searchbox').fill('typed');
  await page.getByRole('link', { name: 'Connections', exact: true }).click();
  await page.getByRole('link', { name: 'New connection' }).click();
  await fill(page, { Customer: 'acme' });
  const isBack = () => page.waitForFunction('location.hash === "#/new"');
  await page.evaluate('history.back()');
  await isBack();
  await page.getByRole('link', { name: 'Undelivered' }).click();
  await isBack();
  assert.equal(await page.getByLabel('Customer').inputValue(), 'acme');
  await page.evaluate('history.back()');
  await page.getByRole('heading', { level: 1, name: 'Connections' }).waitFor();
  await page.evaluate('history.back()');
  await page.getByRole('heading', { level: 1, name: 'Mails' }).waitFor();
  assert.equal(await page.getByRole('searchbox').inputValue(), 'typed');
  assert.equal(answers, 3);
});

test('what could not be done with all that are selected is told by name, and stays selected', async (context) => {
  for (const name of ['one', 'two', 'three']) {
    await ui.bed.addConnection(`many-${name}`, { ...columns(), enabled: false });
  }
  const { page } = await ui.open(context);
  await page.getByRole('searchbox').fill('acme/many-');
  await page.getByLabel('Select all 3').check();
  await page.route('**/connections/acme/many-two', refuse('Storage is away.'));
  await page.getByRole('button', { name: 'Enable', exact: true }).click();
  await page.getByText('2 connections enabled, 1 not. acme/many-two: Storage is away.').waitFor();
  await page.getByText('1 connection selected').waitFor();
  assert.equal(await page.getByLabel('Select acme/many-two').isChecked(), true);
});

test('a button says what is being done, and nothing else', async (context) => {
  const { page } = await ui.open(context);
  const entry = page.locator('tbody').filter({ hasText: 'acme/quiet' });
  const held: Route[] = [];
  await page.route('**/connections/acme/quiet', (route) => void held.push(route));
  await entry.getByRole('button', { name: 'More' }).click();
  await entry.getByRole('button', { name: 'Enable' }).click();
  const poll = entry.getByRole('button', { name: 'acme/quiet' }).first();
  await page.waitForFunction(
    'document.querySelector("tbody button[disabled]") !== null || document.body.textContent.includes("Polling")',
  );
  assert.doesNotMatch(String(await poll.textContent()), /Polling/);
  await Promise.all(held.map((route) => route.abort()));
  await page.getByText('The app can’t be reached.').waitFor();
});

test('while a form is saved nothing in it can be changed, and afterwards it can', async (context) => {
  const { page } = await ui.open(context);
  await page.goto(`${ui.url}#/edit/acme/quiet`);
  const interval = page.getByLabel('Polling Interval');
  await interval.fill('90');
  const held: Route[] = [];
  await page.route('**/connections/acme/quiet', (route) => void held.push(route));
  await Promise.all([
    page.waitForRequest('**/connections/acme/quiet'),
    page.getByRole('button', { name: 'Save' }).click(),
  ]);
  assert.equal(await interval.isDisabled(), true);
  await Promise.all(held.map(refuse('Not now.')));
  await page.getByText('Not now.').waitFor();
  assert.equal(await interval.isDisabled(), false);
  assert.equal(await interval.inputValue(), '90');
});

test('a connection that somebody else deletes is no longer shown as one that there is', async (context) => {
  await ui.bed.addConnection('leaves', { ...columns(), enabled: false });
  const { page } = await ui.open(context);
  await page.clock.install();
  await go(page, '#/show/acme/leaves');
  await page.getByRole('region', { name: 'Last run' }).waitFor();
  await ui.bed.connections.deleteEntity('acme', 'leaves');
  const missing = page.getByText('There is no connection acme/leaves');
  // It is told by the list as a whole, which comes once a minute.
  for (let loads = 0; loads < 200 && (await missing.count()) === 0; loads += 1) {
    await page.clock.runFor(5_000);
  }
  await missing.waitFor();
  assert.equal(await page.getByRole('button', { name: 'Poll now' }).count(), 0);
});

test('in forced colours the page that one is on is marked, and the chart is seen', async (context) => {
  const { page } = await ui.open(context, { forcedColors: 'active' });
  const nav = page.getByRole('navigation', { name: 'Pages' });
  const lineOf = (name: string) =>
    nav
      .getByRole('link', { name })
      .evaluate(
        (link) => `${getComputedStyle(link).borderTopColor} ${getComputedStyle(link).borderBottomColor}`,
      );
  await nav.getByRole('link', { name: 'Mails' }).waitFor();
  const [own, other, also] = [
    await lineOf('Connections'),
    await lineOf('Mails'),
    await lineOf('Undelivered'),
  ];
  assert.equal(other, also);
  assert.notEqual(own, other);
});

test('the minute that a search goes up to is within it, and a window that moves on takes no older mails away', async (context) => {
  const at = new Date(Math.floor(Date.now() / 60_000) * 60_000 - 20 * 60_000 + 30_000);
  const lines = Array.from({ length: 120 }, (_, index) =>
    mailLine({ at: new Date(at.getTime() - index), emailSubject: `Batch ${index}` }),
  );
  await writeJournal(ui.bed, 'batch', lines);
  const { page } = await ui.open(context, { timezoneId: 'Asia/Kolkata' });
  await page.clock.install();
  const minute = new Date(at.getTime() + 5.5 * 3_600_000).toISOString().slice(0, 16);
  await go(page, `#/mails?connection=batch&window=between&from=${minute}&to=${minute}`);
  await page.clock.runFor(1_000);
  await page.getByRole('button', { name: 'Batch 0', exact: true }).waitFor();
  await page.getByLabel('Time').selectOption('Last hour');
  await page.clock.runFor(1_000);
  await page.getByText('100 mails and more · last hour').waitFor();
  await page.getByRole('button', { name: 'Older ones' }).click();
  await page.getByText('120 mails · last hour').waitFor();
  await page.clock.runFor(65_000);
  await page.getByText('120 mails · last hour').waitFor();
  assert.equal(await page.locator('tbody.mail').count(), 120);
});

test('what a test says of a form that was changed meanwhile is not told, and a key that is asked for takes no change away', async (context) => {
  const { page } = await ui.open(context);
  await page.goto(`${ui.url}#/edit/acme/quiet`);
  const interval = page.getByLabel('Polling Interval');
  await interval.fill('90');
  const held: Route[] = [];
  await page.route('**/test?*', (route) => void held.push(route));
  const test = page.getByRole('button', { name: 'Test connection' });
  await Promise.all([page.waitForRequest('**/test?*'), test.click()]);
  await interval.fill('91');
  const [response] = await Promise.all([
    page.waitForResponse('**/test?*'),
    ...held.map((route) => route.continue()),
  ]);
  await response.finished();
  for (let frames = 0; frames < 3; frames += 1) await page.evaluate('new Promise(requestAnimationFrame)');
  assert.equal(await page.getByText('It works').count(), 0);
  await page.unroute('**/test?*');
  await page.route('**/test?*', (route) => route.fulfill({ status: 401, body: '' }));
  await test.click();
  await page.unroute('**/test?*');
  await page.getByLabel('Key', { exact: true }).fill(functionKey);
  await Promise.all([
    page.waitForResponse('**/connections/acme/quiet'),
    page.getByRole('button', { name: 'Continue' }).click(),
  ]);
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.equal(await interval.inputValue(), '91');
  await test.click();
  await page.getByText('It works').waitFor();
  assert.equal(await interval.inputValue(), '91');
});

test('an imported connection that is there already, and needs its password again, is replaced from the form', async (context) => {
  await ui.bed.addConnection('moves', { ...columns(), enabled: false });
  const entry = { customer: 'acme', connection: 'moves', host: 'mail.example.com', hostType: 'IMAP' };
  const file = JSON.stringify({ connections: [{ ...entry, username: 'anna', enabled: false }] });
  const { page } = await ui.open(context);
  await go(page, '#/import');
  await page
    .getByLabel('File')
    .setInputFiles({ name: 'c.json', mimeType: 'application/json', buffer: Buffer.from(file) });
  await page.getByLabel('Replace those that are there already').check();
  await page.getByRole('button', { name: 'Import' }).click();
  await page.getByText('password is stored for where the saved connection points').waitFor();
  await page.getByRole('link', { name: 'Open in the form' }).click();
  await fill(page, { Password: 'another' });
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('acme/moves is saved.').waitFor();
  const { host, password: stored } = await ui.bed.state('moves');
  assert.deepEqual([host, stored], ['mail.example.com', 'another']);
});

/** In the page: where the first and the last letter of some words stand. */
function sidesOf(element: Element, words: string): { left: number; right: number } {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const at = node.textContent?.indexOf(words) ?? -1;
    if (at < 0) continue;
    const range = document.createRange();
    const leftOf = (offset: number) => {
      range.setStart(node, offset);
      range.setEnd(node, offset + 1);
      return range.getBoundingClientRect().left;
    };
    return { left: leftOf(at), right: leftOf(at + words.length - 1) };
  }
  return { left: Number.NaN, right: Number.NaN };
}

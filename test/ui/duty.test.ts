import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import type { TransactionAction } from '@azure/data-tables';
import { clock } from '../../shared/ui/page/words.ts';
import { mailboxColumns, password } from '../app/testbed.ts';
import { entity } from '../mail/build.ts';
import { attached, mixedMail } from '../reliability/mails.ts';
import { listMaildir, seedMaildir } from '../testbed/seed.ts';
import { fill, go, startUiTestbed, type UiTestbed, violationsOf } from './browser.ts';
import { addRecord } from './records.ts';

let ui: UiTestbed;

before(async () => {
  ui = await startUiTestbed({ users: ['anna', 'bert', 'carl'] });
});
after(() => ui.stop());

const fields = [
  'From: Xaver <xaver@example.org>',
  'To: orders@acme.example',
  'Subject: Invoice 4711',
  'Message-ID: <4711@example.org>',
  'Date: Thu, 26 Nov 2026 08:15:00 +0000',
  'MIME-Version: 1.0',
].join('\r\n');
const mail = mixedMail(fields, [
  entity('Content-Type: text/plain', 'As agreed.'),
  attached('application/pdf', 'invoice.pdf', Buffer.from('%PDF')),
]);

test('told of a mail by sender and subject, one finds that it was picked up, when, and what became of each part; or that it never came', async (context) => {
  await seedMaildir(ui.bed.dovecot.maildir('anna'), [mail]);
  await ui.bed.addConnection('orders', mailboxColumns(ui.bed.dovecot, 'IMAP', 'anna'));
  await ui.bed.poll('orders');
  const sent = ui.bed.broker.queue('email-inbound').messages;
  assert.equal(sent.length, 2);

  const { page } = await ui.open(context);
  await page.getByRole('link', { name: 'Mails', exact: true }).click();
  await page.getByRole('searchbox').fill('invoice 4711');
  const row = page.locator('tbody.mail');
  await row
    .filter({ hasText: /Invoice 4711.*Xaver.*acme\/orders.*Delivered.*2 messages to email-inbound/s })
    .waitFor();
  await row.getByRole('button', { name: 'Invoice 4711' }).click();
  await page.getByText('Picked up').waitFor();
  for (const message of sent) await page.getByText(String(message.messageId)).waitFor();
  await page.getByText('invoice.pdf').first().waitFor();
  assert.match(page.url(), /#\/mails\?q=invoice\+4711$/);

  await page.getByRole('searchbox').fill('invoice 4712');
  await page.getByText('No such mail was picked up').waitFor();
  // The address is the whole search.
  await page.goto(`${ui.url}#/mails?q=XAVER%40example.org&customer=acme&connection=orders&window=today`);
  await row.filter({ hasText: 'Invoice 4711' }).waitFor();

  await page.getByRole('link', { name: 'acme/orders' }).click();
  await page
    .getByRole('region', { name: 'Runs' })
    .filter({ hasText: /1 mail, 2 messages, \d+ B in/ })
    .waitFor();
  await page.getByRole('region', { name: 'Last run' }).filter({ hasText: '1 today' }).waitFor();
});

test('who sees a hundred red rows knows the one cause at a glance, opens it, and does something about all of them', async (context) => {
  const since = new Date(Date.now() - 36 * 60_000);
  const actions = Array.from({ length: 100 }, (_, index): TransactionAction => {
    const username = `user${index}@example.com`;
    const lastError = `IMAP login to imap.example.com:993 as ${username} was refused: the server is in maintenance. Check username and password.`;
    const state = {
      lastStatus: 'failed',
      lastError,
      consecutiveFailures: 36,
      lastRunStartedAt: new Date().toISOString(),
      nextRunAt: '2030-01-01T00:00:00.000Z',
    };
    const columns = { host: 'imap.example.com', hostType: 'IMAP', username, password: 'x' };
    return ['upsert', { partitionKey: 'globex', rowKey: `box-${index}`, ...columns, ...state }];
  });
  await ui.bed.connections.submitTransaction(actions);
  const { page } = await ui.open(context);
  const causes = page.getByRole('region', { name: 'Why connections fail' });
  const cause = causes.getByRole('button', {
    name: /^100 connections: IMAP login to imap\.example\.com:993 as … was refused: the server is in maintenance\./,
  });
  await cause.waitFor();
  assert.equal(await causes.getByRole('button').count(), 1);
  const told = (await cause.textContent()) ?? '';
  // With its date in the first minutes of a day.
  const near = [-2, -1, 0, 1, 2].map((minutes) => {
    const time = new Date(since.getTime() + minutes * 60_000);
    return `since about ${clock(time.toISOString(), Date.now())}`;
  });
  assert.ok(
    near.some((words) => told.includes(words)),
    told,
  );

  await cause.click();
  await page.getByText('100 shown').waitFor();
  await page.reload();
  await page.getByText('100 shown').waitFor();
  await page.getByLabel('Select all 100').check();
  const bulk = page.getByRole('region', { name: 'Selected connections' });
  await bulk.getByText('100 connections selected').waitFor();
  await bulk.getByRole('button', { name: 'Disable…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Disable' }).click();
  await page.getByText('100 connections disabled.').waitFor({ timeout: 90_000 });
  await causes.waitFor({ state: 'detached' });
  const { enabled } = await ui.bed.connections.getEntity<{ enabled: boolean }>('globex', 'box-42');
  assert.equal(enabled, false);
});

test('filters, search and page of the list stand in the address', async (context) => {
  const { page } = await ui.open(context);
  await page.getByLabel('Customer').selectOption('globex');
  await page.getByRole('searchbox').fill('box-1');
  await page.getByText('11 shown').waitFor();
  assert.match(page.url(), /#\/\?customer=globex&q=box-1$/);
  await page.goto(`${ui.url}#/?customer=globex&page=2`);
  await page.getByText('Page 2 of 2').waitFor();
  await page.getByRole('link', { name: 'globex/box-99' }).click();
  await page.getByRole('heading', { name: 'globex/box-99' }).waitFor();
  await page.goBack();
  await page.getByText('Page 2 of 2').waitFor();
});

test('undelivered mails are filtered and given up; deleting their connection says how many still wait', async (context) => {
  const record = { partCount: 1, partsLeft: 1, tries: 1, error: 'Away.', from: 'x@example.org' };
  const times = { storedAt: new Date(), nextTryAt: new Date(Date.now() + 60_000) };
  const interchangeId = randomUUID();
  await addRecord(ui.bed, {
    ...{ ...record, ...times, interchangeId },
    ...{ connection: 'elsewhere', subject: 'For elsewhere' },
  });
  for (const subject of ['For waits', 'For waits']) {
    await addRecord(ui.bed, { ...record, ...times, connection: 'waits', subject });
  }
  await ui.bed.addConnection('waits', { ...mailboxColumns(ui.bed.dovecot, 'IMAP', 'bert'), enabled: false });
  const { page } = await ui.open(context);
  await go(page, '#/show/acme/waits');
  await page.getByRole('region', { name: 'Undelivered mails' }).getByText('For waits').first().waitFor();
  assert.equal(await page.getByRole('button', { name: 'Poll now' }).isDisabled(), true);
  await page.getByRole('button', { name: 'Delete…' }).click();
  await page.getByRole('dialog').getByText('2 mails of it still wait to be sent').waitFor();
  await page.getByRole('button', { name: 'Cancel' }).click();

  await page.getByRole('link', { name: 'All of them' }).click();
  await page.getByText('2 mails').first().waitFor();
  await go(page, `#/undelivered?mail=${interchangeId}`);
  const only = page.locator('tbody').filter({ hasText: 'For elsewhere' });
  await page.getByText('1 mail', { exact: true }).waitFor();
  const [asked] = await Promise.all([
    // Not that of the number beside the page's name.
    page.waitForRequest(/\/undelivered\?(?!limit=100$)/),
    only.getByRole('button', { name: 'Resend' }).click(),
  ]);
  await only.getByText('now', { exact: true }).waitFor();
  assert.equal(new URL(asked.url()).searchParams.get('limit'), '1', 'it is looked for once');
  await go(page, '#/undelivered?customer=acme&connection=waits');
  const first = page.locator('tbody').filter({ hasText: 'For waits' }).first();
  await first.filter({ hasText: 'x@example.org' }).getByRole('button', { name: 'Give up…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Give up for good' }).click();
  await page.getByText('1 mail given up.').waitFor();
  await page.getByRole('button', { name: 'Give all up…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Give up for good' }).click();
  await page.getByText('None of this filter waits').waitFor();
  await go(page, '#/undelivered');
  await page.getByText('For elsewhere').first().waitFor();
});

test('connections are exported without secrets, and imported; what lacks a secret is opened in the form', async (context) => {
  await ui.bed.addConnection('exported', {
    ...mailboxColumns(ui.bed.dovecot, 'IMAP', 'bert'),
    enabled: false,
    folder: 'INBOX',
    pollingIntervalSeconds: 300,
  });
  const { page } = await ui.open(context);
  await page.getByLabel('Select acme/exported').check();
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page
      .getByRole('region', { name: 'Selected connections' })
      .getByRole('button', { name: 'Export' })
      .click(),
  ]);
  const text = await readFile(await download.path(), 'utf8');
  assert.doesNotMatch(text, new RegExp(`${password}|password|state`));
  const { connections } = JSON.parse(text) as { connections: Record<string, unknown>[] };
  assert.equal(connections[0]?.pollingIntervalSeconds, 300);
  await ui.bed.connections.deleteEntity('acme', 'exported');

  await page.getByRole('link', { name: 'Import' }).click();
  await page
    .getByLabel('File')
    .setInputFiles({ name: 'c.json', mimeType: 'application/json', buffer: Buffer.from(text) });
  await page.getByRole('button', { name: 'Import' }).click();
  await page.getByText('0 added, 0 replaced, 0 left as they are, 1 refused.').waitFor();
  await page.getByRole('link', { name: 'Open in the form' }).click();
  assert.equal(await page.getByLabel('Polling Interval').inputValue(), '300');
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Add connection' }).click();
  await page.getByText('acme/exported is saved.').waitFor();
  const entity = await ui.bed.state('exported');
  assert.deepEqual([entity.password, entity.enabled], [password, false]);
});

test('the form says no more than is so: what was tested or refused goes when the field changes, and changes are not lost unasked', async (context) => {
  const { page } = await ui.open(context, { isLate: true });
  await go(page, '#/new');
  await page.getByRole('button', { name: 'Add connection' }).click();
  const status = page.locator('form [role=status]');
  // Names and columns in one round, in the form's words.
  await status.filter({ hasText: '5 fields are not right.' }).waitFor();
  await page.getByText('Host is missing').waitFor();
  await page.getByLabel('Host', { exact: true }).fill('127.0.0.1');
  await page.getByText('Host is missing').waitFor({ state: 'detached' });
  await status.filter({ hasText: '4 fields are not right.' }).waitFor();

  await page.getByLabel('Port', { exact: true }).fill('1');
  await page.getByLabel('Username').fill('bert ');
  await page.getByText('It ends with a blank. Is that meant?').waitFor();
  const secret = page.getByLabel('Password', { exact: true });
  await secret.fill('typed');
  await page.getByRole('button', { name: 'Show Password' }).click();
  assert.equal(await secret.getAttribute('type'), 'text');
  await page.getByRole('button', { name: 'Test connection' }).click();
  await status.filter({ hasText: 'refused' }).waitFor();
  await page.getByLabel('Port', { exact: true }).fill('2');
  await page.locator('form .bad').waitFor({ state: 'detached' });

  const asked: string[] = [];
  let answer = false;
  page.on('dialog', (dialog) => {
    asked.push(dialog.message());
    return answer ? dialog.accept() : dialog.dismiss();
  });
  await page.getByRole('link', { name: 'Mails', exact: true }).click();
  assert.equal(await page.getByLabel('Port', { exact: true }).inputValue(), '2');
  answer = true;
  await page.getByRole('link', { name: 'Mails', exact: true }).click();
  await page.getByRole('heading', { name: 'Mails', level: 1 }).waitFor();
  await go(page, '#/new');
  await page.getByLabel('Username').fill('bert');
  await go(page, '#/mails');
  await page.getByRole('heading', { name: 'Mails', level: 1 }).waitFor();
  assert.deepEqual(asked, Array(3).fill('Leave without saving your changes?'));
});

test('a provider that is known sets host, port and login, and says what it needs', async (context) => {
  const { page } = await ui.open(context);
  await go(page, '#/new');
  page.on('dialog', (dialog) => dialog.accept());
  await page.getByLabel('Host', { exact: true }).fill('outlook.office365.com');
  await page.getByText('Exchange Online takes no passwords.').waitFor();
  assert.equal(await page.getByLabel('Login').inputValue(), 'oauth2');
  assert.equal(await page.getByLabel('OAuth2 Grant').inputValue(), 'clientCredentials');
  await page.getByLabel('Provider').selectOption('Google Workspace, Gmail');
  assert.equal(await page.getByLabel('Host', { exact: true }).inputValue(), 'imap.gmail.com');
  assert.equal(await page.getByLabel('Port', { exact: true }).inputValue(), '993');
  await page.getByText('Google takes no account passwords.').waitFor();
  await page.getByLabel('Host', { exact: true }).fill('pop.gmail.com');
  assert.equal(await page.getByLabel('Host Type').inputValue(), 'POP3');
  assert.equal(await page.getByLabel('Port', { exact: true }).inputValue(), '995');
});

test('a connection that deletes is added only once it is said how many mails it will delete', async (context) => {
  await seedMaildir(ui.bed.dovecot.maildir('bert'), [mail, mail, mail]);
  const { page } = await ui.open(context);
  await go(page, '#/new');
  await fill(page, {
    Customer: 'acme',
    'Connection name': 'deletes',
    Username: 'bert',
    Password: password,
    Host: '127.0.0.1',
  });
  await page.getByLabel('Host Type').selectOption('POP3');
  await page.getByLabel('Use SSL').uncheck();
  await page.getByLabel('Port', { exact: true }).fill(String(ui.bed.dovecot.pop3Port));
  await page.getByRole('button', { name: 'Add connection' }).click();
  const dialog = page.getByRole('dialog', { name: 'Mails will be deleted' });
  await dialog.getByText('3 mails will be sent and DELETED from the server').waitFor();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await assert.rejects(ui.bed.state('deletes'), { statusCode: 404 });
  await page.getByRole('button', { name: 'Add connection' }).click();
  await dialog.getByRole('button', { name: 'Add, send and delete' }).click();
  await page.getByText('acme/deletes was polled: 3 mails').waitFor();
  assert.deepEqual(await listMaildir(ui.bed.dovecot.maildir('bert')), []);
});

test('a test in the form offers the folders that there are, and shows which mails the filters take and leave out', async (context) => {
  const maildir = ui.bed.dovecot.maildir('carl');
  const mailOf = (subject: string) =>
    Buffer.from(`From: ann@example.org\r\nSubject: ${subject}\r\n\r\nHello\r\n`);
  await seedMaildir(maildir, ['Order 1', 'News', 'Order 2'].map(mailOf));
  const { page } = await ui.open(context);
  page.on('dialog', (dialog) => dialog.accept());
  await go(page, '#/new');
  const port = String(ui.bed.dovecot.imapPort);
  await fill(page, { Username: 'carl', Password: password, Host: '127.0.0.1' });
  await page.getByLabel('Use SSL').uncheck();
  await page.getByText('Advanced', { exact: true }).click();
  const folder = page.getByLabel('Folder', { exact: true });
  await fill(page, { Port: port, Folder: 'Nowhere', 'Subject Filter': 'order*' });
  assert.equal(await folder.getAttribute('list'), null);
  const outcome = page.locator('form [role=status]');
  await page.getByRole('button', { name: 'Test connection' }).click();
  await outcome.filter({ hasText: 'Folder "Nowhere"' }).waitFor();
  assert.deepEqual(await page.evaluate(choicesOf('folder')), ['INBOX']);

  await fill(page, { Folder: 'INBOX' });
  assert.deepEqual(await page.evaluate(choicesOf('moveToFolder')), ['INBOX'], 'they stay while it is chosen');
  await page.getByRole('button', { name: 'Test connection' }).click();
  await outcome.filter({ hasText: 'It works: 3 unread mails; of them the filters take 2.' }).waitFor();
  const items = outcome.locator('.preview li');
  const judged = (await items.allInnerTexts()).map((text) => text.replace(/\s+/g, ' ').split(' ann@')[0]);
  assert.deepEqual(judged, ['Taken Order 1', 'Left out News', 'Taken Order 2']);
  assert.deepEqual(await violationsOf(page), []);
  assert.deepEqual(
    (await listMaildir(maildir)).map(({ seen }) => seen),
    [false, false, false],
  );

  await fill(page, { Customer: 'acme', 'Connection name': 'filtered' });
  await page.getByLabel('Delete Messages').check();
  await page.getByRole('button', { name: 'Add connection' }).click();
  const question = page.getByRole('dialog', { name: 'Mails will be deleted' });
  await question
    .getByText('Those that the filters take, of 3 unread mails, will be sent and DELETED')
    .waitFor();
  await question.getByRole('button', { name: 'Cancel' }).click();

  await fill(page, { Username: 'somebody else' });
  assert.equal(await folder.getAttribute('list'), null, 'those of another mailbox');

  await fill(page, { Username: 'carl' });
  await page.getByLabel('Host Type').selectOption('POP3');
  await fill(page, { Port: String(ui.bed.dovecot.pop3Port) });
  await page.getByRole('button', { name: 'Test connection' }).click();
  await outcome.filter({ hasText: 'It works: 3 mails to fetch.' }).waitFor();
  await outcome.getByText('The first 3, as they would be sent').click();
  await items.filter({ hasText: /News.*Its header alone was looked at/s }).waitFor();
});

/** In the page: what a field offers to choose from. */
const choicesOf = (column: string) =>
  `[...document.getElementById('field-${column}').list.options].map(({ value }) => value)`;

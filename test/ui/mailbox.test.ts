import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Locator, Page } from 'playwright-core';
import { mailboxColumns, password } from '../app/testbed.ts';
import { seedMaildir } from '../testbed/seed.ts';
import { fill, functionKey, startUiTestbed, type UiTestbed } from './browser.ts';

let ui: UiTestbed;

before(async () => {
  ui = await startUiTestbed({ users: ['anna', 'bert', 'carl'] });
});
after(() => ui.stop());

const mail = Buffer.from('Subject: hello\r\nContent-Type: text/plain\r\n\r\nHello\r\n');
const row = (page: Page, name: string) =>
  page.locator('tbody').filter({ has: page.getByRole('link', { name }) });
const status = (page: Page) => page.locator('form [role=status]');
const toast = (page: Page) => page.locator('.toasts');

const edit = async (page: Page, name: string) => {
  await page.goto(`${ui.url}#/edit/acme/${name}`);
  await page.getByRole('heading', { level: 1, name: `Edit acme/${name}` }).waitFor();
};

async function says(locator: Locator, text: string | RegExp): Promise<void> {
  await locator.filter({ hasText: text }).first().waitFor();
}

async function fieldError(page: Page, label: string): Promise<string> {
  const field = page.getByLabel(label, { exact: true });
  assert.equal(await field.getAttribute('aria-invalid'), 'true');
  const ids = (await field.getAttribute('aria-describedby')) ?? '';
  return (await page.locator(`#${ids.split(' ').at(-1)}`).textContent()) ?? '';
}

async function addAnna(name: string, more: Readonly<Record<string, unknown>> = {}): Promise<void> {
  await ui.bed.addConnection(name, { ...mailboxColumns(ui.bed.dovecot, 'IMAP', 'anna'), ...more });
}

test('a mailbox is added, tested, polled, broken and mended from the page alone', async (context) => {
  const { page, requests } = await ui.open(context, { key: '' });
  const { broker, dovecot } = ui.bed;
  await seedMaildir(dovecot.maildir('bert'), [mail]);

  await page.getByLabel('Key', { exact: true }).fill('wrong');
  await page.getByRole('button', { name: 'Continue' }).click();
  await says(page.getByRole('alert'), 'refused this key');
  await page.getByLabel('Key', { exact: true }).fill(functionKey);
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('link', { name: 'Add the first one' }).click();

  await fill(page, { Customer: 'acme', 'Connection name': 'bert', Host: '127.0.0.1' });
  await page.getByRole('button', { name: 'Add connection' }).click();
  await says(status(page), '2 fields are not right.');
  assert.match(await fieldError(page, 'Username'), /Username is missing/);
  assert.match(await fieldError(page, 'Password'), /Password is missing/);

  await fill(page, { Username: 'bert', Password: password });
  await page.locator('form .bad').waitFor({ state: 'detached' });
  const port = page.getByLabel('Port', { exact: true });
  await page.getByLabel('Use SSL').uncheck();
  assert.equal(await port.inputValue(), '143');
  await port.fill(String(dovecot.imapPort));
  await page.getByRole('button', { name: 'Test connection' }).click();
  await says(status(page), 'It works: 1 mail to fetch.');
  await page.getByRole('button', { name: 'Add connection' }).click();

  // It is polled without being asked, and its own page tells what comes of it.
  const health = page.getByRole('region', { name: 'Last run' });
  await says(toast(page), 'acme/bert was polled: 1 mail, 1 message.');
  await says(health, /OK.*just now, 1 today|OK.* ago, 1 today/s);
  await health.getByRole('img', { name: 'Last day: 1 mail; 0 failed runs.' }).waitFor();
  assert.equal(broker.queue('email-inbound').messages.length, 1);

  await page.getByRole('link', { name: 'Edit' }).click();
  const secret = page.getByLabel('Password', { exact: true });
  assert.equal(await secret.inputValue(), '');
  await secret.fill('wrong horse');
  await page.getByRole('button', { name: 'Test connection' }).click();
  await says(status(page), /IMAP login to 127\.0\.0\.1:\d+ as bert was refused.*✗.*Login/s);
  assert.equal((await status(page).textContent())?.match(/was refused/g)?.length, 1, 'it is said once');
  await page.getByRole('button', { name: 'Save' }).click();
  await says(page.locator('.toast.trouble'), 'acme/bert could not be polled.');
  await says(
    health,
    /IMAP login to 127\.0\.0\.1:\d+ as bert was refused.*Check username and password.*Failed/s,
  );
  await page.getByRole('link', { name: 'Connections', exact: true }).click();
  await says(page.getByRole('status'), '1 connection · 1 failing');
  const bert = row(page, 'acme/bert');
  await says(bert, /Failed.*was refused/s);

  await bert.getByRole('link', { name: 'acme/bert' }).click();
  await page.getByRole('link', { name: 'Edit' }).click();
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Save' }).click();
  await says(toast(page), 'acme/bert was polled: 0 mails');
  await says(health, 'OK');
  assert.doesNotMatch((await health.textContent()) ?? '', /refused/);
  await health.getByRole('img', { name: 'Last day: 1 mail; 1 failed run.' }).waitFor();

  // Kept when it is left empty.
  await page.getByRole('link', { name: 'Edit' }).click();
  await fill(page, { 'Polling Interval': '600' });
  await page.getByRole('button', { name: 'Save' }).click();
  await says(health, 'every 10 min');
  assert.equal((await ui.bed.state('bert')).password, password);

  assert.equal((await page.content()).includes(password), false);
  const origin = new URL(ui.url).origin;
  for (const request of requests) {
    assert.ok(request.includes(` ${origin}/`), request);
    assert.doesNotMatch(decodeURIComponent(request), /function key|horse/);
  }
  await ui.bed.connections.deleteEntity('acme', 'bert');
});

test('an app without keys, or behind a sign-in, asks for none', async (context) => {
  const open = await ui.bed.host.serveHttp();
  const { page } = await ui.open(context, { key: '' });
  context.after(() => open.stop());
  await page.goto(`${open.url}/api/ui`);
  await says(page.getByRole('status'), /\d+ connection|No connections/);
  assert.equal(await page.getByRole('dialog').count(), 0);
});

test('Delete Messages is shown as always on for POP3, with the reason', async (context) => {
  const { page } = await ui.open(context);
  await page.getByRole('link', { name: 'New connection' }).click();
  const box = page.getByLabel('Delete Messages');
  assert.equal(await box.isChecked(), false);
  await page.getByLabel('Host Type').selectOption('POP3');
  assert.equal(await box.isChecked(), true);
  assert.equal(await box.isDisabled(), true);
  await page.getByText('Always on for POP3').waitFor();
  assert.equal(await page.getByLabel('Port', { exact: true }).inputValue(), '995');
  await page.getByLabel('Host Type').selectOption('IMAP');
  assert.equal(await box.isChecked(), false);
});

test('an error in a field under Advanced opens it, and puts the reader there', async (context) => {
  await addAnna('zoned');
  const { page } = await ui.open(context, { isLate: true });
  await edit(page, 'zoned');
  await page.getByText('Advanced', { exact: true }).click();
  await fill(page, { Cron: 'often' });
  await page.getByText('Advanced', { exact: true }).click();
  await page.getByRole('button', { name: 'Save' }).click();
  const cron = page.getByLabel('Cron', { exact: true });
  await cron.waitFor({ state: 'visible' });
  assert.match(await fieldError(page, 'Cron'), /Cron is "often"/);
  assert.equal(await cron.evaluate((element) => element.matches(':focus')), true);
});

test('a change that somebody else has made meanwhile is not overwritten', async (context) => {
  await addAnna('shared');
  const { page } = await ui.open(context, { isLate: true });
  await edit(page, 'shared');
  await fill(page, { 'Polling Interval': '120' });
  await addAnna('shared', { pollingIntervalSeconds: 3_600 });
  await page.getByRole('button', { name: 'Save' }).click();
  await says(status(page), 'Somebody has changed or deleted this connection meanwhile. Nothing was saved.');
  assert.equal((await ui.bed.state('shared')).pollingIntervalSeconds, 3_600);
  await page.getByRole('button', { name: 'Reload it' }).click();
  await page.getByText('Now every hour.').waitFor();
  assert.equal(await page.getByLabel('Polling Interval').inputValue(), '3600');
});

test('a new connection does not overwrite one of the same name', async (context) => {
  await addAnna('taken');
  const { page } = await ui.open(context);
  await page.getByRole('link', { name: 'New connection' }).click();
  await fill(page, {
    Customer: 'acme',
    'Connection name': 'taken',
    Username: 'carl',
    Password: 'pw',
    Host: 'mail.example.com',
  });
  await page.getByRole('button', { name: 'Add connection' }).click();
  await page.getByText('There is a connection of this name already.').waitFor();
  assert.equal((await ui.bed.state('taken')).username, 'anna');
});

test('a connection is disabled, enabled, duplicated and, after a question, deleted', async (context) => {
  await addAnna('many-uses', { folder: 'INBOX', note: 'of the operator' });
  const { page } = await ui.open(context);
  const entry = row(page, 'acme/many-uses');
  const more = entry.getByRole('button', { name: 'More' });
  await more.click();
  await entry.getByRole('button', { name: 'Disable' }).click();
  // By its case: Disable and Duplicate stand side by side in the menu.
  await says(entry, /Disabled/);
  assert.equal(await entry.getByRole('button', { name: 'Poll now' }).isDisabled(), true);
  const { enabled, note } = await ui.bed.state('many-uses');
  assert.deepEqual([enabled, note], [false, 'of the operator']);
  await more.click();
  await entry.getByRole('button', { name: 'Enable' }).click();
  await says(entry, 'Not run yet');

  await more.click();
  await entry.getByRole('link', { name: 'Duplicate' }).click();
  assert.equal(await page.getByLabel('Connection name').inputValue(), 'many-uses-copy');
  assert.equal(await page.getByLabel('Username').inputValue(), 'anna');
  await fill(page, { Password: password });
  await page.getByRole('button', { name: 'Add connection' }).click();
  await page.getByRole('heading', { level: 1, name: 'acme/many-uses-copy' }).waitFor();
  await page.getByRole('link', { name: 'Connections', exact: true }).click();
  const copy = row(page, 'acme/many-uses-copy');
  await copy.getByRole('button', { name: 'More' }).click();
  await copy.getByRole('button', { name: 'Delete…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Delete acme/many-uses-copy?' });
  await dialog.waitFor();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  await copy.getByRole('button', { name: 'More' }).click();
  await copy.getByRole('button', { name: 'Delete…' }).click();
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await copy.waitFor({ state: 'detached' });
  await assert.rejects(ui.bed.state('many-uses-copy'), { statusCode: 404 });
});

test('the keyboard alone adds a mailbox, polls it and deletes it', async (context) => {
  await seedMaildir(ui.bed.dovecot.maildir('carl'), [mail]);
  const { page } = await ui.open(context, { isLate: true });
  await says(page.getByRole('status'), /\d+ connection/);
  const press = async (...keys: readonly string[]) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  const tabTo = async (name: RegExp) => {
    for (let presses = 0; presses < 120; presses += 1) {
      await press('Tab');
      const label = String(await page.evaluate(focusedName));
      if (name.test(label)) return;
    }
    assert.fail(`Tab does not lead to ${name}.`);
  };

  await tabTo(/^New connection$/);
  await press('Enter');
  await page.getByRole('heading', { name: 'New connection' }).waitFor();
  assert.equal(await page.locator('h1:focus').count(), 1);
  for (const [name, text] of [
    [/^Customer$/, 'acme'],
    [/^Connection name$/, 'by-keyboard'],
    [/^Username$/, 'carl'],
    [/^Password$/, password],
    [/^Host$/, '127.0.0.1'],
    [/^Port$/, String(ui.bed.dovecot.imapPort)],
  ] as const) {
    await tabTo(name);
    await press('Control+A');
    await page.keyboard.type(text);
  }
  await tabTo(/^Use SSL$/);
  await press('Space');
  await tabTo(/^Test connection$/);
  await press('Enter');
  await says(status(page), 'It works: 1 mail to fetch.');
  await tabTo(/^Add connection$/);
  await press('Enter');
  await page.getByRole('heading', { level: 1, name: 'acme/by-keyboard' }).waitFor();
  await says(toast(page), 'acme/by-keyboard was polled: 1 mail');
  await tabTo(/^Connections$/);
  await press('Enter');
  const entry = row(page, 'acme/by-keyboard');
  await entry.waitFor();
  await tabTo(/^Poll now acme\/by-keyboard$/);
  await press('Enter');
  await says(toast(page), 'acme/by-keyboard was polled: 0 mails');
  await tabTo(/^More for acme\/by-keyboard$/);
  await press('Enter');
  await tabTo(/^Disable$/);
  await press('Escape');
  assert.match(String(await page.evaluate(focusedName)), /^More for acme\/by-keyboard$/);
  await press('Enter');
  await tabTo(/^Delete…$/);
  await press('Enter');
  assert.equal(await page.locator('dialog').evaluate((dialog) => dialog.matches(':modal')), true);
  await tabTo(/^Delete$/);
  await press('Enter');
  await entry.waitFor({ state: 'detached' });
});

/** In the page: the label or text of what has the focus. */
const focusedName = `(() => {
  const focused = document.activeElement;
  const label = focused?.labels?.[0] ?? focused;
  return (label?.textContent ?? '').replace(/\\s+/g, ' ').trim();
})()`;

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { TransactionAction } from '@azure/data-tables';
import { mailboxColumns } from '../app/testbed.ts';
import { writeJournal } from '../http/writeJournal.ts';
import { mailLine, part } from '../journal/storage.ts';
import { functionKey, startUiTestbed, type UiTestbed, violationsOf } from './browser.ts';
import { addRecord } from './records.ts';

let ui: UiTestbed;

const hostile = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>';
let waiting: string;
let abandoned: string;

before(async () => {
  ui = await startUiTestbed({ users: ['anna'] });
  const columns = mailboxColumns(ui.bed.dovecot, 'IMAP', 'anna');
  const history = {
    since: new Date(Math.floor(Date.now() / 3_600_000) * 3_600_000),
    mails: [3],
    failures: [1],
  };
  await ui.bed.addConnection('ok', { ...columns, lastStatus: 'ok', history: JSON.stringify(history) });
  await ui.bed.addConnection('off', { ...columns, enabled: false });
  await ui.bed.addConnection('failing', {
    ...columns,
    username: hostile,
    folder: hostile,
    queueName: hostile,
    lastStatus: 'failed',
    consecutiveFailures: 2,
    lastError: `The server said ${hostile}`,
  });
  const record = { connection: 'ok', partCount: 2, partsLeft: 1, tries: 3, error: `Refused: ${hostile}` };
  const storedAt = new Date(Date.now() - 42 * 60_000);
  const nextTryAt = new Date(Date.now() + 18 * 60_000);
  waiting = await addRecord(ui.bed, { ...record, subject: hostile, from: hostile, storedAt, nextTryAt });
  abandoned = await addRecord(ui.bed, { ...record, subject: 'Old one', storedAt, nextTryAt: undefined });
  await writeJournal(ui.bed, 'ok', [
    mailLine({
      at: storedAt,
      emailSubject: hostile,
      emailFrom: hostile,
      parts: [part(1), part(2, { inboundFileName: hostile })],
    }),
  ]);
});
after(() => ui.stop());

for (const colorScheme of ['light', 'dark'] as const) {
  for (const width of [1280, 360]) {
    test(`axe finds nothing wrong with any page, ${colorScheme}, ${width} pixels wide, and nothing overflows`, async (context) => {
      const { page } = await ui.open(context, { colorScheme, viewport: { width, height: 800 } });
      // A form with changes asks before it is left.
      page.on('dialog', (dialog) => dialog.accept());
      const check = async (what: string) => {
        assert.deepEqual(await violationsOf(page), [], what);
        assert.deepEqual(await page.evaluate(overflowing), [], `${what} is wider than the window`);
      };
      await page.getByRole('link', { name: 'acme/failing' }).waitFor();
      await page.getByRole('button', { name: 'More for acme/ok' }).click();
      await check('list');
      await page.getByRole('link', { name: 'New connection' }).click();
      await page.getByText('Advanced', { exact: true }).click();
      await page.getByLabel('Login').selectOption('oauth2');
      await page.getByLabel('OAuth2 Grant').selectOption('refreshToken');
      await page.getByLabel('Customer').fill('acme');
      await page.getByLabel('Connection name').fill('new');
      await page.getByRole('button', { name: 'Add connection' }).click();
      await page.getByText('fields are not right').waitFor();
      await check('form');
      await page.goto(`${ui.url}#/edit/acme/failing`);
      await page.getByLabel('Username').waitFor();
      await check('edit');
      await page.goto(`${ui.url}#/show/acme/failing`);
      await page.getByRole('button', { name: 'Delete…' }).click();
      await page.getByRole('dialog').waitFor();
      await check('dialog');
      await page.getByRole('button', { name: 'Cancel' }).click();
      await page.goto(`${ui.url}#/show/acme/ok`);
      await page.getByRole('region', { name: 'Undelivered mails' }).waitFor();
      await page
        .getByRole('region', { name: 'Mails', exact: true })
        .getByRole('button', { name: 'img' })
        .waitFor();
      await check('own page');
      await page.getByRole('link', { name: 'Mails', exact: true }).click();
      // Until then the page before stands there, which has more such buttons.
      await page.getByRole('heading', { level: 1, name: 'Mails' }).waitFor();
      await page.getByRole('button', { name: hostile }).click();
      await page.getByText('SHA-256').first().waitFor();
      await check('mails');
      await page.getByRole('link', { name: /^Undelivered/ }).click();
      await page.getByRole('heading', { level: 1, name: 'Undelivered' }).waitFor();
      await page.getByText('Old one').first().waitFor();
      await check('undelivered');
      await page.goto(`${ui.url}#/import`);
      await page.getByLabel('File').waitFor();
      await check('import');
    });
  }
}

test('axe finds nothing wrong with the question for a key', async (context) => {
  const { page } = await ui.open(context, { key: '' });
  await page.getByRole('dialog', { name: 'Function key' }).waitFor();
  assert.deepEqual(await violationsOf(page), []);
});

test('hostile text is shown as text', async (context) => {
  const { page } = await ui.open(context);
  await page.getByText(`The server said ${hostile}`).last().waitFor();
  await page.goto(`${ui.url}#/edit/acme/failing`);
  await page.getByLabel('Username').waitFor();
  assert.equal(await page.getByLabel('Username').inputValue(), hostile);
  await page.getByText(`The server said ${hostile}`).waitFor();
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText(/Queue Name is "<img src=x/).waitFor();
  page.on('dialog', (dialog) => dialog.accept());
  await page.getByRole('link', { name: 'Mails', exact: true }).click();
  await page.getByRole('button', { name: hostile }).click();
  await page.locator('.parts').getByText(hostile).waitFor();
  await page.getByRole('link', { name: /^Undelivered/ }).click();
  await page.getByRole('rowheader', { name: hostile }).waitFor();
  await page.getByText(`Refused: ${hostile}`).first().waitFor();
  await page.goto(`${ui.url}#/edit/acme/${encodeURIComponent(hostile)}`);
  await page.getByText(`There is no connection acme/${hostile}`).waitFor();
  assert.equal(await page.evaluate('window.hacked'), undefined);
  assert.equal(await page.locator('img').count(), 0);
});

test('undelivered mail is shown with age, tries and error, and resent one by one or all together', async (context) => {
  const table = ui.bed.table('EmailUndelivered');
  const statusOf = async (id: string) => (await table.getEntity('undelivered', id)).status;
  const { page } = await ui.open(context);
  await page.getByRole('link', { name: /^Undelivered/ }).click();
  const old = page.locator('tbody').filter({ hasText: 'Old one' });
  await old.filter({ hasText: /1 of 2 parts left.*acme\/ok.*4\d min.*3.*Abandoned.*Refused: /s }).waitFor();
  assert.equal(await statusOf(abandoned), 'abandoned');
  await old.getByRole('button', { name: 'Resend' }).click();
  await page.getByText('1 mail will be sent within a minute.').waitFor();
  await old.filter({ hasText: 'now' }).waitFor();
  assert.equal(await statusOf(abandoned), 'waiting');

  await page.getByRole('button', { name: 'Resend all' }).click();
  await page
    .getByRole('dialog', { name: 'Resend all that there are?' })
    .getByRole('button', { name: 'Resend all' })
    .click();
  await page.getByText('2 mails will be sent within a minute.').waitFor();
  const { nextTryAt } = await table.getEntity<{ nextTryAt: string }>('undelivered', waiting);
  assert.ok(Date.parse(nextTryAt) <= Date.now());
});

test('the list refreshes by itself within fifteen seconds, and says within fifteen when it can not', async (context) => {
  const { page } = await ui.open(context);
  context.after(() => ui.bed.connections.deleteEntity('acme', 'came-later'));
  await page.clock.install();
  await page.reload();
  await page.getByRole('link', { name: 'acme/ok' }).waitFor();
  await ui.bed.addConnection('came-later', mailboxColumns(ui.bed.dovecot, 'IMAP', 'anna'));
  const later = page.getByRole('link', { name: 'acme/came-later' });
  await page.clock.runFor(6_000);
  await later.waitFor();
  await page.route('**/api/connections*', (route) => route.abort());
  await page.clock.runFor(6_000);
  await page.getByText('What you see is not up to date: The app can’t be reached.').waitFor();
  assert.equal(await later.isVisible(), true);
  assert.equal(await page.locator('.as-of.stale').count(), 0);
  await page.clock.runFor(25_000);
  await page
    .locator('.as-of.stale')
    .filter({ hasText: /as of .* old/ })
    .waitFor();
  await page.unroute('**/api/connections*');
  // An app that does not answer at all.
  await page.clock.runFor(10_000);
  await page.locator('.as-of:not(.stale)').waitFor();
  await page.route('**/api/connections*', () => undefined);
  await page.clock.runFor(15_000);
  await page.getByText('What you see is not up to date: The app took too long to answer.').waitFor();
});

test('5,000 connections are listed and filtered at once, failing ones first, without anything moving', async (context) => {
  const columns = mailboxColumns(ui.bed.dovecot, 'IMAP', 'anna');
  const history = JSON.stringify({
    since: new Date(Math.floor(Date.now() / 3_600_000 - 23) * 3_600_000).toISOString(),
    mails: Array.from({ length: 24 }, (_, hour) => hour * 7),
    failures: Array(24).fill(0),
  });
  for (let batch = 0; batch < 50; batch += 1) {
    const actions = Array.from({ length: 100 }, (_, index): TransactionAction => {
      const rowKey = `box-${String(batch * 100 + index).padStart(4, '0')}`;
      const isFailing = index === 99;
      const state = isFailing
        ? { lastStatus: 'failed', lastError: 'No such host.', consecutiveFailures: 1 }
        : { lastStatus: 'ok', lastMailCount: 3, lastMessageCount: 4 };
      return ['upsert', { partitionKey: 'zeta', rowKey, ...columns, ...state, history }];
    });
    await ui.bed.connections.submitTransaction(actions);
  }
  const { page } = await ui.open(context, { key: '' });
  await page.addInitScript(`
    sessionStorage.setItem('functionKey', ${JSON.stringify(functionKey)});
    window.shifted = 0;
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!entry.hadRecentInput) {
        window.shifted += entry.value;
        window.what = [...(window.what ?? []), entry.value, ...entry.sources.map(({ node }) => node?.outerHTML?.slice(0, 150))];
      }
    }).observe({ type: 'layout-shift', buffered: true });
  `);
  await page.reload();
  await page.getByText('5,003 connections · 51 failing').waitFor({ timeout: 30_000 });
  const names = await page.locator('tbody th a').allTextContents();
  assert.equal(names.length, 50);
  assert.deepEqual(names.slice(0, 3), ['acme/failing', 'zeta/box-0099', 'zeta/box-0199']);

  const filteredMs = await page.evaluate(`new Promise((resolve) => {
    const input = document.querySelector('input[type=search]');
    const startedAt = performance.now();
    input.value = 'box-4321';
    input.dispatchEvent(new Event('input', { bubbles: true }));
    const look = () => document.querySelectorAll('tbody').length === 1
      ? resolve(performance.now() - startedAt) : requestAnimationFrame(look);
    look();
  })`);
  assert.ok(Number(filteredMs) < 1_000, `filtering took ${filteredMs} ms`);
  await page.getByRole('link', { name: 'zeta/box-4321' }).waitFor();
  await page.getByRole('button', { name: /^50 connections: No such host\./ }).waitFor();
  await page.getByRole('searchbox').fill('');
  await page.getByLabel('Status').selectOption('failing');
  await page.getByText('51 shown').waitFor();
  await page.getByRole('button', { name: 'Next' }).click();
  assert.equal(await page.locator('tbody').count(), 1);
  await page.getByLabel('Customer').selectOption('acme');
  await page.getByText('1 shown').waitFor();
  await page.getByRole('searchbox').fill('nothing such');
  await page.getByRole('button', { name: 'Show all' }).click();
  await page.getByText('Page 1 of 101').waitFor();
  const moved = await page.evaluate('[window.shifted, JSON.stringify(window.what)]');
  assert.ok(Array.isArray(moved) && Number(moved[0]) < 0.02, `the page has moved: ${moved}`);
});

/** In the page: what reaches beyond its right edge, and is seen. */
const overflowing = `(() => {
  const edge = document.documentElement.getBoundingClientRect().right + 1;
  const isSeen = (element) => element.checkVisibility() && !element.closest('.hidden, thead');
  return [...document.querySelectorAll('body *')]
    .filter((element) => isSeen(element) && element.getBoundingClientRect().right > edge)
    .map((element) => element.outerHTML.slice(0, 100));
})()`;

/** Makes the screenshots in `docs/ui`: `node test/ui/screenshots.ts [folder]`. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { mailboxColumns } from '../app/testbed.ts';
import { functionKey, startUiTestbed } from './browser.ts';
import { addRecord } from './records.ts';

const folder = process.argv[2] ?? join(import.meta.dirname, '..', '..', 'docs', 'ui');
mkdirSync(folder, { recursive: true });
const ui = await startUiTestbed({ users: ['anna'] });

const hourMs = 3_600_000;
const now = Date.now();
const ago = (ms: number) => new Date(now - ms).toISOString();
const soon = (ms: number) => new Date(now + ms).toISOString();

function history(mails: (hour: number) => number, failures: (hour: number) => number): string {
  const hours = Array.from({ length: 24 }, (_, hour) => hour);
  const since = new Date(Math.floor(now / hourMs) * hourMs - 23 * hourMs).toISOString();
  return JSON.stringify({ since, mails: hours.map(mails), failures: hours.map(failures) });
}

const busy = history(
  (hour) => Math.round(60 + 50 * Math.sin(hour / 3.5) + (hour % 5) * 6),
  () => 0,
);
const broken = history(
  (hour) => (hour < 17 ? 20 + ((hour * 7) % 23) : 0),
  (hour) => (hour < 17 ? 0 : 60),
);
const ran = (agoMs: number, mails: number, messages: number) => ({
  lastRunStartedAt: ago(agoMs),
  lastRunEndedAt: ago(agoMs - 1_200),
  lastMailCount: mails,
  lastMessageCount: messages,
  consecutiveFailures: 0,
  lastError: '',
});

const columns = (more: Record<string, unknown>) => ({
  ...mailboxColumns(ui.bed.dovecot, 'IMAP', 'anna'),
  ...more,
});
const failed = { lastStatus: 'failed', nextRunAt: soon(21_000) };
const connections: Record<string, Record<string, unknown>> = {
  'acme/invoices': {
    ...columns({ host: 'outlook.office365.com', port: 993, useSsl: true, username: 'invoices@acme.example' }),
    ...ran(39_000, 0, 0),
    ...failed,
    history: broken,
    consecutiveFailures: 412,
    lastError:
      'IMAP login to outlook.office365.com:993 as invoices@acme.example was refused: AUTHENTICATE failed. Check username and password.',
  },
  'acme/orders': {
    ...columns({ host: 'imap.acme.example', port: 993, useSsl: true, pollingIntervalSeconds: 60 }),
    ...ran(19_000, 14, 37),
    lastStatus: 'ok',
    nextRunAt: soon(41_000),
    history: busy,
  },
  'acme/scans': {
    ...columns({
      host: 'pop.acme.example',
      hostType: 'POP3',
      port: 995,
      useSsl: true,
      pollingIntervalSeconds: 300,
    }),
    ...ran(7_000, 260, 512),
    lastStatus: 'running',
    heartbeatAt: ago(2_000),
    nextRunAt: soon(200_000),
    history: history(
      (hour) => (hour > 8 ? hour * 3 : 0),
      () => 0,
    ),
  },
  'globex/payroll': {
    ...columns({
      host: 'mail.globex.example',
      cron: '0 6 * * 1-5',
      timeZone: 'Europe/Berlin',
      useSsl: true,
      port: 993,
    }),
    ...ran(9 * hourMs, 3, 3),
    lastStatus: 'ok',
    nextRunAt: soon(15 * hourMs),
    history: history(
      (hour) => (hour === 14 ? 3 : 0),
      () => 0,
    ),
  },
  'globex/support': {
    ...columns({ host: 'mail.globex.example', useSsl: true, port: 993, pollingIntervalSeconds: 600 }),
    ...ran(100_000, 1, 2),
    lastStatus: 'skipped',
    nextRunAt: soon(21_000),
    history: history(
      (hour) => hour % 4,
      (hour) => (hour === 5 ? 2 : 0),
    ),
  },
  'initech/new-mailbox': columns({ host: 'imap.initech.example', useSsl: true, port: 993 }),
  'initech/old-archive': {
    ...columns({ host: 'imap.initech.example', useSsl: true, port: 993 }),
    enabled: false,
  },
};
for (const [id, entity] of Object.entries(connections)) {
  const [partitionKey = '', rowKey = ''] = id.split('/');
  await ui.bed.connections.upsertEntity({ partitionKey, rowKey, ...entity }, 'Replace');
}

await addRecord(ui.bed, {
  id: '6f1c1f7e-8f43-4f0a-9d55-0d2c6a0b6f11',
  connection: 'orders',
  subject: 'Order 2026-1187',
  storedAt: new Date(now - 42 * 60_000),
  tries: 5,
  partCount: 3,
  unsent: [2, 3],
  nextTryAt: new Date(now + 18 * 60_000),
  error: 'Queue email-inbound is full: the namespace refuses messages until some are received.',
});
await addRecord(ui.bed, {
  id: '0a9d6b52-6f0e-43a5-8a0e-8a3a6a1f2c90',
  connection: 'scans',
  subject: 'Scan from floor 3',
  storedAt: new Date(now - 8 * 24 * hourMs),
  tries: 173,
  partCount: 1,
  unsent: [1],
  nextTryAt: undefined,
  error: 'Service Bus refused the sender of queue email-scans: the claim Send is required.',
});

for (const colorScheme of ['light', 'dark'] as const) {
  for (const width of [1280, 360]) {
    const { page, troubles, close } = await ui.open({
      key: functionKey,
      colorScheme,
      viewport: { width, height: 860 },
    });
    const shot = async (name: string, height = 800) => {
      await page.setViewportSize({ width, height });
      await page.screenshot({
        path: join(folder, `${name}-${width === 360 ? 'narrow-' : ''}${colorScheme}.png`),
      });
    };
    await page.getByRole('link', { name: 'acme/orders' }).waitFor();
    await shot('list');
    await go(page, '#/new');
    await page.getByLabel('Customer').fill('acme');
    await page.getByLabel('Connection name').fill('returns');
    await page.getByLabel('Username').fill('returns@acme.example');
    await page.getByLabel('Host', { exact: true }).fill('imap.acme.example');
    await shot('form', width === 360 ? 1500 : 1080);
    await go(page, '#/edit/acme/invoices');
    await page.getByLabel('Username').waitFor();
    await shot('edit');
    await go(page, '#/undelivered');
    await page.getByRole('heading', { level: 1, name: 'Undelivered' }).waitFor();
    await shot('undelivered');
    if (troubles.length > 0) console.error(troubles);
    await close();
  }
}
await ui.stop();

async function go(page: Page, hash: string): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
}

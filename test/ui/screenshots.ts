/** Makes the screenshots in `docs/ui`: `node test/ui/screenshots.ts [folder]`. */

import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { MailLine } from '../../shared/journal/lines.ts';
import { mailboxColumns } from '../app/testbed.ts';
import { writeJournal } from '../http/writeJournal.ts';
import { mailLine, part } from '../journal/storage.ts';
import { go, startUiTestbed } from './browser.ts';
import { addRecord } from './records.ts';

const folder = process.argv[2] ?? join(import.meta.dirname, '..', '..', 'docs', 'ui');
mkdirSync(folder, { recursive: true });
const ui = await startUiTestbed({ users: ['anna'] });

const hourMs = 3_600_000;
const now = Date.now();
const ago = (ms: number) => new Date(now - ms).toISOString();
const soon = (ms: number) => new Date(now + ms).toISOString();

function history(mails: (hour: number) => number, failures: (hour: number) => number = () => 0): string {
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
  lastMailAt: ago(agoMs + 400),
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
    history: history((hour) => (hour > 8 ? hour * 3 : 0)),
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
    history: history((hour) => (hour === 14 ? 3 : 0)),
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
  ...Object.fromEntries(
    Array.from({ length: 12 }, (_, index) => [
      `hooli/branch-${String(index + 1).padStart(2, '0')}`,
      {
        ...columns({ host: 'imap.hooli.example', port: 993, useSsl: true, username: `branch${index + 1}` }),
        ...ran(30_000 + index * 500, 0, 0),
        ...failed,
        history: history(
          (hour) => (hour < 22 ? hour % 6 : 0),
          (hour) => (hour > 21 ? 30 : 0),
        ),
        consecutiveFailures: 94,
        lastError:
          'imap.hooli.example:993 refused the connection (ECONNREFUSED). Check host and port, and whether the server runs.',
      },
    ]),
  ),
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
  connection: 'orders',
  subject: 'Order 2026-1187',
  from: 'Purchasing <po@initech.example>',
  storedAt: new Date(now - 42 * 60_000),
  tries: 5,
  partCount: 3,
  partsLeft: 2,
  nextTryAt: new Date(now + 18 * 60_000),
  error: 'Queue email-inbound is full: the namespace refuses messages until some are received.',
});
await addRecord(ui.bed, {
  connection: 'scans',
  subject: 'Scan from floor 3',
  from: 'scanner3@acme.example',
  storedAt: new Date(now - 8 * 24 * hourMs),
  tries: 173,
  partCount: 1,
  partsLeft: 1,
  nextTryAt: undefined,
  error: 'Service Bus refused the sender of queue email-scans: the claim Send is required.',
});

const journalled = [
  ['Order 2026-1192', 'Purchasing <po@initech.example>', ['body.txt', 'order-1192.pdf'], 4],
  ['Re: delivery of order 2026-1180', 'Anna Berg <anna@globex.example>', ['body.txt'], 11],
  ['Order 2026-1191', 'Purchasing <po@initech.example>', ['body.txt', 'order-1191.pdf', 'terms.pdf'], 26],
  ['Order 2026-1187', 'Purchasing <po@initech.example>', ['body.txt', 'order-1187.pdf', 'drawing.dwg'], 42],
  ['Invoice 4711', 'Xaver Huber <xaver@example.org>', ['body.txt', 'Rechnung 4711.pdf'], 95],
] as const;
await writeJournal(
  ui.bed,
  'orders',
  journalled.map(([emailSubject, emailFrom, names, minutes], index) =>
    mailLine({
      at: new Date(now - minutes * 60_000),
      emailSubject,
      emailFrom,
      emailMessageId: `<${4711 + index}@example.org>`,
      outcome: minutes === 42 ? 'undelivered' : 'delivered',
      queueName: 'email-inbound',
      sizeBytes: 18_400 * names.length,
      parts: names.map((inboundFileName, number) =>
        part(number + 1, {
          inboundFileName,
          messageId: createHash('sha256').update(inboundFileName).digest('hex'),
          sha256: createHash('sha256').update(`of ${inboundFileName}`).digest('hex'),
          contentType: number === 0 ? 'text/plain; charset=utf-8' : 'application/pdf',
          size: number === 0 ? 1_240 : 16_800,
        }),
      ),
    } as Partial<MailLine>),
  ),
  { at: new Date(now - 19_000), status: 'ok', mails: 14, messages: 37, bytes: 1_402_331, durationMs: 2_140 },
);
await writeJournal(ui.bed, 'orders', [], {
  at: new Date(now - 42 * 60_000),
  status: 'failed',
  mails: 3,
  messages: 4,
  bytes: 61_000,
  durationMs: 63_000,
  error: 'Queue email-inbound is full: the namespace refuses messages until some are received.',
});

const closing: (() => Promise<void>)[] = [];
for (const colorScheme of ['light', 'dark'] as const) {
  for (const width of [1280, 360]) {
    const { page } = await ui.open(
      { after: (close) => closing.push(close) },
      { colorScheme, viewport: { width, height: 860 } },
    );
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
    page.on('dialog', (dialog) => dialog.accept());
    await go(page, '#/show/acme/orders');
    await page.getByRole('region', { name: 'Runs' }).getByText('14 mails').waitFor();
    await shot('show', width === 360 ? 1500 : 1080);
    await go(page, '#/mails?q=invoice');
    await page.getByRole('button', { name: 'Invoice 4711' }).click();
    await page.getByText('SHA-256').first().waitFor();
    await shot('mails', width === 360 ? 1500 : 800);
    await go(page, '#/undelivered');
    await page.getByRole('heading', { level: 1, name: 'Undelivered' }).waitFor();
    await shot('undelivered');
  }
}
for (const close of closing) await close();
await ui.stop();

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { createStorage } from '../../shared/app/storage.ts';
import { route } from '../../shared/http/router.ts';
import type { MailLine } from '../../shared/journal/lines.ts';
import { type AppTestbed, queueName, startAppTestbed } from '../app/testbed.ts';
import { accessTo } from '../destination/support.ts';
import { mailLine } from '../journal/storage.ts';
import { openStorage, undeliveredMail } from '../undelivered/storage.ts';
import { type Api, list, type Operation, object, openApi } from './api.ts';
import { dependenciesWith, requestOf } from './dependencies.ts';
import { writeJournal } from './writeJournal.ts';

let bed: AppTestbed;
let api: Api;

before(async () => {
  bed = await startAppTestbed({ users: [] });
  api = await openApi(bed.host);
});
after(() => bed.stop());

const storage = () => createStorage(accessTo(bed.azurite.connectionString));

/** Keeps a mail as a poll does whose queue is away; gives its id and its interchangeId. */
async function keep(uid: number, connection = 'orders'): Promise<{ id: string; interchangeId: string }> {
  const store = await storage().undelivered();
  const envelope = {
    subject: 'Order 17 – Ümlaut',
    messageId: '<17@example.com>',
    from: 'a@example.com',
    date: '2026-11-26T08:59:00.000Z',
  };
  const mail = undeliveredMail(['Hello', 'and more'], { uid, connection, queueName, envelope });
  const { interchangeId } = mail;
  await store.store(mail);
  const { records: stored } = await store.list({ connection, limit: 100 });
  return { id: stored.find((record) => record.interchangeId === interchangeId)?.id ?? '', interchangeId };
}

const read = async (id: string) => object((await api.call(`GET /api/undelivered/${id}`)).json());

async function page(query: Record<string, string>) {
  const { undelivered, next } = object((await api.call('GET /api/undelivered', { query })).json());
  return { ids: list(undelivered).map(({ id }) => id), next };
}
const ids = async (query: Record<string, string> = {}) => (await page(query)).ids;

test('undelivered mails are listed newest first, read, and resent', async () => {
  assert.deepEqual(await ids(), []);
  const { id: older, interchangeId } = await keep(1);
  const { id: newer } = await keep(2);
  assert.deepEqual(await ids(), [newer, older]);
  assert.deepEqual(await ids({ limit: '1' }), [newer]);
  const { storedAt, nextTryAt, parts, ...rest } = await read(older);
  assert.deepEqual(
    list(parts).map(({ partNumber, partKind, inboundFileName, size }) => [
      partNumber,
      partKind,
      inboundFileName,
      size,
    ]),
    [
      [1, 'body', 'body.txt', 5],
      [2, 'attachment', '1.pdf', 8],
    ],
  );
  assert.deepEqual(rest, {
    id: older,
    interchangeId,
    customer: 'acme',
    connection: 'orders',
    queueName,
    status: 'waiting',
    tries: 0,
    lastError: 'Service Bus queue inbound was away.',
    partsLeft: 2,
    partCount: 2,
    emailSubject: 'Order 17 – Ümlaut',
    emailMessageId: '<17@example.com>',
    emailFrom: 'a@example.com',
    emailDate: '2026-11-26T08:59:00.000Z',
  });
  assert.ok(new Date(String(nextTryAt)) > new Date(String(storedAt)));

  // As after the age limit: it is tried no more by itself.
  const table = bed.table('EmailUndelivered');
  const abandoned = { status: 'abandoned', nextTryAt: '', storedAt: '2026-01-01T00:00:00.000Z' };
  await table.updateEntity({ partitionKey: 'undelivered', rowKey: older, ...abandoned }, 'Merge');
  assert.equal((await read(older)).status, 'abandoned');

  const resent = await api.call(`POST /api/undelivered/${older}/resend`);
  assert.equal(resent.status, 202);
  assert.deepEqual(resent.json(), { id: older });
  const due = await read(older);
  assert.equal(due.status, 'waiting');
  assert.ok(new Date(String(due.nextTryAt)).getTime() <= Date.now());
  await bed.host.fireTimer('retryDeliveries');
  const sent = bed.broker.queue(queueName).messages.map(({ applicationProperties }) => applicationProperties);
  assert.deepEqual(
    sent.filter((properties) => properties?.interchangeId === interchangeId).map((each) => each?.partNumber),
    [1, 2],
  );
  assert.equal((await api.call(`POST /api/undelivered/${older}/resend`)).status, 404);
  assert.equal((await api.call(`GET /api/undelivered/${older}`)).status, 404);
});

test('an id that is none is not found, and a wrong limit is refused', async () => {
  for (const id of [randomUUID(), 'x', "x' or '1' eq '1", '%00', '__proto__']) {
    assert.equal((await api.call(`GET /api/undelivered/${encodeURIComponent(id)}`)).status, 404);
    assert.equal((await api.call(`POST /api/undelivered/${encodeURIComponent(id)}/resend`)).status, 404);
  }
  assert.equal((await api.call('GET /api/undelivered', { query: { limit: 'all' } })).status, 400);
});

test('undelivered mails are listed by customer and connection, a page at a time', async () => {
  const kept: string[] = [];
  for (const [index, connection] of ['pages', 'pages', 'other', 'pages'].entries()) {
    kept.push((await keep(11 + index, connection)).id);
  }
  const seen: unknown[] = [];
  for (let next: unknown = ''; next !== undefined; ) {
    const query = { customer: 'acme', connection: 'pages', limit: '2', after: String(next) };
    const found = await page(query);
    seen.push(...found.ids);
    next = found.next;
  }
  assert.deepEqual(seen, [kept[3], kept[1], kept[0]]);
  assert.deepEqual(await ids({ connection: 'other' }), [kept[2]]);
  assert.deepEqual(await ids({ customer: 'nobody' }), []);
});

test('a mail that is given up is gone, with its blobs, and the journal says so', async () => {
  const { id, interchangeId } = await keep(21, 'given-up');
  const storedAt = new Date(String((await read(id)).storedAt));
  const line: Partial<MailLine> = { at: storedAt, interchangeId, outcome: 'undelivered' };
  await writeJournal(bed, 'given-up', [mailLine(line)]);
  const outcome = async () =>
    list(object((await api.call('GET /api/mails', { query: { connection: 'given-up' } })).json()).mails).map(
      (mail) => mail.outcome,
    );
  assert.deepEqual(await outcome(), ['undelivered']);
  assert.equal((await api.call(`DELETE /api/undelivered/${id}`)).status, 204);
  assert.equal((await api.call(`GET /api/undelivered/${id}`)).status, 404);
  assert.equal((await api.call(`DELETE /api/undelivered/${id}`)).status, 404);
  assert.deepEqual(await outcome(), ['given-up']);
  const blobs = await storage().container('email-undelivered');
  for await (const { name } of blobs.listBlobsFlat()) assert.ok(!name.startsWith(id), name);
});

test('a mail that is delivered while it is looked at is not found; one whose parts can not be read is there', async (t) => {
  const storage = await openStorage(bed.azurite);
  await storage.store.store(undeliveredMail(['x']));
  const { id = '' } = (await storage.newest()) ?? {};
  const dependencies = dependenciesWith({ undelivered: async () => storage.store });
  const read = () => route('undelivered', requestOf('GET', { id }), dependencies);
  const readParts = storage.parts.read.bind(storage.parts);
  await storage.undelivered.deleteBlob(`${id}/mail.json`);
  await assert.rejects(read(), /404.* while reading the heads of an undelivered mail/);
  t.mock.method(storage.parts, 'read', async (of: string) => {
    await storage.store.remove(of);
    return await readParts(of);
  });
  assert.equal((await read()).status, 404);
});

test('all that is described of these calls was seen', () => {
  const elsewhere = ['400', '401', '405', '500', '503'];
  const isMeant = ({ path }: Operation, status: string) =>
    path.startsWith('/api/undelivered') && !elsewhere.includes(status);
  assert.deepEqual(api.unmet(isMeant), []);
});

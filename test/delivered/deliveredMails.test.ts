import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import type { TableClient } from '@azure/data-tables';
import { DeliveredMails, forgetConnection } from '../../shared/delivered/deliveredMails.ts';
import { identifyMail } from '../../shared/message/identity.ts';
import { openTable } from '../../shared/storage/tables.ts';
import { accessTo, noCredential } from '../destination/support.ts';
import { startAzurite } from '../testbed/azurite.ts';

const azurite = await startAzurite();
after(() => azurite.stop());

const box = 'imap|mail.example.com|box|INBOX|7';
const mail = (n: number, mailboxId = box) => identifyMail(mailboxId, `imap:7:${n}:INBOX`, `fields ${n}`);
const mails = (...numbers: number[]) => numbers.map((n) => mail(n));
const dayMs = 86_400_000;

async function freshTable(connectionString = azurite.connectionString): Promise<TableClient> {
  return await openTable(accessTo(connectionString), `Delivered${randomUUID().slice(0, 8)}`, noCredential);
}

const clock = { now: new Date('2026-11-20T10:00:00Z') };

function deliveredOf(
  table: TableClient,
  { mailboxId = box, runId = randomUUID(), connection = 'orders' } = {},
): DeliveredMails {
  return new DeliveredMails({
    ...{ table, customer: 'acme', connection, mailboxId, runId },
    now: () => clock.now,
  });
}

/** What the next run finds. */
async function nextRun(table: TableClient, options = {}): Promise<DeliveredMails> {
  const next = deliveredOf(table, options);
  await next.read();
  return next;
}

async function rowsOf(table: TableClient) {
  const rows: { partitionKey?: string; rowKey?: string }[] = [];
  for await (const row of table.listEntities()) rows.push(row);
  return rows;
}

const known = (delivered: DeliveredMails, numbers: readonly number[]) =>
  numbers.filter((n) => delivered.recordedAt(mail(n)) !== undefined);

test('no table yet is nothing delivered, and reading makes none', async () => {
  const delivered = await nextRun(await freshTable());
  assert.equal(delivered.isEmpty, true);
  assert.deepEqual(delivered.keyHashes(), new Set());
});

test('a group of mails is one row, and the next run knows each of them', async () => {
  const table = await freshTable();
  const first = deliveredOf(table);
  await first.record(mails(1, 2, 3));
  await first.record(mails(4));
  assert.equal((await rowsOf(table)).length, 2);
  assert.ok((await rowsOf(table)).every(({ partitionKey }) => partitionKey === 'acme|orders'));
  for (const delivered of [first, await nextRun(table)]) {
    assert.deepEqual(known(delivered, [1, 2, 3, 4, 5]), [1, 2, 3, 4]);
    assert.equal(delivered.isEmpty, false);
    assert.deepEqual(delivered.keyHashes(), new Set(mails(1, 2, 3, 4).map(({ keyHash }) => keyHash)));
  }
});

test('the largest group fits a row', async () => {
  const table = await freshTable();
  const numbers = Array.from({ length: 500 }, (_, n) => n);
  await deliveredOf(table).record(mails(...numbers));
  assert.equal(known(await nextRun(table), numbers).length, 500);
});

test('a row goes when all of its mails are settled, and not before', async () => {
  const table = await freshTable();
  const delivered = deliveredOf(table);
  await delivered.record(mails(1, 2));
  await delivered.record(mails(3));
  await delivered.forget([mail(1).id, mail(3).id, mail(99).id]);
  assert.deepEqual(known(delivered, [1, 2, 3]), [2]);
  assert.equal((await rowsOf(table)).length, 1);
  await delivered.forget([mail(2).id]);
  assert.equal(delivered.isEmpty, true);
  assert.deepEqual(await rowsOf(table), []);
});

for (const count of [1, 2, 130]) {
  test(`${count} rows go at once, also where one is gone already`, async () => {
    const table = await freshTable();
    const delivered = deliveredOf(table);
    for (let n = 0; n < count; n += 1) await delivered.record(mails(n));
    const [gone] = await rowsOf(table);
    await table.deleteEntity('acme|orders', gone?.rowKey ?? '');
    await delivered.forget(Array.from({ length: count }, (_, n) => mail(n).id));
    assert.equal(delivered.isEmpty, true);
    assert.deepEqual(await rowsOf(table), []);
  });
}

test('rows that name the same mails, since the write of one had no answer, go together', async () => {
  const table = await freshTable();
  const first = deliveredOf(table);
  for (const numbers of [
    [1, 2],
    [2, 3],
    [3, 4],
  ])
    await first.record(mails(...numbers));
  for (const [delivered, settled, left] of [
    [await nextRun(table), mails(1, 2, 3), 4],
    [first, mails(2, 3, 4), 1],
  ] as const) {
    await delivered.forget(settled.map(({ id }) => id));
    assert.deepEqual(known(delivered, [1, 2, 3, 4]), [left]);
  }
  assert.equal((await rowsOf(table)).length, 3);
  const next = await nextRun(table);
  await next.forget(mails(1, 2, 3, 4).map(({ id }) => id));
  assert.equal(next.isEmpty, true);
  assert.deepEqual(await rowsOf(table), []);
});

test('what a complete list no longer has is forgotten', async () => {
  const table = await freshTable();
  await deliveredOf(table).record(mails(1, 2));
  await deliveredOf(table).record(mails(3));
  const next = await nextRun(table);
  await next.keepOnly(new Set([mail(1).keyHash]));
  assert.deepEqual(known(next, [1, 2, 3]), [1]);
  assert.equal((await rowsOf(table)).length, 1);
  await next.keepOnly(new Set());
  assert.equal(next.isEmpty, true);
  assert.deepEqual(await rowsOf(table), []);
});

test('rows older than seven days are removed', async () => {
  const table = await freshTable();
  const storedAt = clock.now;
  try {
    await deliveredOf(table).record(mails(1));
    clock.now = new Date(storedAt.getTime() + dayMs);
    await deliveredOf(table).record(mails(2));
    clock.now = new Date(storedAt.getTime() + 7 * dayMs);
    assert.deepEqual(known(await nextRun(table), [1, 2]), [1, 2]);
    clock.now = new Date(storedAt.getTime() + 7 * dayMs + 1);
    assert.deepEqual(known(await nextRun(table), [1, 2]), [2]);
    assert.equal((await rowsOf(table)).length, 1);
  } finally {
    clock.now = storedAt;
  }
});

test('rows of another mailbox are kept but not seen; they count when the connection points there again', async () => {
  const table = await freshTable();
  const other = 'imap|other.example.com|box|INBOX|7';
  await deliveredOf(table, { mailboxId: other }).record([mail(1, other)]);
  const here = await nextRun(table);
  assert.equal(here.isEmpty, true);
  assert.equal(here.recordedAt(mail(1)), undefined);
  await here.keepOnly(new Set());
  const there = await nextRun(table, { mailboxId: other });
  assert.ok(there.recordedAt(mail(1, other)));
});

test('a connection sees nothing of another one', async () => {
  const table = await freshTable();
  await deliveredOf(table, { connection: 'orders' }).record(mails(1));
  assert.equal((await nextRun(table, { connection: 'orders2' })).isEmpty, true);
});

test('a row that someone has damaged knows no mail, and goes with its age', async () => {
  const table = await freshTable();
  await deliveredOf(table).record(mails(1));
  const [row] = await rowsOf(table);
  const keys = { partitionKey: 'acme|orders', rowKey: row?.rowKey ?? '' };
  await table.updateEntity({ ...keys, mails: 'text' }, 'Merge');
  assert.equal((await nextRun(table)).isEmpty, true);
  await table.updateEntity({ ...keys, recordedAt: 'yesterday' }, 'Merge');
  await nextRun(table);
  assert.deepEqual(await rowsOf(table), []);
});

test('a deleted connection’s rows go with it, those of other connections stay', async () => {
  const table = await freshTable();
  await forgetConnection(table, 'acme', 'orders');
  for (let n = 0; n < 120; n += 1) await deliveredOf(table, { mailboxId: `box ${n % 3}` }).record(mails(n));
  await deliveredOf(table, { connection: 'orders2' }).record(mails(1));
  await forgetConnection(table, 'acme', 'orders');
  await forgetConnection(table, "acme' or PartitionKey ne '", 'orders');
  assert.deepEqual(
    (await rowsOf(table)).map(({ partitionKey }) => partitionKey),
    ['acme|orders2'],
  );
});

test('storage that is away is a failure that names the table', async () => {
  const gone = await startAzurite();
  const table = await freshTable(gone.connectionString);
  const delivered = deliveredOf(table);
  for (const n of [1, 2, 3]) await delivered.record(mails(n));
  await gone.stop();
  for (const failing of [
    () => delivered.read(),
    () => delivered.record(mails(4)),
    () => delivered.forget([mail(1).id]),
    () => delivered.forget([mail(2).id, mail(3).id]),
  ]) {
    await assert.rejects(failing, { name: 'Failure', reason: 'storage', message: /EmailDelivered/ });
  }
});

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { queueName } from '../app/testbed.ts';
import { listMaildir } from '../testbed/seed.ts';
import { type ReliabilityBed, startReliabilityBed } from './bed.ts';
import { arrived, eachOnce, twoPartMails, until } from './mails.ts';

const waiting = 400;
const deadQueue = 'dead';
const deadRecords = 3_000;

let bed: ReliabilityBed;
before(async () => {
  bed = await startReliabilityBed({ users: ['refused', 'healthy', 'dead', 'given-back'] });
  bed.broker.createQueue({ name: deadQueue });
});
afterEach(() => bed.restore());
after(() => bed.stop());

const smallMails = (name: string, count: number) =>
  Array.from({ length: count }, (_, index) =>
    Buffer.from(`From: a@example.com\r\nSubject: ${name} ${index}\r\n\r\nBody ${index}\r\n`),
  );

/** Has a poll of the mailbox store these mails. */
async function storeMails(name: string, mails: readonly Buffer[], columns = {}): Promise<void> {
  await bed.addMailbox(name, 'IMAP', mails, columns);
  bed.broker.faults.quotaExceeded = true;
  assert.match(String((await bed.poll(name)).lastError), /is full/);
  assert.equal((await bed.undelivered(name)).length, mails.length);
  await bed.restore();
}

/** Multiplies the only record of a mailbox; blobs its copies have none. */
async function multiplyRecord(name: string, count: number): Promise<void> {
  const [row] = await bed.undelivered(name);
  assert.ok(row);
  const { etag, timestamp, rowKey, partitionKey, ...columns } = row;
  for (let from = 0; from < count; from += 100) {
    await bed.table('EmailUndelivered').submitTransaction(
      Array.from({ length: 100 }, (_, n) => {
        const copy = `${String(rowKey).slice(0, -12)}${String(from + n).padStart(12, '0')}`;
        return ['create', { ...columns, partitionKey: String(partitionKey), rowKey: copy }];
      }),
    );
  }
}

test('a queue that refuses with many mails waiting: all are stored or stay unread, over few connections', async () => {
  await bed.addMailbox('refused', 'IMAP', smallMails('refused', waiting));
  bed.broker.faults.quotaExceeded = true;
  let mostOpen = 0;
  const watching = setInterval(() => {
    mostOpen = Math.max(mostOpen, bed.storage.table.connections.open + bed.storage.blob.connections.open);
  }, 5);
  const state = await bed.poll('refused').finally(() => clearInterval(watching));
  assert.match(String(state.lastError), /is full/);
  assert.ok(mostOpen <= 40, `${mostOpen} connections to storage`);
  const stored = await bed.undelivered('refused');
  const unread = (await listMaildir(bed.dovecot.maildir('refused'))).filter(({ seen }) => !seen);
  assert.equal(stored.length + unread.length, waiting);
  assert.equal(state.lastMailCount, stored.length);
  assert.deepEqual(await bed.remembered('refused'), [], 'nothing of it is half settled');
});

test('the retry: a dead queue with many records is asked once, and delays no other queue', async () => {
  for (const row of await bed.undelivered('refused')) {
    const keys = [String(row.partitionKey), String(row.rowKey)] as const;
    await bed.table('EmailUndelivered').deleteEntity(...keys);
  }
  await storeMails('healthy', twoPartMails('healthy', 3));
  await storeMails('dead', twoPartMails('dead', 1), { queueName: deadQueue });
  await multiplyRecord('dead', deadRecords);
  bed.broker.queue(deadQueue).disabled = true;
  bed.broker.dropConnections();
  const startedAtMs = performance.now();
  await bed.retryDeliveries();
  const tookMs = performance.now() - startedAtMs;
  assert.deepEqual(arrived(bed, 'healthy'), eachOnce('healthy', 3));
  assert.deepEqual(await bed.undelivered('healthy'), []);
  const left = await bed.undelivered('dead');
  assert.equal(left.length, deadRecords + 1);
  const putOff = left.filter(({ tries }) => Number(tries) === 1);
  assert.ok(putOff.length >= 2_000, `${putOff.length} were put off`);
  assert.ok(tookMs < 120_000, `${tookMs} ms`);
});

test('the retry, told to go while its queue hangs, gives back what it took', async () => {
  await storeMails('given-back', twoPartMails('given-back', 1));
  const [stored] = await bed.undelivered('given-back');
  const nextTryAt = new Date(Date.now() - 60_000).toISOString();
  const keys = { partitionKey: String(stored?.partitionKey), rowKey: String(stored?.rowKey) };
  await bed.table('EmailUndelivered').updateEntity({ ...keys, nextTryAt }, 'Merge');
  bed.broker.faults.silentTransfers = true;
  const { transfers } = bed.broker.queue(queueName);
  await bed.withChild(async (child) => {
    void child.fireTimer('retryDeliveries').catch(() => undefined);
    await until('the queue hangs', () => bed.broker.queue(queueName).transfers > transfers);
    await child.stop(100);
  });
  const [record] = await bed.undelivered('given-back');
  assert.equal(record?.tries, stored?.tries);
  assert.ok(String(record?.takenUntil ?? '') < new Date().toISOString(), String(record?.takenUntil));
  assert.ok(String(record?.nextTryAt) <= new Date().toISOString(), 'it is due at once');
});

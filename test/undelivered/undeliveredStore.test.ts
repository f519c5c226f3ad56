import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { BlobClient, BlockBlobClient } from '@azure/storage-blob';
import { readBody } from '../../shared/destination/destination.ts';
import { Failure } from '../../shared/failure/failure.ts';
import { shortHash } from '../../shared/message/identity.ts';
import { withClaimCheck } from '../../shared/message/message.ts';
import { contentOf, mayWrite, payloadOf, until } from '../destination/support.ts';
import { startAzurite } from '../testbed/azurite.ts';
import { openStorage, passMinutes, repeatUpdates, type Storage, undeliveredMail } from './storage.ts';

const azurite = await startAzurite();
after(() => azurite.stop());

async function takeDue(storage: Storage) {
  const [due] = await storage.due();
  assert.ok(due, 'a record is due');
  const taken = await storage.store.take(due);
  assert.ok(taken, 'it can be taken');
  return taken;
}

/** The bytes of every part that is still to be sent. */
async function bodiesOf(storage: Storage, id: string): Promise<Buffer[]> {
  const parts = await storage.parts.read(id);
  const contents = storage.parts.contentsOf({ customer: 'acme', connection: 'orders', interchangeId: 'x' });
  return await Promise.all(parts.map(async ({ content }) => await readBody(await contents.read(content))));
}

test('a part in a local file is stored, and one in a payload blob is copied, which may be gone before it is sent', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'undelivered-'));
  try {
    const storage = await openStorage(azurite);
    const path = join(folder, 'part');
    await writeFile(path, 'from a file');
    const { sizeBytes, sha256 } = contentOf(Buffer.from('from a file'));
    const mail = undeliveredMail(['body', { kind: 'file', path, sizeBytes, sha256 }, 'payload']);
    const [body, file, payload] = mail.parts;
    assert.ok(body && file && payload);
    await storage.payloads.create();
    await storage.payloads.getBlockBlobClient('x/y/large-1').uploadData(Buffer.from('payload'));
    const claimCheck = `${storage.payloads.containerName}/x/y/large-1`;
    assert.equal(String(await payloadOf(storage.payloads, claimCheck)), 'payload');
    await storage.store.store({ ...mail, parts: [body, file, withClaimCheck(payload, claimCheck)] });
    await rm(path);
    await storage.payloads.delete();
    passMinutes(storage, 1);
    const { id } = await takeDue(storage);
    assert.deepEqual((await bodiesOf(storage, id)).map(String), ['body', 'from a file', 'payload']);
    const [, , third] = await storage.parts.read(id);
    assert.equal(third?.content.payloadName, 'large-1');
    assert.equal((await storage.blobs()).length, 4);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('record and mark come together: before the parts are whole there is neither', async (t) => {
  const storage = await openStorage(azurite);
  const mail = undeliveredMail(['a', 'b']);
  let before: unknown;
  const write = storage.parts.write.bind(storage.parts);
  t.mock.method(storage.parts, 'write', async (...args: Parameters<typeof write>) => {
    await write(...args);
    before = [await storage.records(), await storage.marks()];
  });
  const storedAt = await storage.store.store(mail);
  assert.deepEqual(before, [[], []]);
  const records = await storage.records();
  assert.deepEqual(
    records.map((record) => [record.storedAt, record.partsLeft]),
    [[storedAt, 2]],
  );
  const [mark, ...others] = await storage.store.readMarks('acme', 'orders');
  assert.deepEqual(others, []);
  assert.deepEqual(mark, {
    identityId: mail.identity.id,
    keyHash: mail.identity.keyHash,
    mailbox: shortHash(mail.mailboxId),
    storedAt,
  });
});

test('a transaction that is refused leaves neither record nor mark, and the store is a failure', async (t) => {
  const storage = await openStorage(azurite);
  t.mock.method(storage.table, 'submitTransaction', () => Promise.reject(new Error('Storage is away.')));
  await assert.rejects(storage.store.store(undeliveredMail(['a'])), { reason: 'storage' });
  assert.deepEqual(await storage.records(), []);
  assert.deepEqual(await storage.marks(), []);
});

test('a transaction whose answer was lost was done: the mail counts as stored, once', async (t) => {
  const storage = await openStorage(azurite);
  const submit = storage.table.submitTransaction.bind(storage.table);
  t.mock.method(storage.table, 'submitTransaction', async (...args: Parameters<typeof submit>) => {
    await submit(...args);
    throw new Error('The answer was lost.');
  });
  await storage.store.store(undeliveredMail(['a']));
  assert.equal((await storage.records()).length, 1);
  assert.equal((await storage.marks()).length, 1);
});

test('no part is written where the row that leads to it can’t be', async (t) => {
  const storage = await openStorage(azurite);
  t.mock.method(storage.table, 'createEntity', () => Promise.reject(new Error('Storage is away.')));
  await assert.rejects(storage.store.store(undeliveredMail(['a'])), { reason: 'storage' });
  assert.deepEqual(await storage.blobs(), []);
});

test('a first write whose answer was lost and that storage carries out late takes nothing back', async () => {
  const storage = await openStorage(azurite);
  await storage.store.store(undeliveredMail(['a'], { uid: 1 }));
  const writes: (() => Promise<{ readonly status: number }>)[] = [];
  storage.table.pipeline.addPolicy({
    name: 'repeat',
    async sendRequest(request, next) {
      writes.push(() => next(request));
      if (writes.length === 1) await next(request);
      return await next(request);
    },
  });
  await storage.store.store(undeliveredMail(['b'], { uid: 2 }));
  await writes[0]?.().catch(() => undefined);
  assert.equal((await storage.records()).length, 2);
});

test('a mail that another instance takes for a leftover, by a clock that is ahead, is not stored without its blobs', async (t) => {
  const storage = await openStorage(azurite);
  const write = storage.parts.write.bind(storage.parts);
  t.mock.method(storage.parts, 'write', async (...args: Parameters<typeof write>) => {
    await write(...args);
    await storage.table.updateEntity({ ...(await storage.rows())[0], status: 'removing' } as never, 'Merge');
  });
  await assert.rejects(storage.store.store(undeliveredMail(['a'])), { reason: 'storage' });
  assert.deepEqual([await storage.records(), await storage.marks()], [[], []]);
});

test('a store that goes on after its row was cleared as a leftover leaves no blobs behind', async (t) => {
  const storage = await openStorage(azurite);
  const write = storage.parts.write.bind(storage.parts);
  t.mock.method(storage.parts, 'write', async (...args: Parameters<typeof write>) => {
    // Suspended for more than an hour.
    await storage.store.remove(args[0]);
    await write(...args);
  });
  await assert.rejects(storage.store.store(undeliveredMail(['a'])), { reason: 'storage' });
  assert.deepEqual([await storage.rows(), await storage.blobs()], [[], []]);
});

test('storing, reading and moving a part are given the time that its bytes need at 0.5 MB/s', async (t) => {
  const storage = await openStorage(azurite);
  // Time passes with the bytes alone: 130 seconds for all.
  let nowMs = 0;
  const ends: { readonly atMs: number; readonly ending: AbortController }[] = [];
  t.mock.method(AbortSignal, 'timeout', (ms: number) => {
    const ending = new AbortController();
    ends.push({ atMs: nowMs + ms, ending });
    return ending.signal;
  });
  const pass = (bytes = 0) => {
    nowMs += bytes / 308;
    for (const { atMs, ending } of ends) if (atMs < nowMs) ending.abort();
  };
  const { stageBlock, download } = BlockBlobClient.prototype;
  t.mock.method(
    BlockBlobClient.prototype,
    'stageBlock',
    function (this: BlockBlobClient, ...args: Parameters<typeof stageBlock>) {
      pass(args[2]);
      return stageBlock.apply(this, args);
    },
  );
  t.mock.method(
    BlobClient.prototype,
    'download',
    function (this: BlobClient, ...args: Parameters<typeof download>) {
      pass(args[1]);
      return download.apply(this, args);
    },
  );
  await storage.store.store(undeliveredMail([contentOf(randomBytes(40_000_000))]));
  passMinutes(storage, 1);
  const record = await takeDue(storage);
  assert.equal((await bodiesOf(storage, record.id))[0]?.length, 40_000_000);
  const [part] = await storage.parts.read(record.id);
  assert.ok(part);
  assert.equal((await storage.parts.contentsOf(record).toClaimCheck(part)).content.kind, 'blob');
});

test('a mark outlives its record, and goes when the mail is settled', async () => {
  const storage = await openStorage(azurite);
  const mails = [1, 2, 3].map((uid) => undeliveredMail(['a'], { uid }));
  for (const mail of mails) await storage.store.store(mail);
  await storage.store.store(undeliveredMail(['a'], { connection: 'orders2' }));
  for (const { id } of await storage.records()) await storage.store.remove(id);
  const ids = async () =>
    (await storage.store.readMarks('acme', 'orders')).map(({ identityId }) => identityId).sort();
  assert.deepEqual(await ids(), mails.map(({ identity }) => identity.id).sort());
  const [first, second, third] = mails.map(({ identity }) => identity.id);
  assert.ok(first && second && third);
  await storage.store.removeMarks('acme', 'orders', [first]);
  await storage.store.removeMarks('acme', 'orders', [first]);
  await storage.store.removeMarks('acme', 'orders', [first, second]);
  assert.deepEqual(await ids(), [third]);
  await storage.store.removeMarks('acme', 'orders', []);
  assert.equal((await storage.store.readMarks('acme', 'orders2')).length, 1);
});

test('no table yet has no marks, and none to remove', async () => {
  const storage = await openStorage(azurite);
  assert.deepEqual(await storage.store.readMarks('acme', 'orders'), []);
  await storage.store.removeMarks('acme', 'orders', ['a']);
  await storage.store.removeMarks('acme', 'orders', ['a', 'b']);
});

test('no more than eight mails are stored at a time, and none is begun once its run has ended', async (t) => {
  const storage = await openStorage(azurite);
  const ending = new AbortController();
  const release = Promise.withResolvers<void>();
  const write = storage.parts.write.bind(storage.parts);
  let begun = 0;
  t.mock.method(storage.parts, 'write', async (...args: Parameters<typeof write>) => {
    begun += 1;
    await release.promise;
    await write(...args);
  });
  const storing = Array.from({ length: 12 }, (_, n) =>
    storage.store.store(undeliveredMail(['x'], { uid: n }), { ...mayWrite, signal: ending.signal }),
  );
  await until('eight are under way', () => begun === 8);
  ending.abort(new Error('The run has ended.'));
  release.resolve();
  const outcomes = await Promise.allSettled(storing);
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 8);
  assert.equal((await storage.store.readMarks('acme', 'orders')).length, 8);
});

test('only the parts that were not accepted are stored', async () => {
  const storage = await openStorage(azurite);
  const mail = undeliveredMail(['a', 'b', 'c', 'd']);
  const parts = mail.parts.filter(({ partNumber }) => partNumber % 2 === 0);
  await storage.store.store({ ...mail, parts });
  const record = await storage.newest();
  assert.deepEqual([record?.partCount, record?.partsLeft], [4, 2]);
  assert.deepEqual((await bodiesOf(storage, record?.id ?? '')).map(String), ['b', 'd']);
});

test('a store that dies before its end is no record, and its blobs are cleared an hour later', async () => {
  const storage = await openStorage(azurite);
  const bad = { kind: 'file', path: '/nonexistent/part', sizeBytes: 3, sha256: 'ab' } as const;
  await assert.rejects(storage.store.store(undeliveredMail(['a', bad])), Failure);
  assert.deepEqual(await storage.records(), []);
  assert.deepEqual(await storage.marks(), []);
  assert.ok((await storage.rows()).length > 0, 'a row leads to the blobs');
  passMinutes(storage, 59);
  assert.deepEqual(await storage.due(), []);
  passMinutes(storage, 2);
  const leftovers = await storage.due();
  assert.deepEqual([leftovers.length, leftovers[0]?.isLeftover], [1, true]);
  for (const { id } of leftovers) await storage.store.remove(id);
  assert.deepEqual([await storage.blobs(), await storage.rows()], [[], []]);
});

test('what was stored or taken by a clock far ahead is due now, save what may be being stored', async () => {
  const storage = await openStorage(azurite);
  const [realNow, ahead] = [storage.clock.now, new Date('2036-01-01T00:00:00Z')];
  storage.clock.now = ahead;
  await storage.store.store(undeliveredMail(['a']));
  storage.clock.now = realNow;
  const { id } = await takeDue(storage);
  assert.deepEqual(await storage.due(), []);
  await storage.store.resend(id);
  for (const [takenUntil, isDue] of [
    [new Date(realNow.getTime() + 15 * 60_000), false],
    [new Date(realNow.getTime() + 15 * 60_000 + 1), true],
  ] as const) {
    const taken = { takenUntil: takenUntil.toISOString() };
    await storage.table.updateEntity({ partitionKey: 'undelivered', rowKey: id, ...taken }, 'Merge');
    assert.equal((await storage.due()).length, isDue ? 1 : 0);
  }
  const storing = { status: 'storing', nextTryAt: ahead.toISOString(), takenUntil: '' };
  await storage.table.updateEntity({ partitionKey: 'undelivered', rowKey: id, ...storing }, 'Merge');
  assert.deepEqual(await storage.due(), []);
});

test('filtered by customer and connection, also over pages; no text reaches the filter as more than a text', async () => {
  const storage = await openStorage(azurite);
  for (let uid = 1; uid <= 12; uid += 1) {
    passMinutes(storage, 1);
    const [customer, connection] = [uid % 2 ? 'acme' : 'globex', uid % 3 ? 'orders' : 'invoices'];
    await storage.store.store(undeliveredMail(['x'], { uid, customer, connection }));
  }
  const count = async (by: { customer?: string; connection?: string }) =>
    (await storage.store.list({ limit: 100, ...by })).records.length;
  assert.deepEqual(
    [
      await count({}),
      await count({ customer: 'acme' }),
      await count({ connection: 'orders' }),
      await count({ customer: 'globex', connection: 'invoices' }),
      await count({ customer: 'nobody' }),
      await count({ customer: "x' or customer ne 'x" }),
    ],
    [12, 6, 8, 2, 0, 0],
  );
  const first = await storage.store.list({ limit: 2, customer: 'acme' });
  const rest = await storage.store.list({ limit: 10, customer: 'acme', after: first.next ?? '' });
  assert.deepEqual([first.records.length, rest.records.length, rest.next], [2, 4, undefined]);
  const all = await storage.store.list({ limit: 12, after: "' or 1 eq 1" });
  assert.deepEqual([all.records.length, all.next], [12, undefined]);
});

test('long envelope fields, keys and errors are cut, so that a row stays small', async () => {
  const storage = await openStorage(azurite);
  const long = 'ä'.repeat(100_000);
  const envelope = { subject: long, messageId: long, from: long };
  await storage.store.store(undeliveredMail(['x'], { envelope, error: long }));
  const record = await storage.newest();
  assert.equal(record?.emailSubject?.length, 256);
  assert.equal(record?.emailMessageId?.length, 256);
  assert.equal(record?.lastError.length, 1_024);
});

test('an id that is none finds nothing and reaches nothing, nor does a mark’s key', async () => {
  const storage = await openStorage(azurite);
  await storage.store.store(undeliveredMail(['x']));
  const [mark] = await storage.marks();
  assert.ok(mark);
  for (const id of ['', '../x', "' or 1 eq 1", 'a/b', '%', 'x'.repeat(5_000), mark.rowKey]) {
    assert.equal(await storage.store.get(id), undefined);
    assert.equal(await storage.store.resend(id), false);
    assert.equal(await storage.store.giveUp(id), undefined);
  }
  assert.equal((await storage.marks()).length, 1);
});

test('blob names hold the record’s id only, so no customer’s name leads to what is another’s', async () => {
  const storage = await openStorage(azurite);
  await storage.store.store(undeliveredMail(['x'], { customer: 'a', connection: 'b.c' }));
  await storage.store.store(undeliveredMail(['y'], { customer: 'a.b', connection: 'c' }));
  const folders = new Set((await storage.blobs()).map((name) => name.split('/')[0]));
  const records = await storage.records();
  assert.deepEqual(folders, new Set(records.map(({ id }) => id)));
});

test('a given up record goes with its blobs, and its mail stays settled', async () => {
  const storage = await openStorage(azurite);
  await storage.store.store(undeliveredMail(['x', 'y'], { uid: 1 }));
  await storage.store.store(undeliveredMail(['z'], { uid: 2 }));
  const records = await storage.records();
  const record = records.find(({ partCount }) => partCount === 2);
  assert.deepEqual(await storage.store.giveUp(record?.id ?? ''), record);
  assert.equal(await storage.store.giveUp(record?.id ?? ''), undefined);
  assert.equal((await storage.records()).length, 1);
  assert.equal((await storage.blobs()).length, 2);
  assert.equal((await storage.marks()).length, 2);
});

test('nothing brings back a record that has been delivered and whose blobs are still to go', async () => {
  const storage = await openStorage(azurite);
  await storage.store.store(undeliveredMail(['x']));
  const [row] = await storage.rows();
  assert.ok(row);
  const { partitionKey, rowKey } = row;
  await storage.table.updateEntity({ partitionKey, rowKey, status: 'removing' }, 'Merge');
  assert.equal(await storage.store.resend(rowKey), false);
  assert.equal(await storage.store.get(rowKey), undefined);
  assert.equal(await storage.store.giveUp(rowKey), undefined);
  passMinutes(storage, 1);
  const due = await storage.due();
  assert.deepEqual([due.length, due[0]?.isLeftover], [1, true]);
});

test('a record is taken by one alone; a taker whose first request was done without an answer has it', async (t) => {
  const storage = await openStorage(azurite);
  await storage.store.store(undeliveredMail(['x']));
  passMinutes(storage, 1);
  const [due] = await storage.due();
  assert.ok(due);
  const takers = await Promise.all([1, 2, 3].map(() => storage.store.take(due)));
  assert.equal(takers.filter((taken) => taken !== undefined).length, 1);
  assert.deepEqual(await storage.due(), []);
  passMinutes(storage, 10);
  const [again] = await storage.due();
  assert.ok(again);
  repeatUpdates(t, storage);
  assert.ok(await storage.store.take(again));
});

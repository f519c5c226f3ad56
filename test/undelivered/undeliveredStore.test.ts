import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { withContent } from '../../shared/delivery/message.ts';
import { Failure } from '../../shared/failure/failure.ts';
import { type Azurite, startAzurite } from '../testbed/azurite.ts';
import { contentOf, onlyParts, openStorage, type Storage, undeliveredMail } from './storage.ts';

let azurite: Azurite;
before(async () => {
  azurite = await startAzurite();
});
after(() => azurite.stop());

const later = (storage: Storage, minutes: number) => {
  storage.clock.now = new Date(storage.clock.now.getTime() + minutes * 60_000);
};

async function takeDue(storage: Storage) {
  const { records } = await storage.queue.findDue(10);
  const [due] = records;
  assert.ok(due, 'a record is due');
  const taken = await storage.queue.take(due);
  assert.ok(taken, 'it can be taken');
  return taken;
}

test('what is stored comes back as the very same messages, byte for byte', async () => {
  const storage = await openStorage(azurite);
  const bytes = randomBytes(9 * 1_024 * 1_024);
  const mail = undeliveredMail(['Hello', contentOf(bytes), '']);
  await storage.store.store(mail);
  later(storage, 1);
  const taken = await takeDue(storage);
  const parts = await taken.readParts();
  assert.deepEqual(
    parts.map(({ head }) => head),
    mail.parts.map(({ head }) => head),
  );
  const bodies = await Promise.all(parts.map((part) => taken.readBody(part)));
  assert.deepEqual(
    bodies.map((body) => body.length),
    [5, bytes.length, 0],
  );
  assert.ok(bodies[1]?.equals(bytes));
});

test('a part in a local file is stored; one in a payload blob is only referred to', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'undelivered-'));
  try {
    const storage = await openStorage(azurite);
    const path = join(folder, 'part');
    await writeFile(path, 'from a file');
    const { sizeBytes, sha256 } = contentOf(Buffer.from('from a file'));
    const mail = undeliveredMail(['body', { kind: 'file', path, sizeBytes, sha256 }, 'payload']);
    const [body, file, payload] = mail.parts;
    assert.ok(body && file && payload);
    const checked = withContent(payload, {
      kind: 'blob',
      claimCheck: 'email-payloads/x/3',
      sizeBytes: payload.content.sizeBytes,
      sha256: payload.content.sha256,
    });
    await storage.store.store({ ...mail, parts: [body, file, checked] });
    await rm(path);
    later(storage, 1);
    const taken = await takeDue(storage);
    const [, second, third] = await taken.readParts();
    assert.ok(second && third);
    assert.equal((await taken.readBody(second)).toString(), 'from a file');
    assert.equal(third.head.applicationProperties.claimCheck, 'email-payloads/x/3');
    assert.equal((await taken.readBody(third)).length, 0);
    assert.equal((await storage.blobs()).length, 3);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a record is due on the whole minute, never later than a minute after it was stored', async () => {
  const storage = await openStorage(azurite);
  await storage.store.store(undeliveredMail(['x']));
  const [record] = await storage.store.list(10);
  assert.equal(record?.nextTryAt?.toISOString(), '2026-11-20T10:01:00.000Z');
  assert.deepEqual((await storage.queue.findDue(10)).records, []);
  storage.clock.now = new Date('2026-11-20T10:01:00.000Z');
  assert.equal((await storage.queue.findDue(10)).records.length, 1);
});

test('the same mail stored twice is one record, without a second set of blobs', async () => {
  const storage = await openStorage(azurite);
  const mail = undeliveredMail(['a', 'b']);
  await storage.store.store(mail);
  const blobs = await storage.blobs();
  await storage.store.store(mail);
  assert.deepEqual(await storage.blobs(), blobs);
  assert.equal((await storage.rows()).length, 1);
  assert.equal((await storage.store.list(10))[0]?.partsLeft, 2);
});

test('stored again, only the parts that neither run got accepted are left', async () => {
  const storage = await openStorage(azurite);
  const mail = undeliveredMail(['a', 'b', 'c', 'd']);
  await storage.store.store(onlyParts(mail, [2, 3, 4]));
  await storage.store.store(onlyParts(mail, [1, 3, 4]));
  later(storage, 1);
  const parts = await (await takeDue(storage)).readParts();
  assert.deepEqual(
    parts.map(({ partNumber }) => partNumber),
    [3, 4],
  );
});

test('stored again with nothing left that was not accepted, it is not sent any more', async () => {
  const storage = await openStorage(azurite);
  const mail = undeliveredMail(['a', 'b']);
  await storage.store.store(onlyParts(mail, [1]));
  await storage.store.store(onlyParts(mail, [2]));
  assert.deepEqual(await storage.store.list(10), []);
  const due = await storage.queue.findDue(10);
  assert.deepEqual([due.records.length, due.leftovers.length], [0, 1]);
});

test('two runs that store the same mail at once leave one record with all that it takes', async () => {
  const storage = await openStorage(azurite);
  const mail = undeliveredMail(['a', 'b', 'c']);
  await Promise.allSettled([1, 2, 3].map(() => storage.store.store(mail)));
  later(storage, 1);
  const taken = await takeDue(storage);
  const bodies = await Promise.all((await taken.readParts()).map((part) => taken.readBody(part)));
  assert.deepEqual(bodies.map(String), ['a', 'b', 'c']);
  assert.equal((await storage.blobs()).length, 4);
});

test('a store that dies before its end is no record, and its blobs are cleared an hour later', async () => {
  const storage = await openStorage(azurite);
  const bad = { kind: 'file', path: '/nonexistent/part', sizeBytes: 3, sha256: 'ab' } as const;
  const mail = undeliveredMail(['a', bad]);
  await assert.rejects(storage.store.store(mail), Failure);
  assert.deepEqual(await storage.store.list(10), []);
  assert.equal(await storage.store.isStored(mail.interchangeId), false);
  later(storage, 59);
  assert.equal((await storage.queue.findDue(10)).leftovers.length, 0);
  later(storage, 2);
  const { records, leftovers } = await storage.queue.findDue(10);
  assert.equal(records.length, 0);
  for (const leftover of leftovers) await storage.queue.clear(leftover);
  assert.deepEqual([await storage.blobs(), await storage.rows()], [[], []]);
});

test('a store that died is taken up by the next one, and leaves no blob behind', async () => {
  const storage = await openStorage(azurite);
  const bad = { kind: 'file', path: '/nonexistent/part', sizeBytes: 3, sha256: 'ab' } as const;
  await assert.rejects(storage.store.store(undeliveredMail(['a', bad])), Failure);
  await storage.store.store(undeliveredMail(['a', 'b']));
  assert.equal((await storage.blobs()).length, 3);
  later(storage, 1);
  const taken = await takeDue(storage);
  assert.equal((await taken.readParts()).length, 2);
  await taken.remove();
  assert.deepEqual([await storage.blobs(), await storage.rows()], [[], []]);
});

test('a leftover that is being cleared is not stored into', async () => {
  const storage = await openStorage(azurite);
  const bad = { kind: 'file', path: '/nonexistent/part', sizeBytes: 3, sha256: 'ab' } as const;
  await assert.rejects(storage.store.store(undeliveredMail(['a', bad])), Failure);
  const [row] = await storage.rows();
  const takenUntil = new Date(storage.clock.now.getTime() + 60_000).toISOString();
  const keys = { partitionKey: String(row?.partitionKey), rowKey: String(row?.rowKey) };
  await storage.table.updateEntity({ ...keys, takenUntil }, 'Merge');
  await assert.rejects(storage.store.store(undeliveredMail(['a', 'b'])), { reason: 'storage' });
});

test('newest first, and no more than asked for', async () => {
  const storage = await openStorage(azurite);
  for (let uid = 1; uid <= 7; uid += 1) {
    later(storage, 1);
    await storage.store.store(undeliveredMail(['x'], { uid, customer: `c${uid}` }));
  }
  const customers = (await storage.store.list(3)).map(({ customer }) => customer);
  assert.deepEqual(customers, ['c7', 'c6', 'c5']);
});

test('long envelope fields, keys and errors are cut, so that a row stays small', async () => {
  const storage = await openStorage(azurite);
  const long = 'ä'.repeat(100_000);
  await storage.store.store(
    undeliveredMail(['x'], {
      mailKey: long,
      envelope: { subject: long, messageId: long, from: long },
      failure: new Failure('delivery', long),
    }),
  );
  const [record] = await storage.store.list(1);
  assert.equal(record?.emailSubject?.length, 256);
  assert.equal(record?.emailMessageId?.length, 256);
  assert.equal(record?.lastError.length, 1_024);
});

test('an id that is none finds nothing and reaches nothing', async () => {
  const storage = await openStorage(azurite);
  await storage.store.store(undeliveredMail(['x']));
  for (const id of ['', '../x', "' or 1 eq 1", 'a/b', '%', 'x'.repeat(5_000)]) {
    assert.equal(await storage.store.get(id), undefined);
    assert.equal(await storage.store.resend(id), false);
    assert.equal(await storage.store.isStored(id), false);
  }
});

test('blob names hold the id only, so no customer name leads to what is another’s', async () => {
  const storage = await openStorage(azurite);
  const ours = undeliveredMail(['x'], { customer: 'a', connection: 'b.c' });
  const theirs = undeliveredMail(['y'], { customer: 'a.b', connection: 'c' });
  await storage.store.store(ours);
  await storage.store.store(theirs);
  const folders = new Set((await storage.blobs()).map((name) => name.split('/')[0]));
  assert.deepEqual(folders, new Set([ours.interchangeId, theirs.interchangeId]));
});

test('a resent record is due now, also an abandoned one', async () => {
  const storage = await openStorage(azurite);
  const mail = undeliveredMail(['x']);
  await storage.store.store(mail);
  later(storage, 1);
  const taken = await takeDue(storage);
  await taken.keep(new Set(), { status: 'abandoned', nextTryAt: undefined, tries: 9 });
  assert.equal((await storage.store.get(mail.interchangeId))?.status, 'abandoned');
  assert.equal((await storage.queue.findDue(10)).records.length, 0);
  assert.equal(await storage.store.resend(mail.interchangeId), true);
  assert.equal((await storage.store.get(mail.interchangeId))?.status, 'waiting');
  assert.equal((await storage.queue.findDue(10)).records.length, 1);
});

test('nothing brings back a record that has been delivered', async () => {
  const storage = await openStorage(azurite);
  const mail = undeliveredMail(['x']);
  await storage.store.store(mail);
  const [row] = await storage.rows();
  const keys = { partitionKey: String(row?.partitionKey), rowKey: String(row?.rowKey) };
  await storage.table.updateEntity({ ...keys, status: 'delivered' }, 'Merge');
  assert.equal(await storage.store.resend(mail.interchangeId), false);
  assert.equal(await storage.store.isStored(mail.interchangeId), true);
  await storage.store.store(mail);
  assert.deepEqual(await storage.store.list(10), []);
});

test('a column unsent that someone has damaged means all parts, not none', async () => {
  const storage = await openStorage(azurite);
  await storage.store.store(undeliveredMail(['a', 'b']));
  const [row] = await storage.rows();
  const keys = { partitionKey: String(row?.partitionKey), rowKey: String(row?.rowKey) };
  await storage.table.updateEntity({ ...keys, unsent: 'two' }, 'Merge');
  later(storage, 1);
  assert.equal((await (await takeDue(storage)).readParts()).length, 2);
});

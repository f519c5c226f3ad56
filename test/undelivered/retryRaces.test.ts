import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { accepting, refusing, startRetryBed, storeMails, storeWith } from './retryBed.ts';
import { passMinutes, repeatUpdates, type Storage, undeliveredMail } from './storage.ts';

const bed = await startRetryBed();

test('three instances at once send nothing twice', async () => {
  const { queue, storage } = await bed.withDue(9);
  const summaries = await Promise.all([bed.tick(storage), bed.tick(storage), bed.tick(storage)]);
  const delivered = summaries.reduce((sum, summary) => sum + summary.delivered, 0);
  assert.deepEqual([delivered, queue.accepted], [9, 18]);
  assert.deepEqual([await storage.rows(), await storage.blobs()], [[], []]);
});

test('the record of a taker that died is free again within ten minutes', async () => {
  const { queue, storage } = await bed.withDue(1);
  for (const due of await storage.due()) assert.ok(await storage.store.take(due));
  passMinutes(storage, 9);
  assert.equal((await bed.tick(storage)).due, 0);
  passMinutes(storage, 1);
  assert.equal((await bed.tick(storage)).delivered, 1);
  assert.equal(queue.count, 2);
});

const away = () => Promise.reject(new Error('Storage is away.'));

for (const [when, blobs, fail] of [
  [
    'the last acceptance and the end of the blobs',
    3,
    ({ mock }: TestContext, { parts }: Storage) => mock.method(parts, 'remove', away),
  ],
  [
    'the end of the blobs and that of the row',
    0,
    ({ mock }: TestContext, { table }: Storage) => mock.method(table, 'deleteEntity', away),
  ],
] as const) {
  test(`a death between ${when} leads to no second send, and the mail is in the journal once`, async (t) => {
    const { queue, storage } = await bed.withDue(1);
    fail(t, storage);
    const told: number[] = [];
    const journal = async (delivered: readonly unknown[]) => void told.push(delivered.length);
    await bed.tick(storage, { journal });
    t.mock.restoreAll();
    assert.deepEqual(await storage.records(), []);
    assert.equal((await storage.blobs()).length, blobs);
    passMinutes(storage, 10);
    await bed.tick(storage, { journal });
    assert.deepEqual([queue.accepted, told], [2, [1]]);
    assert.deepEqual([await storage.rows(), await storage.blobs()], [[], []]);
  });
}

test('a resend while the record is being sent is not lost and sends nothing twice', async () => {
  const { queue, storage } = await bed.withDueMail(['x', 'y']);
  const destinations = bed.sendingBy(async (send, message) => {
    await storage.store.resend((await storage.newest())?.id ?? '');
    await send(message);
  });
  assert.equal((await bed.tick(storage, { destinations })).delivered, 1);
  await bed.tick(storage);
  assert.equal(queue.accepted, 2);
  assert.deepEqual(await storage.rows(), []);
});

test('a resend while the record is being sent in vain has it tried again at once, also past the age limit', async () => {
  for (const minutes of [1, 169 * 60]) {
    const storage = await bed.openStorage();
    await storeMails(storage, 'away', 1);
    passMinutes(storage, minutes);
    const destinations = bed.failingBy(async () => {
      assert.equal(await storage.store.resend((await storage.newest())?.id ?? ''), true);
      return false;
    });
    const { failed, abandoned } = await bed.tick(storage, { destinations });
    assert.deepEqual([failed, abandoned], [1, 0]);
    const { status, tries, lastError, nextTryAt } = (await storage.newest()) ?? {};
    assert.deepEqual([status, tries, lastError], ['waiting', 1, 'The queue is full.']);
    assert.ok(nextTryAt !== undefined && nextTryAt <= storage.clock.now);
    assert.equal((await bed.tick(storage, { destinations: accepting })).delivered, 1);
  }
});

test('a resend is done though another changes the record in that moment, and counts for one try alone', async (t) => {
  const storage = await bed.openStorage();
  await storeMails(storage, 'away', 1);
  const { id = '' } = (await storage.newest()) ?? {};
  const update = storage.table.updateEntity.bind(storage.table);
  t.mock.method(storage.table, 'updateEntity', async (...args: Parameters<typeof update>) => {
    t.mock.restoreAll();
    await update({ partitionKey: 'undelivered', rowKey: id, note: 'of an operator' }, 'Merge');
    return await update(...args);
  });
  assert.equal(await storage.store.resend(id), true);
  const destinations = bed.failingBy(async () => false);
  assert.equal((await bed.tick(storage, { destinations })).failed, 1);
  assert.equal((await bed.tick(storage, { destinations })).due, 0);
});

test('a record that is given up while it is sent in part leaves no blob behind', async () => {
  const { storage } = await bed.withDue(1);
  let sent = 0;
  const destinations = bed.failingBy(async () => {
    sent += 1;
    if (sent > 1) assert.ok(await storage.store.giveUp((await storage.newest())?.id ?? ''));
    return sent === 1;
  });
  await bed.tick(storage, { destinations });
  assert.deepEqual([await storage.rows(), await storage.blobs()], [[], []]);
});

test('nor is it brought back where its blobs are still to go', async (t) => {
  const { storage } = await bed.withDue(1);
  t.mock.method(storage.parts, 'remove', away);
  const destinations = bed.failingBy(async () => {
    await storage.store.giveUp((await storage.newest())?.id ?? '');
    return false;
  });
  await bed.tick(storage, { destinations });
  t.mock.restoreAll();
  assert.deepEqual([(await storage.rows()).length, await storage.records()], [1, []]);
  await bed.tick(storage, { destinations: refusing });
  assert.deepEqual([await storage.rows(), await storage.blobs()], [[], []]);
});

test('nor does one that is given up as what is left of it is written, by a process that dies just then', async (t) => {
  const { storage } = await bed.withDue(1);
  const keepOnly = storage.parts.keepOnly.bind(storage.parts);
  t.mock.method(storage.parts, 'keepOnly', async (...args: Parameters<typeof keepOnly>) => {
    assert.ok(await storage.store.giveUp(args[0]));
    await keepOnly(...args);
    throw new Error('The process is gone.');
  });
  let sent = 0;
  const destinations = bed.failingBy(async () => {
    sent += 1;
    return sent === 1;
  });
  await bed.tick(storage, { destinations });
  assert.deepEqual([sent, await storage.rows(), await storage.blobs()], [2, [], []]);
});

test('the outcome of a taker whose time has lapsed does not free what another has taken since', async () => {
  const { storage } = await bed.withDue(1);
  const [due] = await storage.due();
  const first = due && (await storage.store.take(due));
  passMinutes(storage, 10);
  const [again] = await storage.due();
  assert.ok(first && again && (await storage.store.take(again)));
  await storage.store.keep(first, { status: 'waiting', nextTryAt: storage.clock.now, tries: 1 });
  assert.deepEqual(await storage.due(), []);
  assert.equal((await storage.newest())?.tries, 0);
});

test('nor does it say again that parts are to be sent which another has sent since', async () => {
  const { storage } = await bed.withDueMail(['x', 'y', 'z']);
  const [due] = await storage.due();
  const first = due && (await storage.store.take(due));
  passMinutes(storage, 10);
  const [again] = await storage.due();
  const second = again && (await storage.store.take(again));
  assert.ok(first && second);
  const [, y, z] = await storage.parts.read(first.id);
  assert.ok(y && z);
  const failed = { status: 'waiting', nextTryAt: storage.clock.now, tries: 1 } as const;
  await storage.store.keep(second, failed, [z]);
  await storage.store.keep(first, failed, [y, z]);
  assert.deepEqual(await storage.parts.read(first.id), [z]);
});

test('a taker that was suspended until another has taken its record sends nothing more of it', async () => {
  const { queue, storage } = await bed.withDue(1);
  const destinations = bed.sendingBy(async (send, message) => {
    // The machine stands still, and its monotonic clock with it.
    if (message.applicationProperties.partNumber === 1) passMinutes(storage, 10);
    await send(message);
  });
  const suspended = await bed.tick(storage, { destinations });
  assert.deepEqual([suspended.delivered, queue.accepted], [0, 0]);
  assert.equal((await bed.tick(storage)).delivered, 1);
  assert.equal(queue.accepted, 2);
});

test('a mail that is whole by the time that a tick would clear it as a leftover stays', async (t) => {
  const storage = await bed.openStorage();
  const write = storage.parts.write.bind(storage.parts);
  t.mock.method(storage.parts, 'write', async (...args: Parameters<typeof write>) => {
    await write(...args);
    // The clock of the instance that stores it is behind.
    passMinutes(storage, 61);
    looked = await storage.due();
  });
  let looked: Awaited<ReturnType<Storage['due']>> = [];
  await storage.store.store(undeliveredMail(['x']));
  const store = storeWith(storage, {
    async *findDue() {
      yield* looked;
    },
  });
  await bed.tick(storage, { store, destinations: refusing });
  assert.deepEqual([looked.length, (await storage.records()).length], [1, 1]);
  assert.equal((await storage.blobs()).length, 2);
});

test('a record is given up for good though its blobs can not be removed at once', async (t) => {
  const storage = await bed.openStorage();
  await storeMails(storage, 'away', 1);
  const { id = '' } = (await storage.newest()) ?? {};
  t.mock.method(storage.parts, 'remove', away);
  assert.equal((await storage.store.giveUp(id))?.id, id);
  t.mock.restoreAll();
  assert.equal(await storage.store.get(id), undefined);
  await bed.tick(storage, { destinations: refusing });
  assert.deepEqual([await storage.rows(), await storage.blobs()], [[], []]);
});

test('a giving up whose first request was done without an answer counts', async (t) => {
  const storage = await bed.openStorage();
  await storeMails(storage, 'away', 1);
  const { id = '' } = (await storage.newest()) ?? {};
  repeatUpdates(t, storage);
  assert.equal((await storage.store.giveUp(id))?.id, id);
  assert.deepEqual([await storage.rows(), await storage.blobs()], [[], []]);
});

test('a record that another has taken or changed is not put off, the others are', async () => {
  const { storage } = await bed.withDue(5);
  const store = storeWith(storage, {
    async putOff(changes) {
      const [taken] = changes[0] ?? [];
      assert.ok(taken && (await storage.store.take(taken)));
      await storage.store.putOff(changes);
    },
  });
  await bed.tick(storage, { store, destinations: refusing });
  const records = await storage.records();
  assert.deepEqual(records.map(({ tries }) => tries).sort(), [0, 1, 1, 1, 1]);
});

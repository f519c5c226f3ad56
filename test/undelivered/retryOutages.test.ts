import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Destinations } from '../../shared/destination/destination.ts';
import { Failure } from '../../shared/failure/failure.ts';
import { blobNames, destinationsFor, idsIn, quickRetry, until } from '../destination/support.ts';
import { recordingLog, refusing, startRetryBed, storeMails, storeWith } from './retryBed.ts';
import { passMinutes, undeliveredMail } from './storage.ts';

const bed = await startRetryBed();

const away = () => Promise.reject(new Failure('storage', 'Storage could not be reached.'));

test('a queue that fills up in the middle is not tried for each of the other records', async () => {
  const { queue, storage } = await bed.withDue(12);
  bed.broker.faults.quotaExceeded = true;
  assert.equal((await bed.tick(storage)).failed, 12);
  assert.ok(queue.transfers <= 10, `${queue.transfers} transfers`);
  bed.broker.faults.quotaExceeded = false;
  passMinutes(storage, 2);
  assert.equal((await bed.tick(storage)).delivered, 12);
  assert.equal(queue.accepted, 24);
});

test('mails that the queue refuses for themselves keep back no other, of their connection or of another', async () => {
  const queue = bed.newQueue({ requiresSession: true });
  const storage = await bed.openStorage();
  for (let uid = 1; uid <= 15; uid += 1) {
    const mail = undeliveredMail(['x'], { uid, queueName: queue.name, connection: `box ${uid % 2}` });
    const parts = mail.parts.map(({ head: { sessionId: _, ...head }, ...part }) => ({ ...part, head }));
    await storage.store.store(uid <= 12 ? { ...mail, parts } : mail);
    storage.clock.now = new Date(storage.clock.now.getTime() + 1);
  }
  passMinutes(storage, 1);
  const { delivered, failed } = await bed.tick(storage);
  assert.deepEqual([delivered, failed, queue.accepted], [3, 12, 3]);
  assert.deepEqual(new Set((await storage.records()).map(({ tries }) => tries)), new Set([1]));
});

test('a broker that goes away for good in the middle ends the tick in time, and nothing is lost', async () => {
  const { queue, storage } = await bed.withDue(6);
  const stop = queue.onMessage(() => {
    bed.broker.faults.silentTransfers = true;
  });
  const startedAtMs = performance.now();
  const retry = { ...quickRetry, sendTotalMs: 1_000, tryMs: 400 };
  const destinations = destinationsFor(bed.broker.connectionString, { retry });
  const first = await bed.tick(storage, { destinations });
  await destinations.close();
  stop();
  assert.ok(performance.now() - startedAtMs < 10_000);
  assert.ok(first.failed > 0);
  bed.broker.faults.silentTransfers = false;
  passMinutes(storage, 2);
  await bed.tick(storage);
  assert.equal(new Set(idsIn(queue)).size, 12);
});

test('a queue that is away for days leaves one payload blob, not one for each try', async () => {
  const { storage } = await bed.withDueMail(['x'.repeat(20_000)], { maxMessageSizeBytes: 10_000 });
  bed.broker.faults.quotaExceeded = true;
  for (let day = 0; day < 3; day += 1) {
    passMinutes(storage, 24 * 60);
    assert.equal((await bed.tick(storage)).failed, 1);
  }
  bed.broker.faults.quotaExceeded = false;
  passMinutes(storage, 24 * 60);
  assert.equal((await bed.tick(storage)).delivered, 1);
  assert.equal((await blobNames(storage.payloads)).length, 1);
});

test('an outcome that can’t be written is logged; the record is due again, nothing else is lost', async () => {
  const { queue, storage } = await bed.withDue(1);
  const { log, lines } = recordingLog();
  const store = storeWith(storage, { remove: away, keep: away });
  await bed.tick(storage, { store, log });
  assert.ok(lines.some((line) => line.includes('Storage could not be reached.')));
  passMinutes(storage, 10);
  await bed.tick(storage);
  assert.equal(new Set(idsIn(queue)).size, 2);
  assert.deepEqual(await storage.rows(), []);
});

test('what can’t be put off or cleared is logged, and ends no tick', async (t) => {
  const { storage } = await bed.withDue(3);
  t.mock.method(storage.parts, 'remove', away);
  await storage.store.giveUp((await storage.newest())?.id ?? '');
  const { log, lines } = recordingLog();
  const putOff = () => Promise.reject(new Failure('storage', 'Nothing is written.'));
  const store = storeWith(storage, { putOff });
  const { due, failed } = await bed.tick(storage, { store, log, destinations: refusing });
  assert.deepEqual([due, failed], [2, 0]);
  const warnings = lines.filter((line) => line.startsWith('warn'));
  assert.match(
    warnings.toSorted().join('\n'),
    /^warn Nothing is written\. .*\nwarn Storage could not be reached\. .*$/,
  );
});

test('storage that is away before the tick fails it in one sentence', async () => {
  const storage = await bed.openStorage();
  const store = storeWith(storage, { findDue: () => ({ [Symbol.asyncIterator]: () => ({ next: away }) }) });
  await assert.rejects(bed.tick(storage, { store }), /^Failure: Storage could not be reached\.$/);
});

test('storage that goes away in the middle ends the tick, and what was not begun is due still', async () => {
  const { queue, storage } = await bed.withDue(10);
  let takes = 0;
  const store = storeWith(storage, {
    take: (due) => {
      takes += 1;
      return takes > 2 ? away() : storage.store.take(due);
    },
  });
  const { delivered } = await bed.tick(storage, { store });
  assert.ok(delivered <= 2 && takes <= 9);
  await bed.tick(storage);
  assert.equal(queue.accepted, 20);
});

test('what interrupted stores have left is cleared within the time of a tick, beside queues that take all of it', async (t) => {
  const storage = await bed.openStorage();
  for (const uid of [1, 2, 3]) {
    t.mock.method(storage.parts, 'write', away, { times: 1 });
    await assert.rejects(storage.store.store(undeliveredMail(['x'], { uid })), { reason: 'storage' });
  }
  passMinutes(storage, 61);
  await bed.tick(storage, { told: AbortSignal.abort() });
  assert.equal((await storage.rows()).length, 3, 'no time, nothing begun');
  await storeMails(storage, 'hanging', 1);
  passMinutes(storage, 1);
  const destinations: Destinations = {
    open: () =>
      until('cleared', async () => (await storage.rows()).length === 1).then(() => refusing.open('')),
    close: async () => undefined,
  };
  assert.equal((await bed.tick(storage, { destinations })).failed, 1);
});

test('after its time a tick begins nothing more, and what is left is due at once', async () => {
  const { queue, storage } = await bed.withDue(8);
  let tries = 0;
  const store = storeWith(storage, {
    take: async (due) => {
      tries += 1;
      const taken = await storage.store.take(due);
      const startedAtMs = performance.now();
      while (performance.now() - startedAtMs < 60);
      return taken;
    },
  });
  const first = await bed.tick(storage, { store, budgetMs: 50 });
  assert.ok(tries < 8 && first.failed === 0, `${tries} begun`);
  assert.ok((await bed.tick(storage)).due > 0);
  assert.equal(queue.accepted, 16);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Destinations } from '../../shared/destination/destination.ts';
import { Failure } from '../../shared/failure/failure.ts';
import { blobNames, destinationsFor, quickRetry } from '../destination/support.ts';
import { hourMs, recordingLog, retryBed, storeMails, storeWith } from './retryBed.ts';
import { passMinutes, undeliveredMail } from './storage.ts';

const bed = retryBed();

test('a queue that is away is opened once, its records are put off, and other queues get theirs', async () => {
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  await storeMails(storage, queue.name, 3);
  await storeMails(storage, 'away', 10, 100);
  passMinutes(storage, 1);
  const opened: string[] = [];
  const destinations: Destinations = {
    open(queueName) {
      opened.push(queueName);
      return bed.destinations.open(queueName);
    },
    close: async () => undefined,
  };
  const { log, lines } = recordingLog();
  const summary = await bed.tick(storage, { destinations, log });
  assert.deepEqual([summary.delivered, summary.failed], [3, 10]);
  assert.deepEqual(opened.sort(), ['away', queue.name]);
  assert.equal(lines.length, 2, lines.join('\n'));
  const { records } = await storage.store.list({ limit: 100 });
  assert.ok(records.every(({ tries, lastError }) => tries === 1 && lastError.includes('away')));
});

test('a queue that fills up in the middle is not tried for each of the other records', async () => {
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  await storeMails(storage, queue.name, 12);
  passMinutes(storage, 1);
  bed.broker.faults.quotaExceeded = true;
  const { failed } = await bed.tick(storage);
  assert.equal(failed, 12);
  assert.ok(queue.transfers <= 10, `${queue.transfers} transfers`);
  bed.broker.faults.quotaExceeded = false;
  passMinutes(storage, 2);
  assert.equal((await bed.tick(storage)).delivered, 12);
  assert.equal(queue.accepted, 24);
});

test('a broker that goes away for good in the middle ends the tick in time, and nothing is lost', async () => {
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  await storeMails(storage, queue.name, 6);
  passMinutes(storage, 1);
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
  assert.equal(new Set(queue.messages.map(({ messageId }) => messageId)).size, 12);
});

test('accepted but not told: the repeat carries the same ids, so duplicate detection drops it', async () => {
  const queue = bed.newQueue({ duplicateDetectionWindowMs: hourMs });
  const storage = await bed.openStorage();
  await storeMails(storage, queue.name, 2);
  passMinutes(storage, 1);
  bed.broker.faults.loseDispositionTransfers = 1;
  await bed.tick(storage);
  assert.equal(queue.accepted, 4);
  assert.ok(queue.duplicates > 0);
});

test('a queue that is away for days leaves one payload blob, not one for each try', async () => {
  const queue = bed.newQueue({ maxMessageSizeBytes: 10_000 });
  const storage = await bed.openStorage();
  await storage.store.store(undeliveredMail(['x'.repeat(20_000)], { queueName: queue.name }));
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
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  await storeMails(storage, queue.name, 1);
  passMinutes(storage, 1);
  const { log, lines } = recordingLog();
  const away = () => Promise.reject(new Failure('storage', 'Storage could not be reached.'));
  const store = storeWith(storage, { remove: away, keep: away });
  await bed.tick(storage, { store, log });
  assert.ok(lines.some((line) => line.includes('Storage could not be reached.')));
  passMinutes(storage, 10);
  await bed.tick(storage);
  assert.equal(new Set(queue.messages.map(({ messageId }) => messageId)).size, 2);
  assert.deepEqual(await storage.rows(), []);
});

test('storage that is away before the tick fails it in one sentence', async () => {
  const storage = await bed.openStorage();
  const away = new Failure('storage', 'Storage could not be reached.');
  const findDue: typeof storage.store.findDue = () => ({
    [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(away) }),
  });
  await assert.rejects(bed.tick(storage, { store: storeWith(storage, { findDue }) }), away);
});

test('storage that goes away in the middle ends the tick, and what was not begun is due still', async () => {
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  await storeMails(storage, queue.name, 10);
  passMinutes(storage, 1);
  let takes = 0;
  const store = storeWith(storage, {
    take: (due) => {
      takes += 1;
      return takes > 2
        ? Promise.reject(new Failure('storage', 'Storage could not be reached.'))
        : storage.store.take(due);
    },
  });
  const { delivered } = await bed.tick(storage, { store });
  assert.ok(delivered <= 2 && takes <= 9);
  await bed.tick(storage);
  assert.equal(queue.accepted, 20);
});

test('after its time a tick begins nothing more, and what is left is due at once', async () => {
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  await storeMails(storage, queue.name, 8);
  passMinutes(storage, 1);
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
  const second = await bed.tick(storage);
  assert.ok(second.due > 0);
  assert.equal(queue.accepted, 16);
});

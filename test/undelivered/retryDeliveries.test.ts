import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Destinations } from '../../shared/destination/destination.ts';
import { Failure } from '../../shared/failure/failure.ts';
import {
  assertAmqpNumberTypes,
  bytesOf,
  contentOf,
  idsIn,
  partNumbersIn,
  until,
} from '../destination/support.ts';
import {
  accepting,
  countRequests,
  hourMs,
  recordingLog,
  refusing,
  startRetryBed,
  storeMails,
  storeRows,
  storeWith,
} from './retryBed.ts';
import { passMinutes, undeliveredMail } from './storage.ts';

const bed = await startRetryBed();

test('nothing due: one table query, no connection to Service Bus', async () => {
  const storage = await bed.openStorage();
  await storage.store.store(undeliveredMail(['x']));
  const requests = countRequests(storage);
  const { destinations, opened } = bed.recordingOpens();
  const { due } = await bed.tick(storage, { destinations });
  assert.deepEqual([due, requests(), opened], [0, 1, []]);
});

test('no table yet is nothing due', async () => {
  assert.equal((await bed.tick(await bed.openStorage())).due, 0);
});

test('what is due arrives as the messages that were to be sent, then record and blobs are gone', async () => {
  const bytes = bytesOf(500_000);
  const { queue, storage, mail } = await bed.withDueMail(['Hello', contentOf(bytes), ''], {
    maxMessageSizeBytes: 1_000_000,
  });
  const summary = await bed.tick(storage);
  assert.deepEqual(summary, { due: 1, delivered: 1, failed: 0, abandoned: 0, messages: 3 });
  assert.partialDeepStrictEqual(
    queue.messages,
    mail.parts.map(({ head }) => head),
  );
  assert.deepEqual(
    queue.messages.map(({ body }) => Buffer.from(body as Buffer)),
    [Buffer.from('Hello'), bytes, Buffer.alloc(0)],
  );
  for (const { raw } of queue.peek(0, Infinity)) assertAmqpNumberTypes(raw);
  assert.deepEqual([await storage.rows(), await storage.blobs()], [[], []]);
});

test('tries come 1, 2, 4, 8, 16, 32, then every 60 minutes after one another, never later', async () => {
  const storage = await bed.openStorage();
  await storage.store.store(undeliveredMail(['x']));
  storage.clock.now = new Date('2026-11-20T10:01:30.010Z');
  const tries: number[] = [];
  for (let minute = 0; minute < 250; minute += 1) {
    const { failed } = await bed.tick(storage, { destinations: refusing });
    if (failed > 0) tries.push(minute);
    // A timer is late now by more, now by less.
    storage.clock.now = new Date(Date.UTC(2026, 10, 20, 10, minute + 2, 30, (minute * 37) % 900));
  }
  const waits = tries.slice(1).map((at, index) => at - (tries[index] ?? 0));
  assert.deepEqual(tries[0], 0);
  assert.deepEqual(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
  const record = await storage.newest();
  assert.equal(record?.tries, tries.length);
  assert.equal(record?.lastError, 'Service Bus queue inbound is away.');
  assert.equal(record?.nextTryAt?.getUTCSeconds(), 0);
});

test('past the age limit a record is abandoned, logged once as an error, kept, and tried no more', async () => {
  const storage = await bed.openStorage();
  await storage.store.store(undeliveredMail(['x']));
  const { log, lines } = recordingLog();
  const options = { destinations: refusing, log, maxAgeMs: hourMs };
  storage.clock.now = new Date('2026-11-20T10:01:30Z');
  for (let minute = 0; minute < 180; minute += 1) {
    await bed.tick(storage, options);
    passMinutes(storage, 1);
  }
  const record = await storage.newest();
  assert.equal(record?.status, 'abandoned');
  assert.equal(record?.lastTryAt?.toISOString(), '2026-11-20T11:00:30.000Z');
  const errors = lines.filter((line) => line.startsWith('error'));
  assert.equal(errors.length, 1);
  assert.match(errors[0] ?? '', new RegExp(`${record?.id}.*abandoned.*/resend`));
  assert.equal((await storage.blobs()).length, 2);
});

test('an abandoned record that is resent is delivered, or abandoned anew', async () => {
  const { queue, storage } = await bed.withDueMail(['x']);
  passMinutes(storage, 200 * 60);
  assert.equal((await bed.tick(storage, { destinations: refusing })).abandoned, 1);
  await storage.store.resend((await storage.newest())?.id ?? '');
  assert.equal((await bed.tick(storage, { destinations: refusing })).abandoned, 1);
  await storage.store.resend((await storage.newest())?.id ?? '');
  assert.equal((await bed.tick(storage)).delivered, 1);
  assert.equal(queue.count, 1);
});

test('after a partial failure only what was not accepted is sent again', async () => {
  const bodies = [1, 2, 3, 4, 5].map((seed) => contentOf(bytesOf(150_000, seed)));
  const { queue, storage, mail } = await bed.withDueMail(bodies);
  const stop = queue.onMessage(() => {
    if (queue.count >= 2) bed.broker.faults.quotaExceeded = true;
  });
  const first = await bed.tick(storage);
  stop();
  assert.equal(first.failed, 1);
  assert.ok(first.messages >= 2 && first.messages < 5, `${first.messages} accepted`);
  const record = await storage.newest();
  assert.equal(record?.partsLeft, 5 - first.messages);
  bed.broker.faults.quotaExceeded = false;
  passMinutes(storage, 2);
  assert.equal((await bed.tick(storage)).delivered, 1);
  assert.deepEqual(idsIn(queue).sort(), mail.parts.map(({ head }) => head.messageId).sort());
});

for (const [what, blob, damage, sentence] of [
  ['heads are damaged', 'mail.json', '{"parts":[]', /The stored heads of undelivered mail .* are damaged/],
  ['heads name no part', 'mail.json', '{"version":1,"shared":{},"parts":[]}', /mail .* names no part/],
  ['heads are gone', 'mail.json', undefined, /reading the heads of an undelivered mail/],
  ['content was changed', 'part-1', 'other', /part-1 .* is not what was stored/],
  ['content is gone', 'part-1', undefined, /reading a part of an undelivered mail/],
] as const) {
  test(`records whose ${what} are kept and fail alone, the others of their queue are delivered`, async () => {
    const { queue, storage } = await bed.withDue(5);
    // Of the oldest, which are tried first.
    const names = (await storage.blobs())
      .filter((each) => each.endsWith(blob))
      .toSorted()
      .slice(-2);
    for (const name of names) {
      if (damage === undefined) await storage.undelivered.deleteBlob(name);
      else await storage.undelivered.uploadBlockBlob(name, damage, damage.length);
    }
    const { delivered, failed } = await bed.tick(storage);
    assert.deepEqual([delivered, failed, queue.accepted], [3, 2, 6]);
    const records = await storage.records();
    assert.deepEqual(
      records.map(({ id }) => `${id}/${blob}`),
      names,
    );
    for (const { tries, lastError } of records) {
      assert.equal(tries, 1);
      assert.match(lastError, sentence);
    }
  });
}

test('a row that lost the time it was stored at keeps no other from being put off', async () => {
  const { storage } = await bed.withDue(3);
  const [row] = await storage.rows();
  assert.ok(row);
  const { partitionKey, rowKey } = row;
  await storage.table.updateEntity({ partitionKey, rowKey, storedAt: 'lost' }, 'Merge');
  const { failed } = await bed.tick(storage, { destinations: refusing });
  assert.equal(failed, 3);
  assert.deepEqual(
    (await storage.records()).map(({ tries }) => tries),
    [1, 1],
  );
});

test('the oldest of a queue come first', async () => {
  const { queue, storage } = await bed.withDue(5);
  await bed.tick(storage, { destinations: refusing });
  passMinutes(storage, 1);
  await storeMails(storage, queue.name, 1, 6);
  passMinutes(storage, 1);
  const order: string[] = [];
  const store = storeWith(storage, {
    take(due) {
      order.push(due.storedAt.toISOString());
      return storage.store.take(due);
    },
  });
  assert.equal((await bed.tick(storage, { store, destinations: accepting })).delivered, 6);
  assert.deepEqual([order.length, order], [6, order.toSorted()]);
});

test('a dead queue with many records is asked once a tick, which puts them off in few requests, and a healthy queue gets its own in the same tick', async () => {
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  await storeRows(storage, 'dead', 1_000);
  await storeMails(storage, queue.name, 2, 9_000);
  passMinutes(storage, 2);
  const { destinations, opened } = bed.recordingOpens();
  const requests = countRequests(storage);
  const { log, lines } = recordingLog();
  const summary = await bed.tick(storage, { destinations, log });
  assert.deepEqual([summary.delivered, summary.failed], [2, 1_000]);
  assert.deepEqual(opened.sort(), ['dead', queue.name].sort());
  assert.ok(requests() < 40, `${requests()} requests`);
  assert.equal(lines.length, 2, lines.join('\n'));
  const records = await storage.records();
  assert.ok(records.every(({ tries, lastError }) => tries === 1 && lastError.includes('queue dead')));
  assert.equal((await bed.tick(storage)).due, 0, 'all were put off');
});

test('past the age limit many at once are abandoned without asking for each, in a bounded number of lines', async () => {
  const storage = await bed.openStorage();
  await storeRows(storage, 'dead', 300);
  passMinutes(storage, 200 * 60);
  const requests = countRequests(storage);
  const { log, lines } = recordingLog();
  const summary = await bed.tick(storage, { destinations: refusing, log });
  assert.deepEqual([summary.abandoned, summary.failed], [300, 300]);
  assert.ok(requests() < 80, `${requests()} requests`);
  assert.ok(lines.length <= 54, `${lines.length} lines`);
});

test('told to go, a tick gives back what it took, which is due at once, and begins nothing more', async () => {
  const { queue, storage } = await bed.withDue(6);
  const telling = new AbortController();
  const destinations = bed.sendingBy(async (send, message) => {
    telling.abort();
    await send(message);
  });
  const { log, lines } = recordingLog();
  const first = await bed.tick(storage, { destinations, told: telling.signal, log });
  assert.deepEqual([first.delivered, first.failed], [0, 0]);
  assert.match(lines.join('\n'), /6 left for the next tick/);
  assert.equal(queue.accepted, 0);
  const records = await storage.records();
  assert.ok(records.every(({ tries, lastError }) => tries === 0 && lastError.includes('was away')));
  assert.equal((await bed.tick(storage)).delivered, 6);
  assert.equal(queue.accepted, 12);
});

test('told to go while a queue hangs, a tick gives back what it was sending, untouched', async () => {
  const { storage } = await bed.withDue(1);
  const telling = new AbortController();
  const destinations = bed.sendingBy(async () => {
    telling.abort();
    throw new Failure('delivery', 'The queue was closed before it accepted the message.');
  });
  const { failed } = await bed.tick(storage, { destinations, told: telling.signal });
  assert.equal(failed, 0);
  const { tries, status } = (await storage.newest()) ?? {};
  assert.deepEqual([tries, status], [0, 'waiting']);
  assert.equal((await bed.tick(storage)).delivered, 1);
});

test('told to go while a queue is being opened, a tick puts nothing off, nor abandons it', async () => {
  const { storage } = await bed.withDue(2);
  passMinutes(storage, 169 * 60);
  const telling = new AbortController();
  const open = async () => {
    telling.abort();
    throw new Failure('delivery', 'The queue did not answer in time.');
  };
  const destinations = { open, close: async () => undefined };
  const { failed, abandoned } = await bed.tick(storage, { destinations, told: telling.signal });
  assert.deepEqual([failed, abandoned], [0, 0]);
  assert.equal((await bed.tick(storage)).delivered, 2);
});

test('told to go in the middle of a mail, only what was not accepted is sent later', async () => {
  const bodies = [1, 2, 3].map((seed) => contentOf(bytesOf(150_000, seed)));
  const { queue, storage } = await bed.withDueMail(bodies);
  const telling = new AbortController();
  const destinations = bed.sendingBy(async (send, message) => {
    if (message.applicationProperties.partNumber !== 1 && !telling.signal.aborted) {
      await new Promise((resolve) => telling.signal.addEventListener('abort', resolve));
    }
    await send(message);
    telling.abort();
  });
  await bed.tick(storage, { destinations, told: telling.signal });
  assert.equal((await storage.newest())?.partsLeft, 2);
  assert.equal((await bed.tick(storage)).delivered, 1);
  assert.deepEqual(partNumbersIn(queue), [1, 2, 3]);
});

test('what was delivered goes into the journal while another queue is waited for, in few calls; a failure there is logged and costs nothing', async () => {
  const { storage } = await bed.withDue(12);
  await storeMails(storage, 'away', 2, 40);
  passMinutes(storage, 1);
  const written = new Set<string>();
  const open: Destinations['open'] = async (queueName) => {
    if (queueName !== 'away') return await accepting.open(queueName);
    await until('all are in the journal', () => written.size === 12);
    return await refusing.open(queueName);
  };
  const { log, lines } = recordingLog();
  let calls = 0;
  const { delivered, failed } = await bed.tick(storage, {
    log,
    destinations: { ...accepting, open },
    journal: async (records) => {
      calls += 1;
      for (const { id } of records) written.add(id);
      return 'The journal could not be written.';
    },
  });
  assert.deepEqual([delivered, failed, written.size], [12, 2, 12]);
  assert.ok(calls < 12, `${calls} calls`);
  assert.ok(lines.some((line) => line.startsWith('warn The journal could not be written.')));
});

test('the journal is written to the end before a tick ends', async () => {
  const { storage } = await bed.withDue(3);
  let written = 0;
  const journal = async (records: readonly unknown[]) => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    written += records.length;
    return undefined;
  };
  await bed.tick(storage, { destinations: accepting, journal });
  assert.equal(written, 3);
});

test('one mail that failed again is logged as one, and nothing of its content or envelope', async () => {
  const { storage } = await bed.withDueMail(['secret body']);
  const { log, lines } = recordingLog();
  await bed.tick(storage, { log, destinations: refusing });
  assert.match(lines.join('\n'), /^warn 1 undelivered mail for queue \S+ failed again: /m);
  passMinutes(storage, 200 * 60);
  await bed.tick(storage, { log, destinations: refusing });
  assert.ok(lines.some((line) => line.startsWith('error')));
  assert.doesNotMatch(lines.join('\n'), /Order 17|secret|example\.com/);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OpenDestination } from '../../shared/delivery/destination.ts';
import { assertAmqpNumberTypes, bytesOf } from '../delivery/support.ts';
import { hourMs, passMinutes, recordingLog, refusing, retryBed, storeMails } from './retryBed.ts';
import { contentOf, onlyParts, undeliveredMail } from './storage.ts';

const bed = retryBed();

test('nothing due: one table query, no connection to Service Bus', async () => {
  const storage = await bed.openStorage();
  await storage.store.store(undeliveredMail(['x']));
  let requests = 0;
  storage.table.pipeline.addPolicy({
    name: 'count',
    sendRequest: (request, next) => {
      requests += 1;
      return next(request);
    },
  });
  let opened = 0;
  const openDestination: OpenDestination = () => {
    opened += 1;
    return Promise.reject(new Error('opened'));
  };
  const summary = await bed.tick(storage, { openDestination });
  assert.deepEqual([summary.due, requests, opened], [0, 1, 0]);
});

test('no table yet is nothing due', async () => {
  assert.equal((await bed.tick(await bed.openStorage())).due, 0);
});

test('what is due arrives as the messages that were to be sent, then record and blobs are gone', async () => {
  const queue = bed.newQueue({ maxMessageSizeBytes: 1_000_000 });
  const storage = await bed.openStorage();
  const bytes = bytesOf(500_000);
  const mail = undeliveredMail(['Hello', contentOf(bytes), ''], { queueName: queue.name });
  await storage.store.store(mail);
  passMinutes(storage, 1);
  const summary = await bed.tick(storage);
  assert.deepEqual(summary, { due: 1, delivered: 1, failed: 0, abandoned: 0, messages: 3 });
  const arrived = queue.messages;
  assert.deepEqual(
    arrived.map(({ messageId, correlationId, sessionId, subject, contentType }) => ({
      messageId,
      correlationId,
      sessionId,
      subject,
      contentType,
    })),
    mail.parts.map(({ head }) => {
      const { applicationProperties, ...rest } = head;
      return rest;
    }),
  );
  for (const [index, message] of arrived.entries()) {
    const sent = mail.parts[index]?.head.applicationProperties ?? {};
    for (const [name, value] of Object.entries(sent)) {
      assert.equal(message.applicationProperties?.[name], value);
    }
  }
  assert.deepEqual(
    arrived.map(({ body }) => Buffer.from(body as Buffer)),
    [Buffer.from('Hello'), bytes, Buffer.alloc(0)],
  );
  for (const { raw } of queue.peek(0, Infinity)) assertAmqpNumberTypes(raw);
  assert.deepEqual([await storage.rows(), await storage.blobs()], [[], []]);
});

test('tries come 1, 2, 4, 8, 16, 32, then every 60 minutes after one another, never later', async () => {
  const storage = await bed.openStorage();
  const mail = undeliveredMail(['x']);
  await storage.store.store(mail);
  storage.clock.now = new Date('2026-11-20T10:01:30.010Z');
  const tries: number[] = [];
  for (let minute = 0; minute < 250; minute += 1) {
    const { failed } = await bed.tick(storage, { openDestination: refusing });
    if (failed > 0) tries.push(minute);
    // A timer is late now by more, now by less.
    storage.clock.now = new Date(Date.UTC(2026, 10, 20, 10, minute + 2, 30, (minute * 37) % 900));
  }
  const waits = tries.slice(1).map((at, index) => at - (tries[index] ?? 0));
  assert.deepEqual(tries[0], 0);
  assert.deepEqual(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
  const record = await storage.store.get(mail.interchangeId);
  assert.equal(record?.tries, tries.length);
  assert.equal(record?.lastError, 'Service Bus queue inbound is away.');
  assert.equal(record?.nextTryAt?.getUTCSeconds(), 0);
});

test('past the age limit a record is abandoned, logged once as an error, kept, and tried no more', async () => {
  const storage = await bed.openStorage();
  const mail = undeliveredMail(['x']);
  await storage.store.store(mail);
  const { log, lines } = recordingLog();
  const options = { openDestination: refusing, log, maxAgeMs: hourMs };
  storage.clock.now = new Date('2026-11-20T10:01:30Z');
  for (let minute = 0; minute < 180; minute += 1) {
    await bed.tick(storage, options);
    passMinutes(storage, 1);
  }
  const record = await storage.store.get(mail.interchangeId);
  assert.equal(record?.status, 'abandoned');
  assert.equal(record?.lastTryAt?.toISOString(), '2026-11-20T11:00:30.000Z');
  const errors = lines.filter((line) => line.startsWith('error'));
  assert.equal(errors.length, 1);
  assert.match(errors[0] ?? '', new RegExp(`${mail.interchangeId}.*abandoned.*/resend`));
  assert.equal((await storage.blobs()).length, 2);
});

test('an abandoned record that is resent is delivered, or abandoned anew', async () => {
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  const mail = undeliveredMail(['x'], { queueName: queue.name });
  await storage.store.store(mail);
  passMinutes(storage, 200 * 60);
  assert.equal((await bed.tick(storage, { openDestination: refusing })).abandoned, 1);
  await storage.store.resend(mail.interchangeId);
  assert.equal((await bed.tick(storage, { openDestination: refusing })).abandoned, 1);
  await storage.store.resend(mail.interchangeId);
  assert.equal((await bed.tick(storage)).delivered, 1);
  assert.equal(queue.count, 1);
});

test('after a partial failure only what was not accepted is sent again', async () => {
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  const bodies = [1, 2, 3, 4, 5].map((seed) => contentOf(bytesOf(150_000, seed)));
  const mail = undeliveredMail(bodies, { queueName: queue.name });
  await storage.store.store(mail);
  passMinutes(storage, 1);
  const stop = queue.onMessage(() => {
    if (queue.count >= 2) bed.broker.faults.quotaExceeded = true;
  });
  const first = await bed.tick(storage);
  stop();
  assert.equal(first.failed, 1);
  assert.ok(first.messages >= 2 && first.messages < 5, `${first.messages} accepted`);
  const record = await storage.store.get(mail.interchangeId);
  assert.equal(record?.partsLeft, 5 - first.messages);
  bed.broker.faults.quotaExceeded = false;
  passMinutes(storage, 2);
  assert.equal((await bed.tick(storage)).delivered, 1);
  assert.deepEqual(
    queue.messages.map(({ messageId }) => messageId).sort(),
    mail.parts.map(({ head }) => head.messageId).sort(),
  );
});

test('only the parts that were stored are sent', async () => {
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  const mail = undeliveredMail(['one', 'two', 'three'], { queueName: queue.name });
  await storage.store.store(onlyParts(mail, [2]));
  passMinutes(storage, 1);
  await bed.tick(storage);
  assert.deepEqual(
    queue.messages.map(({ applicationProperties }) => applicationProperties?.partNumber),
    [2],
  );
});

test('one record that can’t be sent does not keep the others', async () => {
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  await storeMails(storage, queue.name, 6);
  const body = (await storage.blobs()).find((name) => name.endsWith('part-1'));
  await storage.undelivered.deleteBlob(body ?? '');
  passMinutes(storage, 1);
  const summary = await bed.tick(storage);
  assert.deepEqual([summary.delivered, summary.failed], [5, 1]);
  const [left] = await storage.store.list(10);
  assert.match(left?.lastError ?? '', /part 1 of undelivered mail/);
});

test('content that was changed in the store is not sent', async () => {
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  await storeMails(storage, queue.name, 1);
  const body = (await storage.blobs()).find((name) => name.endsWith('part-1'));
  await storage.undelivered.uploadBlockBlob(body ?? '', 'other', 5);
  passMinutes(storage, 1);
  assert.equal((await bed.tick(storage)).failed, 1);
  assert.equal(queue.count, 0);
});

test('a record whose parts can’t be found is kept, not taken for sent', async () => {
  const storage = await bed.openStorage();
  await storeMails(storage, 'inbound', 1);
  const [row] = await storage.rows();
  const keys = { partitionKey: String(row?.partitionKey), rowKey: String(row?.rowKey) };
  await storage.table.updateEntity({ ...keys, unsent: '7' }, 'Merge');
  passMinutes(storage, 1);
  const openDestination: OpenDestination = async () => ({
    maxMessageBytes: 1_000_000,
    fits: () => true,
    send: async () => undefined,
    close: async () => undefined,
  });
  assert.equal((await bed.tick(storage, { openDestination })).failed, 1);
  assert.equal((await storage.store.list(10)).length, 1);
});

test('records that have failed less often come first', async () => {
  const storage = await bed.openStorage();
  await storeMails(storage, 'inbound', 3);
  passMinutes(storage, 1);
  await bed.tick(storage, { openDestination: refusing });
  passMinutes(storage, 2);
  await storage.store.store(undeliveredMail(['fresh'], { uid: 99 }));
  passMinutes(storage, 1);
  const order: number[] = [];
  const store = {
    ...storage.queue,
    take: (due: Parameters<typeof storage.queue.take>[0]) => {
      order.push(due.record.tries);
      return storage.queue.take(due);
    },
  };
  const openDestination: OpenDestination = async () => ({
    maxMessageBytes: 1_000_000,
    fits: () => true,
    send: async () => undefined,
    close: async () => undefined,
  });
  await bed.tick(storage, { store, openDestination });
  assert.deepEqual(order, [0, 1, 1, 1]);
});

test('nothing of a mail’s content or envelope gets into the log', async () => {
  const storage = await bed.openStorage();
  await storage.store.store(undeliveredMail(['secret body']));
  passMinutes(storage, 200 * 60);
  const { log, lines } = recordingLog();
  await bed.tick(storage, { log, openDestination: refusing });
  assert.ok(lines.length > 0);
  assert.doesNotMatch(lines.join('\n'), /Order 17|secret|example\.com/);
});

test('many abandoned at once stay a bounded number of log lines', async () => {
  const storage = await bed.openStorage();
  await storeMails(storage, 'inbound', 55);
  passMinutes(storage, 200 * 60);
  const { log, lines } = recordingLog();
  assert.equal((await bed.tick(storage, { log, openDestination: refusing })).abandoned, 55);
  assert.ok(lines.length <= 54, `${lines.length} lines`);
});

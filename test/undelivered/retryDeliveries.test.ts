import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Destination, OpenDestination } from '../../shared/delivery/destination.ts';
import { MessageTooLarge } from '../../shared/delivery/messageTooLarge.ts';
import { Failure } from '../../shared/failure/failure.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import { type RetryOptions, retryDeliveries } from '../../shared/undelivered/retryDeliveries.ts';
import { bytesOf, openerFor, quickRetry } from '../delivery/support.ts';
import { type Azurite, startAzurite } from '../testbed/azurite.ts';
import { type Broker, startBroker } from '../testbed/broker/broker.ts';
import { noFaults } from '../testbed/broker/faults.ts';
import { contentOf, onlyParts, openStorage, type Storage, undeliveredMail } from './storage.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

let azurite: Azurite;
let broker: Broker;
let queueCount = 0;

before(async () => {
  [azurite, broker] = await Promise.all([startAzurite(), startBroker()]);
});
after(() => Promise.all([azurite.stop(), broker.stop()]));

/** A queue of its own for each test; without duplicate detection, so that whatever is sent twice is seen. */
function newQueue(options: Partial<Parameters<Broker['createQueue']>[0]> = {}) {
  Object.assign(broker.faults, noFaults());
  queueCount += 1;
  return broker.createQueue({ name: `inbound-${queueCount}`, ...options });
}

function recordingLog() {
  const lines: string[] = [];
  const write = (level: string) => (sentence: string, fields?: object) =>
    void lines.push(`${level} ${sentence} ${JSON.stringify(fields ?? {})}`);
  const log: Log = { info: write('info'), warn: write('warn'), error: write('error') };
  return { log, lines };
}

function tick(storage: Storage, options: Partial<RetryOptions> = {}) {
  return retryDeliveries({
    store: storage.queue,
    openDestination: openerFor(broker.connectionString),
    log: recordingLog().log,
    now: () => storage.clock.now,
    maxAgeMs: 168 * hourMs,
    ...options,
  });
}

function passMinutes(storage: Storage, minutes: number): void {
  storage.clock.now = new Date(storage.clock.now.getTime() + minutes * minuteMs);
}

const refusing: OpenDestination = () =>
  Promise.reject(new Failure('queue', 'Service Bus queue inbound is away.'));

async function storeMails(storage: Storage, queueName: string, count: number, from = 1): Promise<void> {
  const uids = Array.from({ length: count }, (_, index) => from + index);
  await Promise.all(
    uids.map((uid) =>
      storage.store.store(undeliveredMail([`body ${uid}`, `two ${uid}`], { uid, queueName })),
    ),
  );
}

/** A destination on the real one, whose `send` is changed. */
function sendingBy(
  change: (send: Destination['send'], message: Parameters<Destination['send']>[0]) => Promise<void>,
): OpenDestination {
  return async (queueName) => {
    const real = await openerFor(broker.connectionString)(queueName);
    return {
      maxMessageBytes: real.maxMessageBytes,
      fits: (head, bytes) => real.fits(head, bytes),
      send: (message) => change((sent) => real.send(sent), message),
      close: () => real.close(),
    };
  };
}

test('nothing due: one table query, no connection to Service Bus', async () => {
  const storage = await openStorage(azurite);
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
  const summary = await tick(storage, { openDestination });
  assert.deepEqual([summary.due, requests, opened], [0, 1, 0]);
});

test('no table yet is nothing due', async () => {
  assert.equal((await tick(await openStorage(azurite))).due, 0);
});

test('what is due arrives as the messages that were to be sent, then record and blobs are gone', async () => {
  const queue = newQueue({ maxMessageSizeBytes: 1_000_000 });
  const storage = await openStorage(azurite);
  const bytes = bytesOf(500_000);
  const mail = undeliveredMail(['Hello', contentOf(bytes), ''], { queueName: queue.name });
  await storage.store.store(mail);
  passMinutes(storage, 1);
  const summary = await tick(storage);
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
  assert.deepEqual([await storage.rows(), await storage.blobs()], [[], []]);
});

test('tries come 1, 2, 4, 8, 16, 32, then every 60 minutes after one another, never later', async () => {
  const storage = await openStorage(azurite);
  const mail = undeliveredMail(['x']);
  await storage.store.store(mail);
  storage.clock.now = new Date('2026-11-20T10:01:30.010Z');
  const tries: number[] = [];
  for (let minute = 0; minute < 250; minute += 1) {
    const { failed } = await tick(storage, { openDestination: refusing });
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
  const storage = await openStorage(azurite);
  const mail = undeliveredMail(['x']);
  await storage.store.store(mail);
  const { log, lines } = recordingLog();
  const options = { openDestination: refusing, log, maxAgeMs: hourMs };
  storage.clock.now = new Date('2026-11-20T10:01:30Z');
  for (let minute = 0; minute < 180; minute += 1) {
    await tick(storage, options);
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
  const queue = newQueue();
  const storage = await openStorage(azurite);
  const mail = undeliveredMail(['x'], { queueName: queue.name });
  await storage.store.store(mail);
  passMinutes(storage, 200 * 60);
  assert.equal((await tick(storage, { openDestination: refusing })).abandoned, 1);
  await storage.store.resend(mail.interchangeId);
  assert.equal((await tick(storage, { openDestination: refusing })).abandoned, 1);
  await storage.store.resend(mail.interchangeId);
  assert.equal((await tick(storage)).delivered, 1);
  assert.equal(queue.count, 1);
});

test('after a partial failure only what was not accepted is sent again', async () => {
  const queue = newQueue();
  const storage = await openStorage(azurite);
  const bodies = [1, 2, 3, 4, 5].map((seed) => contentOf(bytesOf(150_000, seed)));
  const mail = undeliveredMail(bodies, { queueName: queue.name });
  await storage.store.store(mail);
  passMinutes(storage, 1);
  const stop = queue.onMessage(() => {
    if (queue.count >= 2) broker.faults.quotaExceeded = true;
  });
  const first = await tick(storage);
  stop();
  assert.equal(first.failed, 1);
  assert.ok(first.messages >= 2 && first.messages < 5, `${first.messages} accepted`);
  const record = await storage.store.get(mail.interchangeId);
  assert.equal(record?.partsLeft, 5 - first.messages);
  broker.faults.quotaExceeded = false;
  passMinutes(storage, 2);
  assert.equal((await tick(storage)).delivered, 1);
  assert.deepEqual(
    queue.messages.map(({ messageId }) => messageId).sort(),
    mail.parts.map(({ head }) => head.messageId).sort(),
  );
});

test('only the parts that were stored are sent', async () => {
  const queue = newQueue();
  const storage = await openStorage(azurite);
  const mail = undeliveredMail(['one', 'two', 'three'], { queueName: queue.name });
  await storage.store.store(onlyParts(mail, [2]));
  passMinutes(storage, 1);
  await tick(storage);
  assert.deepEqual(
    queue.messages.map(({ applicationProperties }) => applicationProperties?.partNumber),
    [2],
  );
});

test('three instances at once send nothing twice', async () => {
  const queue = newQueue();
  const storage = await openStorage(azurite);
  await storeMails(storage, queue.name, 9);
  passMinutes(storage, 1);
  const summaries = await Promise.all([tick(storage), tick(storage), tick(storage)]);
  assert.equal(
    summaries.reduce((sum, { delivered }) => sum + delivered, 0),
    9,
  );
  assert.equal(queue.accepted, 18);
  assert.deepEqual([await storage.rows(), await storage.blobs()], [[], []]);
});

test('the record of a taker that died is free again within ten minutes', async () => {
  const queue = newQueue();
  const storage = await openStorage(azurite);
  await storeMails(storage, queue.name, 1);
  passMinutes(storage, 1);
  const [due] = (await storage.queue.findDue(1)).records;
  assert.ok(due && (await storage.queue.take(due)));
  passMinutes(storage, 9);
  assert.equal((await tick(storage)).due, 0);
  passMinutes(storage, 1);
  assert.equal((await tick(storage)).delivered, 1);
  assert.equal(queue.count, 2);
});

test('a death between the last acceptance and the end of the blobs leads to no second send', async () => {
  const queue = newQueue();
  const storage = await openStorage(azurite);
  await storeMails(storage, queue.name, 1);
  passMinutes(storage, 1);
  const removeFolder = () => Promise.reject(new Failure('storage', 'Storage is away.'));
  await tick(storage, { store: storage.queueOver({}, { removeFolder }) });
  assert.deepEqual(await storage.store.list(10), []);
  assert.equal((await storage.blobs()).length, 3);
  passMinutes(storage, 10);
  await tick(storage);
  assert.equal(queue.accepted, 2);
  assert.deepEqual([await storage.rows(), await storage.blobs()], [[], []]);
});

test('a death between the end of the blobs and that of the row leads to no second send', async () => {
  const queue = newQueue();
  const storage = await openStorage(azurite);
  await storeMails(storage, queue.name, 1);
  passMinutes(storage, 1);
  const remove = () => Promise.reject(new Failure('storage', 'Storage is away.'));
  await tick(storage, { store: storage.queueOver({ remove }, {}) });
  passMinutes(storage, 10);
  await tick(storage);
  assert.equal(queue.accepted, 2);
  assert.deepEqual([await storage.rows(), await storage.blobs()], [[], []]);
});

test('a queue that is away is opened once, its records are put off, and other queues get theirs', async () => {
  const queue = newQueue();
  const storage = await openStorage(azurite);
  await storeMails(storage, queue.name, 3);
  await storeMails(storage, 'away', 10, 100);
  passMinutes(storage, 1);
  const opened: string[] = [];
  const openDestination: OpenDestination = async (queueName) => {
    opened.push(queueName);
    return await openerFor(broker.connectionString)(queueName);
  };
  const { log, lines } = recordingLog();
  const summary = await tick(storage, { openDestination, log });
  assert.deepEqual([summary.delivered, summary.failed], [3, 10]);
  assert.deepEqual(opened.sort(), ['away', queue.name]);
  assert.equal(lines.length, 2, lines.join('\n'));
  const records = await storage.store.list(100);
  assert.ok(records.every(({ tries, lastError }) => tries === 1 && lastError.includes('away')));
});

test('a queue that fills up in the middle is not tried for each of the other records', async () => {
  const queue = newQueue();
  const storage = await openStorage(azurite);
  await storeMails(storage, queue.name, 12);
  passMinutes(storage, 1);
  broker.faults.quotaExceeded = true;
  const { failed } = await tick(storage);
  assert.equal(failed, 12);
  assert.ok(queue.transfers <= 10, `${queue.transfers} transfers`);
  broker.faults.quotaExceeded = false;
  passMinutes(storage, 2);
  assert.equal((await tick(storage)).delivered, 12);
  assert.equal(queue.accepted, 24);
});

test('a broker that goes away for good in the middle ends the tick in time, and nothing is lost', async () => {
  const queue = newQueue();
  const storage = await openStorage(azurite);
  await storeMails(storage, queue.name, 6);
  passMinutes(storage, 1);
  const stop = queue.onMessage(() => {
    broker.faults.silentTransfers = true;
  });
  const startedAtMs = performance.now();
  const retry = { ...quickRetry, sendTotalMs: 1_000, tryMs: 400 };
  const first = await tick(storage, { openDestination: openerFor(broker.connectionString, retry) });
  stop();
  assert.ok(performance.now() - startedAtMs < 10_000);
  assert.ok(first.failed > 0);
  broker.faults.silentTransfers = false;
  passMinutes(storage, 2);
  await tick(storage);
  assert.equal(new Set(queue.messages.map(({ messageId }) => messageId)).size, 12);
});

test('accepted but not told: the repeat carries the same ids, so duplicate detection drops it', async () => {
  const queue = newQueue({ duplicateDetectionWindowMs: hourMs });
  const storage = await openStorage(azurite);
  await storeMails(storage, queue.name, 2);
  passMinutes(storage, 1);
  broker.faults.loseDispositionTransfers = 1;
  await tick(storage);
  assert.equal(queue.accepted, 4);
  assert.ok(queue.duplicates > 0);
});

test('one record that can’t be sent does not keep the others', async () => {
  const queue = newQueue();
  const storage = await openStorage(azurite);
  await storeMails(storage, queue.name, 6);
  const body = (await storage.blobs()).find((name) => name.endsWith('part-1'));
  await storage.undelivered.deleteBlob(body ?? '');
  passMinutes(storage, 1);
  const summary = await tick(storage);
  assert.deepEqual([summary.delivered, summary.failed], [5, 1]);
  const [left] = await storage.store.list(10);
  assert.match(left?.lastError ?? '', /part 1 of undelivered mail/);
});

test('content that was changed in the store is not sent', async () => {
  const queue = newQueue();
  const storage = await openStorage(azurite);
  await storeMails(storage, queue.name, 1);
  const body = (await storage.blobs()).find((name) => name.endsWith('part-1'));
  await storage.undelivered.uploadBlockBlob(body ?? '', 'other', 5);
  passMinutes(storage, 1);
  assert.equal((await tick(storage)).failed, 1);
  assert.equal(queue.count, 0);
});

test('a record whose parts can’t be found is kept, not taken for sent', async () => {
  const storage = await openStorage(azurite);
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
  assert.equal((await tick(storage, { openDestination })).failed, 1);
  assert.equal((await storage.store.list(10)).length, 1);
});

test('records that have failed less often come first', async () => {
  const storage = await openStorage(azurite);
  await storeMails(storage, 'inbound', 3);
  passMinutes(storage, 1);
  await tick(storage, { openDestination: refusing });
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
  await tick(storage, { store, openDestination });
  assert.deepEqual(order, [0, 1, 1, 1]);
});

test('a part that no longer fits goes by claim check', async () => {
  const queue = newQueue();
  const storage = await openStorage(azurite);
  const bytes = bytesOf(9_000_000);
  const mail = undeliveredMail(['small', contentOf(bytes)], { queueName: queue.name });
  await storage.store.store(mail);
  passMinutes(storage, 1);
  await tick(storage);
  const [, message] = queue.messages;
  assert.deepEqual(message?.body, Buffer.alloc(0));
  const claimCheck = String(message?.applicationProperties?.claimCheck);
  const prefix = `${storage.payloads.containerName}/`;
  assert.ok(claimCheck.startsWith(`${prefix}acme/orders/`), claimCheck);
  const payload = storage.payloads.getBlobClient(claimCheck.slice(prefix.length));
  assert.ok((await payload.downloadToBuffer()).equals(bytes));
  assert.equal(message?.applicationProperties?.size, bytes.length);
});

test('a message that the queue refuses for its size, against its word, goes by claim check', async () => {
  const queue = newQueue();
  const storage = await openStorage(azurite);
  const mail = undeliveredMail(['x'.repeat(2_000), 'small'], { queueName: queue.name });
  await storage.store.store(mail);
  passMinutes(storage, 1);
  const openDestination = sendingBy(async (send, message) => {
    if (message.body.length > 1_000) throw new MessageTooLarge('delivery', 'Too large.');
    await send(message);
  });
  assert.equal((await tick(storage, { openDestination })).delivered, 1);
  const checks = queue.messages.map(({ applicationProperties }) => applicationProperties?.claimCheck);
  assert.equal(checks.filter((check) => typeof check === 'string').length, 1);
});

test('messages too large even by claim check are not taken for an outage', async () => {
  const queue = newQueue();
  const storage = await openStorage(azurite);
  for (let uid = 1; uid <= 8; uid += 1) {
    const body = uid <= 5 ? 'bad' : 'good';
    await storage.store.store(undeliveredMail([body], { uid, queueName: queue.name }));
    storage.clock.now = new Date(storage.clock.now.getTime() + 1);
  }
  passMinutes(storage, 1);
  const openDestination = sendingBy(async (send, message) => {
    if (message.body.toString() !== 'good') throw new MessageTooLarge('delivery', 'Too large.');
    await send(message);
  });
  const summary = await tick(storage, { openDestination });
  assert.deepEqual([summary.delivered, summary.failed], [3, 5]);
});

test('a queue that is away for days leaves one payload blob, not one for each try', async () => {
  const queue = newQueue({ maxMessageSizeBytes: 10_000 });
  const storage = await openStorage(azurite);
  await storage.store.store(undeliveredMail(['x'.repeat(20_000)], { queueName: queue.name }));
  broker.faults.quotaExceeded = true;
  for (let day = 0; day < 3; day += 1) {
    passMinutes(storage, 24 * 60);
    assert.equal((await tick(storage)).failed, 1);
  }
  broker.faults.quotaExceeded = false;
  passMinutes(storage, 24 * 60);
  assert.equal((await tick(storage)).delivered, 1);
  let payloads = 0;
  for await (const _ of storage.payloads.listBlobsFlat()) payloads += 1;
  assert.equal(payloads, 1);
});

test('an outcome that can’t be written is logged; the record is due again, nothing else is lost', async () => {
  const queue = newQueue();
  const storage = await openStorage(azurite);
  await storeMails(storage, queue.name, 1);
  passMinutes(storage, 1);
  const { log, lines } = recordingLog();
  const real = storage.queue;
  const store = {
    ...real,
    take: async (due: Parameters<typeof real.take>[0]) => {
      const taken = await real.take(due);
      const away = () => Promise.reject(new Failure('storage', 'Storage could not be reached.'));
      return taken && { ...taken, remove: away, keep: away };
    },
  };
  await tick(storage, { store, log });
  assert.ok(lines.some((line) => line.includes('Storage could not be reached.')));
  passMinutes(storage, 10);
  await tick(storage);
  assert.equal(new Set(queue.messages.map(({ messageId }) => messageId)).size, 2);
  assert.deepEqual(await storage.rows(), []);
});

test('storage that is away before the tick fails it in one sentence', async () => {
  const storage = await openStorage(azurite);
  const findDue = () => Promise.reject(new Failure('storage', 'Storage could not be reached.'));
  await assert.rejects(tick(storage, { store: { ...storage.queue, findDue } }), Failure);
});

test('storage that goes away in the middle ends the tick, and what was not begun is due still', async () => {
  const queue = newQueue();
  const storage = await openStorage(azurite);
  await storeMails(storage, queue.name, 10);
  passMinutes(storage, 1);
  let takes = 0;
  const store = {
    ...storage.queue,
    take: (due: Parameters<typeof storage.queue.take>[0]) => {
      takes += 1;
      return takes > 2
        ? Promise.reject(new Failure('storage', 'Storage could not be reached.'))
        : storage.queue.take(due);
    },
  };
  const { delivered } = await tick(storage, { store });
  assert.ok(delivered <= 2 && takes <= 6);
  await tick(storage);
  assert.equal(queue.accepted, 20);
});

test('after its time a tick begins nothing more, and what is left is due at once', async () => {
  const queue = newQueue();
  const storage = await openStorage(azurite);
  await storeMails(storage, queue.name, 8);
  passMinutes(storage, 1);
  let tries = 0;
  const store = {
    ...storage.queue,
    take: async (due: Parameters<typeof storage.queue.take>[0]) => {
      tries += 1;
      const taken = await storage.queue.take(due);
      const startedAtMs = performance.now();
      while (performance.now() - startedAtMs < 60);
      return taken;
    },
  };
  const first = await tick(storage, { store, budgetMs: 50 });
  assert.ok(tries < 8 && first.failed === 0, `${tries} begun`);
  const second = await tick(storage);
  assert.ok(second.due > 0);
  assert.equal(queue.accepted, 16);
});

test('a resend while the record is being sent is not lost and sends nothing twice', async () => {
  const queue = newQueue();
  const storage = await openStorage(azurite);
  const mail = undeliveredMail(['x', 'y'], { queueName: queue.name });
  await storage.store.store(mail);
  passMinutes(storage, 1);
  const openDestination = sendingBy(async (send, message) => {
    await storage.store.resend(mail.interchangeId);
    await send(message);
  });
  assert.equal((await tick(storage, { openDestination })).delivered, 1);
  await tick(storage);
  assert.equal(queue.accepted, 2);
  assert.deepEqual(await storage.rows(), []);
});

test('a store of the same mail while it fails again keeps what either got accepted', async () => {
  const queue = newQueue();
  const storage = await openStorage(azurite);
  const mail = undeliveredMail(['one', 'two', 'three'], { queueName: queue.name });
  await storage.store.store(mail);
  passMinutes(storage, 1);
  const openDestination = sendingBy(async (send, message) => {
    if (message.applicationProperties.partNumber !== 1) throw new Failure('delivery', 'Away.');
    await send(message);
    await storage.store.store(onlyParts(mail, [1, 2]));
  });
  assert.equal((await tick(storage, { openDestination })).failed, 1);
  const [left] = await storage.rows();
  assert.equal(left?.unsent, '2');
});

test('nothing of a mail’s content or envelope gets into the log', async () => {
  const storage = await openStorage(azurite);
  await storage.store.store(undeliveredMail(['secret body']));
  passMinutes(storage, 200 * 60);
  const { log, lines } = recordingLog();
  await tick(storage, { log, openDestination: refusing });
  assert.ok(lines.length > 0);
  assert.doesNotMatch(lines.join('\n'), /Order 17|secret|example\.com/);
});

test('many abandoned at once stay a bounded number of log lines', async () => {
  const storage = await openStorage(azurite);
  await storeMails(storage, 'inbound', 55);
  passMinutes(storage, 200 * 60);
  const { log, lines } = recordingLog();
  assert.equal((await tick(storage, { log, openDestination: refusing })).abandoned, 55);
  assert.ok(lines.length <= 54, `${lines.length} lines`);
});

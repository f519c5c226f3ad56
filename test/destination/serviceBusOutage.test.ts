import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import type { QueueSender } from '../../shared/destination/destination.ts';
import type { Broker } from '../testbed/broker/broker.ts';
import type { BrokerFaults } from '../testbed/broker/faults.ts';
import { onClientSocket } from '../testbed/clientSockets.ts';
import {
  bytesOf,
  destinationsFor,
  failureOf,
  idsIn,
  mayWrite,
  messageOf,
  quickRetry,
  startSending,
  until,
} from './support.ts';

let broker: Broker;
let sender: QueueSender;
let stop: () => Promise<void>;

beforeEach(async () => {
  const options = { maxMessageSizeBytes: 1_048_576, duplicateDetectionWindowMs: 600_000 };
  ({ broker, sender, stop } = await startSending(options));
});
afterEach(() => stop());

const many = (count: number, size = 3_000) =>
  Array.from({ length: count }, (_, n) => messageOf(bytesOf(size, n)));

async function sendAll(messages: ReturnType<typeof many>): Promise<void> {
  await Promise.all(messages.map((message) => sender.send(message, mayWrite)));
}

function assertAllOnce(messages: ReturnType<typeof many>): void {
  assert.deepEqual(idsIn(broker.queue('orders')).sort(), idsIn({ messages }).sort());
}

const overcome: readonly (readonly [
  what: string,
  fault: Partial<BrokerFaults>,
  count: number,
  size: number,
])[] = [
  ['throttling that ends is waited out', { serverBusyTransfers: 5 }, 100, 3_000],
  ['a slow queue is waited for', { acceptDelayMs: 300 }, 200, 3_000],
  ['a connection dropped before anything was stored is replaced', { dropOnTransfer: 2 }, 500, 5_000],
];

for (const [what, fault, count, size] of overcome) {
  test(what, async () => {
    Object.assign(broker.faults, fault);
    const messages = many(count, size);
    await sendAll(messages);
    assertAllOnce(messages);
    // A connection that is dropped may take answers with it.
    if (!('dropOnTransfer' in fault)) assert.equal(broker.queue('orders').duplicates, 0);
  });
}

test('a message accepted on a connection lost before it said so is repeated, and the repeat dropped', async () => {
  broker.faults.loseDispositionTransfers = 1;
  const messages = many(20);
  const startedAt = Date.now();
  await sendAll(messages);
  assertAllOnce(messages);
  assert.equal(broker.queue('orders').duplicates, 20);
  // Noticed at the loss, not at the time-out of the try.
  assert.ok(Date.now() - startedAt < quickRetry.tryMs, `${Date.now() - startedAt} ms`);
});

test('a broker away for a while in the middle is waited for', async () => {
  const first = many(50);
  await sendAll(first);
  await broker.stop();
  const refused = failedConnect();
  const second = many(50);
  const sending = sendAll(second);
  await refused;
  await broker.restart();
  await sending;
  assertAllOnce([...first, ...second]);
});

test('a connection lost while idle is replaced without anyone noticing', async () => {
  broker.dropConnections();
  await until('no connection', () => broker.connections.open === 0);
  const messages = many(3);
  await sendAll(messages);
  assertAllOnce(messages);
});

test('a queue deleted in the middle is named at once', async () => {
  broker.delete('orders');
  const { message } = await failureOf(sender.send(messageOf(bytesOf(10)), mayWrite));
  assert.match(message, /^Service Bus queue orders doesn't exist in namespace/);
});

/** Asserts that all of many messages fail within the endpoint retry, or so many of them. */
async function assertAllFail(sentence: RegExp, size = 66_000, retries = 1, count = 60): Promise<void> {
  const startedMs = performance.now();
  const sends = many(count, size).map((message) => failureOf(sender.send(message, mayWrite)));
  for (const { message } of await Promise.all(sends)) assert.match(message, sentence);
  const tookMs = performance.now() - startedMs;
  assert.ok(tookMs <= retries * quickRetry.sendTotalMs + 1_000, `${tookMs} ms`);
}

for (const [how, size] of [
  ['in batches', 1_000],
  ['each alone', 66_000],
] as const) {
  test(`a broker that takes messages, ${how}, and answers nothing ends all of them within the endpoint retry`, async () => {
    broker.faults.silentTransfers = true;
    await assertAllFail(/did not answer in time/, size);
  });

  test(`a queue that refuses all for no known reason, sent ${how}, is away once two in a row have failed`, async (t) => {
    // A last try is cut short to a quarter of its time, which a busy machine may need to answer.
    const own = destinationsFor(broker.connectionString, { retry: { ...quickRetry, tryMs: 6_000 } });
    t.after(() => own.close());
    sender = await own.open('orders');
    broker.faults.internalErrors = true;
    await assertAllFail(/took no message \(InternalServerError\)/, size, 3, 20);
    broker.faults.internalErrors = false;
    const messages = many(10);
    await sendAll(messages);
    assertAllOnce(messages);
  });
}

test('one message of a batch that is refused for no known reason may itself be at fault: the others are tried', async () => {
  // Also where one was before that.
  for (let bad = 0; bad < 2; bad += 1) {
    broker.faults.internalErrors = true;
    const sends = many(3).map((message) => sender.send(message, mayWrite));
    const outcomes = Promise.allSettled(sends);
    await sends[0]?.catch(() => undefined);
    broker.faults.internalErrors = false;
    assert.deepEqual(
      (await outcomes).map(({ status }) => status),
      ['rejected', 'fulfilled', 'fulfilled'],
    );
  }
});

test('a broker that stays away fails all messages within the endpoint retry, and works again when it is back', async () => {
  await broker.stop();
  await assertAllFail(/refused the connection \(ECONNREFUSED\)/);
  await broker.restart();
  const messages = many(10);
  await sendAll(messages);
  assertAllOnce(messages);
});

test('connections dropped again and again lose and repeat nothing', async () => {
  const messages = many(400, 20_000);
  let drops = 0;
  const queue = broker.queue('orders');
  const stopListening = queue.onMessage(() => {
    if (queue.accepted % 90 !== 0 || drops >= 4) return;
    drops += 1;
    setImmediate(() => broker.dropConnections());
  });
  await sendAll(messages);
  stopListening();
  assert.ok(drops > 0);
  assertAllOnce(messages);
});

/** Resolves when a connect, of those that begin from now on, has failed. */
function failedConnect(): Promise<void> {
  return new Promise((resolve) => {
    const stopListening = onClientSocket((socket) => {
      socket.once('error', () => {
        stopListening();
        resolve();
      });
    });
  });
}

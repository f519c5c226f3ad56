import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { encodedBytes } from '../../shared/destination/amqpSize.ts';
import {
  MessageTooLarge,
  type OutboundMessage,
  type QueueSender,
} from '../../shared/destination/destination.ts';
import { defaultRetryLimits } from '../../shared/destination/endpointRetry.ts';
import { startBroker } from '../testbed/broker/broker.ts';
import {
  assertAmqpNumberTypes,
  bytesOf,
  destinationsFor,
  failureOf,
  idsIn,
  mayWrite,
  messageOf,
  openQueue,
  until,
} from './support.ts';

const broker = await startBroker();
after(async () => {
  await broker.stop();
});

const many = (count: number, size: number) =>
  Array.from({ length: count }, (_, n) => messageOf(bytesOf(size, n)));

const sendAll = (sender: QueueSender, messages: readonly OutboundMessage[]) =>
  Promise.all(messages.map((message) => sender.send(message, mayWrite)));

const allFailing = (sender: QueueSender, messages: readonly OutboundMessage[]) =>
  messages.map((message) => failureOf(sender.send(message, mayWrite)));

test('a message arrives with its body byte for byte and all it says of itself', async (t) => {
  const { queue, sender } = await openQueue(t, broker);
  const message = messageOf(bytesOf(5_000), {
    contentType: 'image/png',
    sessionId: 'acme/inbox',
    applicationProperties: {
      customer: 'acme',
      subject: 'Grüße 😀',
      partNumber: 1,
      size: 5_000_000_000,
      zero: 0,
    },
  });
  await sender.send(message, mayWrite);
  const [arrived] = queue.messages;
  assert.partialDeepStrictEqual(arrived, message);
  assert.deepEqual({ ...arrived?.applicationProperties }, { ...message.applicationProperties });
});

test('numbers have one AMQP type whatever their value, alone and in a batch', async (t) => {
  const values = [0, 1, 127, 128, 255, 256, 65_536, 2 ** 31 - 1];
  const sizes = [...values, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 5_000_000_000];
  const messages = sizes.map((size, index) => {
    const number = values[index] ?? 1;
    return messageOf(bytesOf(10), {
      applicationProperties: { partNumber: number, partCount: number, size },
    });
  });
  const [alone, ...batch] = messages;
  assert.ok(alone);
  const { queue, sender } = await openQueue(t, broker);
  await sender.send(alone, mayWrite);
  await sendAll(sender, batch);
  assert.equal(queue.transfers, 2);
  const stored = queue.peek(0, Infinity);
  assert.equal(stored.length, sizes.length);
  for (const { raw } of stored) assertAmqpNumberTypes(raw);
  assert.deepEqual(
    queue.messages.map(({ applicationProperties }) => applicationProperties.size),
    sizes,
  );
});

test('messages given in one turn share a batch', async (t) => {
  const { queue, sender } = await openQueue(t, broker);
  const messages = many(100, 500);
  await sendAll(sender, messages);
  assert.deepEqual(
    queue.messages.map(({ body }) => body),
    messages.map(({ body }) => body),
  );
  assert.ok(queue.transfers <= 2, `${queue.transfers} transfers`);
});

test('messages given one after the other share batches while others are in flight', async (t) => {
  const { queue, sender } = await openQueue(t, broker);
  broker.faults.acceptDelayMs = 20;
  const sends: Promise<void>[] = [];
  for (let n = 0; n < 60; n += 1) {
    sends.push(sender.send(messageOf(bytesOf(100, n)), mayWrite));
    await new Promise(setImmediate);
  }
  await Promise.all(sends);
  broker.faults.acceptDelayMs = 0;
  assert.equal(queue.accepted, 60);
  assert.ok(queue.transfers <= 30, `${queue.transfers} transfers`);
});

test('large messages go alone, many at a time, and small ones do not wait for them', async (t) => {
  const { queue, destinations, sender } = await openQueue(t, broker, { retry: defaultRetryLimits });
  broker.faults.silentTransfers = true;
  const sends = allFailing(sender, many(10, 100_000));
  await until('all on the wire', () => queue.transfers === 10);
  sends.push(...allFailing(sender, many(10, 100)));
  await until('the small ones too', () => queue.transfers === 11);
  await destinations.close();
  broker.faults.silentTransfers = false;
  await Promise.all(sends);
});

test('messages are read for as many bytes as may be in flight, and one that is larger goes alone', async (t) => {
  const { queue, sender } = await openQueue(t, broker, { maxMessageSizeBytes: 20_000_000 });
  broker.faults.silentTransfers = true;
  let read = 0;
  const unread = (length: number) => ({
    ...messageOf(Buffer.alloc(0)),
    body: {
      length,
      read: async () => {
        read += 1;
        return bytesOf(length, read);
      },
    },
  });
  const sends = [...many(11, 0).map(() => unread(1_000_000)), unread(9_000_000)];
  const all = sendAll(sender, sends);
  await until('they are on the wire', () => queue.transfers === 8);
  assert.equal(read, 8);
  broker.faults.silentTransfers = false;
  broker.dropConnections();
  await all;
  assert.equal(queue.accepted, sends.length);
});

test('fits is exact: what fits by a byte is accepted, one byte more is refused by the queue', async (t) => {
  const limit = 20_000;
  const { queue, sender } = await openQueue(t, broker, { maxMessageSizeBytes: limit });
  assert.equal(sender.maxMessageBytes, limit);
  const head = messageOf(Buffer.alloc(0));
  const room = limit - encodedBytes(head, 1_000) + 1_000;
  for (const size of [room - 1, room]) {
    assert.ok(encodedBytes(head, size) <= sender.maxMessageBytes);
    await sender.send(messageOf(bytesOf(size)), mayWrite);
  }
  assert.ok(encodedBytes(head, room + 1) > sender.maxMessageBytes);
  const failure = await failureOf(sender.send(messageOf(bytesOf(room + 1)), mayWrite));
  assert.ok(failure instanceof MessageTooLarge);
  assert.equal(
    failure.message,
    `Service Bus queue ${queue.name} in namespace localhost:${broker.port} refused a message as too large. Set EMAIL_MAX_MESSAGE_BYTES to what the queue takes.`,
  );
  assert.equal(queue.accepted, 2);
});

test('EMAIL_MAX_MESSAGE_BYTES lowers the limit and never raises it', async (t) => {
  const limitOf = async (maxMessageBytes: number) =>
    (await openQueue(t, broker, { maxMessageSizeBytes: 20_000, maxMessageBytes })).sender.maxMessageBytes;
  assert.deepEqual([await limitOf(10_000), await limitOf(30_000)], [10_000, 20_000]);
});

test('messages of every size up to the limit arrive together', async (t) => {
  const { queue, sender } = await openQueue(t, broker, { maxMessageSizeBytes: 1_048_576 });
  const sizes = [0, 1, 255, 256, 4_096, 100_000, 400_000, 520_000, 600_000, 1_048_000];
  const messages = [...sizes, ...sizes].map((size, n) => messageOf(bytesOf(size, n)));
  await sendAll(sender, messages);
  const arrived = new Map(queue.messages.map(({ messageId, body }) => [messageId, body]));
  for (const { messageId, body } of messages) {
    assert.ok(arrived.get(messageId)?.equals(body), `${body.length} bytes`);
  }
});

test('messages that can not be sent do not take their neighbours in the batch with them', async (t) => {
  const { queue, sender } = await openQueue(t, broker);
  const unfit = Array.from({ length: 3 }, () => messageOf(bytesOf(10), { messageId: 'x'.repeat(200) }));
  const fit = many(10, 100);
  const failing = Promise.all(allFailing(sender, unfit));
  await sendAll(sender, fit);
  assert.equal(
    (await failing)[0]?.message,
    `A message for Service Bus queue ${queue.name} in namespace localhost:${broker.port} could not be built (Error).`,
  );
  assert.deepEqual(idsIn(queue), idsIn({ messages: fit }));
});

test('sessions keep their order, each in batches of its own', async (t) => {
  const { queue, sender } = await openQueue(t, broker, { requiresSession: true });
  const messages = Array.from({ length: 300 }, (_, n) =>
    messageOf(bytesOf(2_000, n), { sessionId: `session-${n % 3}` }),
  );
  broker.faults.serverBusyTransfers = 2;
  await sendAll(sender, messages);
  const bySession = (all: readonly { sessionId?: string | undefined; messageId?: unknown }[]) =>
    [0, 1, 2].map((n) => idsIn({ messages: all.filter(({ sessionId }) => sessionId === `session-${n}`) }));
  assert.deepEqual(bySession(queue.messages), bySession(messages));
});

test('a queue that takes no batches, as with partitions and duplicate detection, gets each message alone', async (t) => {
  const { queue, sender } = await openQueue(t, broker, {
    isPartitioned: true,
    duplicateDetectionWindowMs: 60_000,
  });
  await sendAll(sender, many(20, 10));
  assert.equal(queue.accepted, 20);
  const refused = queue.transfers - 20;
  await sendAll(sender, many(20, 10));
  assert.deepEqual([queue.accepted, queue.transfers - refused], [40, 40], 'no batch is tried again');
});

test('sessions are still sent in batches to a queue with partitions and duplicate detection', async (t) => {
  const options = { isPartitioned: true, duplicateDetectionWindowMs: 60_000, requiresSession: true };
  const { queue, sender } = await openQueue(t, broker, options);
  const messages = Array.from({ length: 20 }, () => messageOf(bytesOf(10), { sessionId: 'a' }));
  await sendAll(sender, messages);
  assert.deepEqual([queue.accepted, queue.transfers], [20, 1]);
});

test('a message without a session on a queue that requires one says so at once', async (t) => {
  const { queue, sender } = await openQueue(t, broker, { requiresSession: true });
  for (const failure of await Promise.all(allFailing(sender, many(3, 10)))) {
    assert.equal(failure.reason, 'queue');
    assert.equal(
      failure.message,
      `Service Bus queue ${queue.name} in namespace localhost:${broker.port} requires sessions and got a message without one. Set the connection's sessions to connection or mail.`,
    );
  }
});

test('a message without a session on a queue that requires one refuses no other that waits behind it', async (t) => {
  const { queue, sender } = await openQueue(t, broker, { requiresSession: true });
  broker.faults.acceptDelayMs = 200;
  const refused = allFailing(sender, many(3, 10));
  await until('it is on its way', () => queue.transfers > 0);
  broker.faults.acceptDelayMs = 400;
  await sendAll(
    sender,
    Array.from({ length: 100 }, (_, n) => messageOf(bytesOf(10), { sessionId: `${n}` })),
  );
  await Promise.all(refused);
  broker.faults.acceptDelayMs = 0;
  assert.equal(queue.accepted, 100);
});

test('closing refuses what still waits, ends what is in flight, and may be done twice', async (t) => {
  const { queue, destinations, sender } = await openQueue(t, broker, { retry: defaultRetryLimits });
  broker.faults.silentTransfers = true;
  const sends = allFailing(sender, many(20, 100_000));
  await new Promise(setImmediate);
  const startedMs = performance.now();
  await Promise.all([destinations.close(), destinations.close()]);
  const tookMs = performance.now() - startedMs;
  assert.ok(tookMs < defaultRetryLimits.tryMs / 2, `${tookMs} ms`);
  broker.faults.silentTransfers = false;
  for (const failure of await Promise.all(sends)) {
    assert.equal(
      failure.message,
      `Service Bus queue ${queue.name} in namespace localhost:${broker.port} was closed before it accepted the message.`,
    );
  }
  assert.match((await failureOf(sender.send(messageOf(bytesOf(1)), mayWrite))).message, /was closed before/);
  await untilNoConnection();
});

test('closing ends in seconds while a link is being opened that the namespace does not answer', async () => {
  broker.createQueue({ name: 'unanswered' });
  const destinations = destinationsFor(broker.connectionString, { retry: defaultRetryLimits });
  broker.faults.silentAttach = true;
  const opening = failureOf(destinations.open('unanswered'));
  await until('it is connected', () => broker.connections.open > 0);
  const startedMs = performance.now();
  await Promise.all([destinations.close(), opening]);
  const tookMs = performance.now() - startedMs;
  broker.faults.silentAttach = false;
  assert.ok(tookMs < defaultRetryLimits.tryMs / 2, `${tookMs} ms`);
});

test('an unused namespace is not connected to, and a closed destination leaves no connection', async () => {
  const before = broker.connections.total;
  const destinations = destinationsFor(broker.connectionString);
  assert.equal(broker.connections.total, before);
  broker.createQueue({ name: 'brief' });
  await destinations.open('brief');
  assert.equal(broker.connections.total, before + 1);
  await destinations.close();
  await untilNoConnection();
});

const untilNoConnection = () => until('no connection', () => broker.connections.open === 0);

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { encodedBytes } from '../../shared/delivery/amqpSize.ts';
import type { Destination } from '../../shared/delivery/destination.ts';
import { defaultRetryLimits } from '../../shared/delivery/endpointRetry.ts';
import { MessageTooLarge } from '../../shared/delivery/messageTooLarge.ts';
import { type Broker, startBroker } from '../testbed/broker/broker.ts';
import { assertAmqpNumberTypes, bytesOf, failureOf, messageOf, openerFor } from './support.ts';

let broker: Broker;

before(async () => {
  broker = await startBroker();
});

after(async () => {
  await broker.stop();
});

let queues = 0;

async function using(
  options: { maxMessageSizeBytes?: number; requiresSession?: boolean; maxMessageBytes?: number },
  work: (destination: Destination, queueName: string) => Promise<void>,
): Promise<void> {
  const { maxMessageBytes, ...queueOptions } = options;
  queues += 1;
  const name = `queue-${queues}`;
  broker.createQueue({ name, ...queueOptions });
  const destination = await openerFor(broker.connectionString, undefined, maxMessageBytes)(name);
  try {
    await work(destination, name);
  } finally {
    await destination.close();
  }
}

test('a message arrives with its body byte for byte and all it says of itself', async () => {
  await using({}, async (destination, name) => {
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
    await destination.send(message);
    const [arrived] = broker.queue(name).messages;
    assert.ok(arrived);
    assert.deepEqual(arrived.body, message.body);
    assert.equal(arrived.messageId, message.messageId);
    assert.equal(arrived.correlationId, message.correlationId);
    assert.equal(arrived.subject, 'attachment');
    assert.equal(arrived.contentType, 'image/png');
    assert.equal(arrived.sessionId, 'acme/inbox');
    assert.deepEqual({ ...arrived.applicationProperties }, { ...message.applicationProperties });
  });
});

test('numbers have one AMQP type whatever their value, alone and in a batch', async () => {
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
  await using({}, async (destination, name) => {
    await destination.send(alone);
    await Promise.all(batch.map((message) => destination.send(message)));
    const queue = broker.queue(name);
    assert.equal(queue.transfers, 2);
    const stored = queue.peek(0, Infinity);
    assert.equal(stored.length, sizes.length);
    for (const { raw } of stored) assertAmqpNumberTypes(raw);
    assert.deepEqual(
      queue.messages.map(({ applicationProperties }) => applicationProperties.size),
      sizes,
    );
  });
});

test('messages given in one turn share a batch', async () => {
  await using({}, async (destination, name) => {
    const messages = Array.from({ length: 100 }, (_, n) => messageOf(bytesOf(500, n)));
    await Promise.all(messages.map((message) => destination.send(message)));
    const queue = broker.queue(name);
    assert.deepEqual(
      queue.messages.map(({ body }) => body),
      messages.map(({ body }) => body),
    );
    assert.ok(queue.transfers <= 2, `${queue.transfers} transfers`);
  });
});

test('messages given one after the other share batches while others are in flight', async () => {
  await using({}, async (destination, name) => {
    broker.faults.acceptDelayMs = 20;
    const sends: Promise<void>[] = [];
    for (let n = 0; n < 60; n += 1) {
      sends.push(destination.send(messageOf(bytesOf(100, n))));
      await new Promise(setImmediate);
    }
    await Promise.all(sends);
    broker.faults.acceptDelayMs = 0;
    assert.equal(broker.queue(name).accepted, 60);
    assert.ok(broker.queue(name).transfers <= 30, `${broker.queue(name).transfers} transfers`);
  });
});

test('large messages go alone, many at a time, and small ones do not wait for them', async () => {
  broker.createQueue({ name: 'mixed' });
  const destination = await openerFor(broker.connectionString, defaultRetryLimits)('mixed');
  broker.faults.silentTransfers = true;
  const queue = broker.queue('mixed');
  const large = Array.from({ length: 10 }, (_, n) => messageOf(bytesOf(100_000, n)));
  const sends = large.map((message) => failureOf(destination.send(message)));
  await until(() => queue.transfers === large.length);
  const small = Array.from({ length: 10 }, (_, n) => messageOf(bytesOf(100, n)));
  sends.push(...small.map((message) => failureOf(destination.send(message))));
  await until(() => queue.transfers === large.length + 1);
  await destination.close();
  broker.faults.silentTransfers = false;
  await Promise.all(sends);
});

test('fits is exact: what fits by a byte is accepted, one byte more is refused by the queue', async () => {
  const limit = 20_000;
  await using({ maxMessageSizeBytes: limit }, async (destination, name) => {
    assert.equal(destination.maxMessageBytes, limit);
    const head = messageOf(Buffer.alloc(0));
    const room = limit - encodedBytes(head, 1_000) + 1_000;
    for (const size of [room - 1, room]) {
      assert.equal(destination.fits(head, size), true);
      await destination.send({ ...messageOf(bytesOf(size)) });
    }
    assert.equal(destination.fits(head, room + 1), false);
    const failure = await failureOf(destination.send(messageOf(bytesOf(room + 1))));
    assert.ok(failure instanceof MessageTooLarge);
    assert.equal(
      failure.message,
      `Service Bus queue ${name} in namespace localhost:${broker.port} refused a message as too large. Set EMAIL_MAX_MESSAGE_BYTES to what the queue takes.`,
    );
    assert.equal(broker.queue(name).accepted, 2);
  });
});

test('EMAIL_MAX_MESSAGE_BYTES lowers the limit and never raises it', async () => {
  await using({ maxMessageSizeBytes: 20_000, maxMessageBytes: 10_000 }, async (destination) => {
    assert.equal(destination.maxMessageBytes, 10_000);
    assert.equal(destination.fits(messageOf(Buffer.alloc(0)), 10_000), false);
  });
  await using({ maxMessageSizeBytes: 20_000, maxMessageBytes: 30_000 }, async (destination) => {
    assert.equal(destination.maxMessageBytes, 20_000);
  });
});

test('messages of every size up to the limit arrive together', async () => {
  await using({ maxMessageSizeBytes: 1_048_576 }, async (destination, name) => {
    const sizes = [0, 1, 255, 256, 4_096, 100_000, 400_000, 520_000, 600_000, 1_048_000];
    const messages = [...sizes, ...sizes].map((size, n) => messageOf(bytesOf(size, n)));
    await Promise.all(messages.map((message) => destination.send(message)));
    const arrived = new Map(broker.queue(name).messages.map(({ messageId, body }) => [messageId, body]));
    for (const { messageId, body } of messages) {
      assert.ok(arrived.get(messageId)?.equals(body), `${body.length} bytes`);
    }
  });
});

test('one message that can not be sent does not take its neighbours in the batch with it', async () => {
  await using({}, async (destination, name) => {
    const unfit = messageOf(bytesOf(10), { messageId: 'x'.repeat(200) });
    const fit = Array.from({ length: 10 }, (_, n) => messageOf(bytesOf(100, n)));
    const failing = failureOf(destination.send(unfit));
    await Promise.all(fit.map((message) => destination.send(message)));
    assert.equal(
      (await failing).message,
      `A message for Service Bus queue ${name} in namespace localhost:${broker.port} could not be built (Error).`,
    );
    assert.deepEqual(
      broker.queue(name).messages.map(({ messageId }) => messageId),
      fit.map(({ messageId }) => messageId),
    );
  });
});

test('sessions keep their order, each in batches of its own', async () => {
  await using({ requiresSession: true }, async (destination, name) => {
    const messages = Array.from({ length: 300 }, (_, n) =>
      messageOf(bytesOf(2_000, n), { sessionId: `session-${n % 3}` }),
    );
    broker.faults.serverBusyTransfers = 2;
    await Promise.all(messages.map((message) => destination.send(message)));
    const arrived = broker.queue(name).messages;
    for (const session of ['session-0', 'session-1', 'session-2']) {
      assert.deepEqual(
        arrived.filter(({ sessionId }) => sessionId === session).map(({ messageId }) => messageId),
        messages.filter(({ sessionId }) => sessionId === session).map(({ messageId }) => messageId),
      );
    }
  });
});

test('a message without a session on a queue that requires one says so at once', async () => {
  await using({ requiresSession: true }, async (destination, name) => {
    const sends = [1, 2, 3].map((n) => failureOf(destination.send(messageOf(bytesOf(10, n)))));
    for (const failure of await Promise.all(sends)) {
      assert.equal(failure.reason, 'queue');
      assert.equal(
        failure.message,
        `Service Bus queue ${name} in namespace localhost:${broker.port} requires sessions and got a message without one. Set the connection's sessions to connection or mail.`,
      );
    }
  });
});

test('closing refuses what still waits, ends what is in flight, and may be done twice', async () => {
  broker.createQueue({ name: 'closing' });
  const destination = await openerFor(broker.connectionString)('closing');
  broker.faults.silentTransfers = true;
  const sends = Array.from({ length: 20 }, (_, n) =>
    failureOf(destination.send(messageOf(bytesOf(100_000, n)))),
  );
  await new Promise(setImmediate);
  await Promise.all([destination.close(), destination.close()]);
  broker.faults.silentTransfers = false;
  for (const failure of await Promise.all(sends)) {
    assert.equal(
      failure.message,
      `Service Bus queue closing in namespace localhost:${broker.port} was closed before it accepted the message.`,
    );
  }
  assert.match((await failureOf(destination.send(messageOf(bytesOf(1))))).message, /was closed before/);
  await untilNoConnection();
});

test('an unused namespace is not connected to, and a closed destination leaves no connection', async () => {
  const before = broker.connections.total;
  const open = openerFor(broker.connectionString);
  assert.equal(broker.connections.total, before);
  broker.createQueue({ name: 'brief' });
  const destination = await open('brief');
  assert.equal(broker.connections.total, before + 1);
  await destination.close();
  await untilNoConnection();
});

const untilNoConnection = () => until(() => broker.connections.open === 0);

async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!holds()) {
    assert.ok(Date.now() < deadline, `Not within five seconds: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

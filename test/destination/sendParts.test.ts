import assert from 'node:assert/strict';
import { hash, randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { encodedBytes } from '../../shared/delivery/amqpSize.ts';
import { createContentStore } from '../../shared/delivery/contentStore.ts';
import { deliverMail } from '../../shared/delivery/deliverMail.ts';
import type { Destination, OutboundMessage } from '../../shared/delivery/destination.ts';
import { buildMessages } from '../../shared/delivery/message.ts';
import { MessageTooLarge } from '../../shared/delivery/messageTooLarge.ts';
import { Failure } from '../../shared/failure/failure.ts';
import type { Content } from '../../shared/mail/mail.ts';
import { type Broker, startBroker } from '../testbed/broker/broker.ts';
import { bytesOf, mail, memoryPayloads, openerFor } from './support.ts';

let broker: Broker;

before(async () => {
  broker = await startBroker();
});

after(async () => {
  await broker.stop();
});

function messagesOf(contents: readonly Content[], sessions: 'none' | 'connection' = 'none') {
  const parts = contents.map((content, n) => ({
    kind: 'attachment' as const,
    contentType: 'application/octet-stream',
    fileName: `attachment-${n + 1}.bin`,
    content,
  }));
  return buildMessages(mail, { envelope: { subject: 'Hello' }, parts }, sessions);
}

function inMemory(bytes: Buffer): Content {
  return { kind: 'bytes', bytes, sizeBytes: bytes.length, sha256: hash('sha256', bytes, 'hex') };
}

/** A destination that answers as told, for what the broker can't be made to do. */
function scripted(
  send: (message: OutboundMessage) => Promise<void>,
  maxMessageBytes = 1_000_000,
): Destination {
  return {
    maxMessageBytes,
    fits: (head, bodyBytes) => encodedBytes(head, bodyBytes) <= maxMessageBytes,
    send,
    close: async () => {},
  };
}

function contentsWith(holdBytes: number) {
  const memory = memoryPayloads();
  const spillFolder = join(tmpdir(), `deliver-mail-${randomUUID()}`);
  const store = createContentStore({
    maxInlineBytes: 100_000,
    payloads: memory.payloads,
    spillFolder,
    holdBytes,
  });
  return { store, spillFolder, ...memory };
}

test('parts from memory, from files and from blobs arrive in order, byte for byte', async () => {
  broker.createQueue({ name: 'orders' });
  const { store, blobs } = contentsWith(120_000);
  const bodies = [50_000, 60_000, 70_000, 0, 150_000, 80_000].map((size, n) => bytesOf(size, n));
  const contents: Content[] = [];
  for (const body of bodies) contents.push(await store.put(body));
  assert.deepEqual(
    contents.map(({ kind }) => kind),
    ['bytes', 'bytes', 'file', 'bytes', 'blob', 'file'],
  );
  const destination = await openerFor(broker.connectionString)('orders');
  try {
    const delivery = await deliverMail(destination, messagesOf(contents, 'connection'), store);
    assert.deepEqual(delivery, { accepted: [1, 2, 3, 4, 5, 6] });
  } finally {
    await destination.close();
    await store.dispose();
  }
  const arrived = broker.queue('orders').messages;
  assert.deepEqual(
    arrived.map(({ applicationProperties }) => applicationProperties?.partNumber),
    [1, 2, 3, 4, 5, 6],
  );
  for (const [n, { body, applicationProperties }] of arrived.entries()) {
    const claimCheck = applicationProperties?.claimCheck;
    const real = typeof claimCheck === 'string' ? blobs.get(claimCheck) : body;
    assert.ok(bodies[n]?.equals(real ?? Buffer.from('nothing')), `part ${n + 1}`);
    assert.equal(applicationProperties?.sha256, hash('sha256', bodies[n] ?? '', 'hex'));
    assert.equal(applicationProperties?.size, bodies[n]?.length);
    if (claimCheck !== undefined) assert.equal(body?.length, 0);
  }
});

test('at the limit: the last byte that fits goes in the message, one more by claim check', async () => {
  const limit = 30_000;
  broker.createQueue({ name: 'limited', maxMessageSizeBytes: limit });
  const { store, blobs } = contentsWith(1_000_000);
  const destination = await openerFor(broker.connectionString)('limited');
  try {
    const [probe] = messagesOf([inMemory(bytesOf(29_000))]);
    assert.ok(probe);
    const room = limit - encodedBytes(probe.head, 29_000) + 29_000;
    for (const size of [room - 1, room, room + 1]) {
      const delivery = await deliverMail(destination, messagesOf([inMemory(bytesOf(size))]), store);
      assert.deepEqual(delivery, { accepted: [1] });
    }
    assert.deepEqual(
      broker.queue('limited').messages.map(({ body }) => body?.length),
      [room - 1, room, 0],
    );
    assert.ok([...blobs.values()][0]?.equals(bytesOf(room + 1)));
  } finally {
    await destination.close();
  }
});

test('a message that the queue refuses for its size, against its word, goes by claim check', async () => {
  const { store, blobs } = contentsWith(1_000_000);
  const sent: OutboundMessage[] = [];
  const destination = scripted(async (message) => {
    if (message.body.length > 100) throw new MessageTooLarge('delivery', 'Too large.');
    sent.push(message);
  });
  const delivery = await deliverMail(
    destination,
    messagesOf([inMemory(bytesOf(50)), inMemory(bytesOf(200))]),
    store,
  );
  assert.deepEqual(delivery, { accepted: [1, 2] });
  assert.deepEqual(
    sent.map(({ body, applicationProperties }) => [body.length, typeof applicationProperties.claimCheck]),
    [
      [50, 'undefined'],
      [0, 'string'],
    ],
  );
  assert.equal(blobs.size, 1);
});

test('a queue that refuses even the claim check as too large fails the part, once', async () => {
  const { store, state } = contentsWith(1_000_000);
  const destination = scripted(async () => {
    throw new MessageTooLarge('delivery', 'Too large.');
  });
  const delivery = await deliverMail(destination, messagesOf([inMemory(bytesOf(50))]), store);
  assert.equal(delivery.failed?.failure.message, 'Too large.');
  assert.equal(delivery.failed?.unsent[0]?.content.kind, 'blob');
  assert.equal(state.begun, 1);
});

test('which parts were accepted and which not is told apart, with what is needed to send them later', async () => {
  const { store } = contentsWith(1_000_000);
  const destination = scripted(async (message) => {
    await new Promise(setImmediate);
    if (message.applicationProperties.partNumber === 2) throw new Failure('delivery', 'Throttled.');
  });
  const messages = messagesOf([1, 2, 3].map((n) => inMemory(bytesOf(10, n))));
  const delivery = await deliverMail(destination, messages, store);
  assert.deepEqual(delivery.accepted, [1, 3]);
  assert.equal(delivery.failed?.failure.message, 'Throttled.');
  assert.deepEqual(delivery.failed?.unsent, [messages[1]]);
});

test('storage that fails a claim check fails that part and those after it, not those before', async () => {
  const { store, state } = contentsWith(1_000_000);
  state.failWith = new Failure('storage', 'Storage is away.');
  const messages = messagesOf([100, 5_000, 100].map((size, n) => inMemory(bytesOf(size, n))));
  const delivery = await deliverMail(
    scripted(async () => {}, 2_000),
    messages,
    store,
  );
  assert.deepEqual(delivery.accepted, [1]);
  assert.equal(delivery.failed?.failure.message, 'Storage is away.');
  assert.deepEqual(
    delivery.failed?.unsent.map(({ partNumber }) => partNumber),
    [2, 3],
  );
});

test('a mail of many files holds few of them in memory at a time', async () => {
  const { store } = contentsWith(0);
  const contents: Content[] = [];
  for (let n = 0; n < 300; n += 1) contents.push(await store.put(bytesOf(90_000, n)));
  let bytesInFlight = 0;
  let most = 0;
  const destination = scripted(async ({ body }) => {
    bytesInFlight += body.length;
    most = Math.max(most, bytesInFlight);
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    bytesInFlight -= body.length;
  });
  const { accepted } = await deliverMail(destination, messagesOf(contents), store);
  assert.equal(accepted.length, 300);
  assert.ok(most <= 8 * 1_024 * 1_024, `${most} bytes`);
  await store.dispose();
});

test('a file that is gone fails its part with a sentence', async () => {
  const { store, spillFolder } = contentsWith(0);
  const content = await store.put(bytesOf(100));
  await rm(spillFolder, { recursive: true });
  const delivery = await deliverMail(
    scripted(async () => {}),
    messagesOf([content]),
    store,
  );
  assert.match(
    delivery.failed?.failure.message ?? '',
    /^The temporary file .* could not be read \(ENOENT\)\./,
  );
});

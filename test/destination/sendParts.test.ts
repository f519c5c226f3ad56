import assert from 'node:assert/strict';
import { hash, randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { ContainerClient } from '@azure/storage-blob';
import { encodedBytes } from '../../shared/destination/amqpSize.ts';
import { MailPayloads } from '../../shared/destination/claimCheck.ts';
import { fixedMemory, MailContents } from '../../shared/destination/contentStore.ts';
import {
  FencedOff,
  MessageTooLarge,
  type OutboundMessage,
  type QueueSender,
  readBody,
} from '../../shared/destination/destination.ts';
import { sendParts } from '../../shared/destination/sendParts.ts';
import { Failure } from '../../shared/failure/failure.ts';
import type { Content } from '../../shared/mail/mail.ts';
import { buildMessages, withClaimCheck } from '../../shared/message/message.ts';
import { startAzurite } from '../testbed/azurite.ts';
import { startBroker } from '../testbed/broker/broker.ts';
import { noFaults } from '../testbed/broker/faults.ts';
import {
  blobNames,
  bytesOf,
  contentOf,
  freshContainer,
  mail,
  mayWrite,
  openQueue,
  partNumbersIn,
  payloadOf,
} from './support.ts';

const [azurite, broker] = await Promise.all([startAzurite(), startBroker()]);
after(() => Promise.all([azurite.stop(), broker.stop()]));

function messagesOf(contents: readonly Content[], sessions: 'none' | 'connection' = 'none') {
  const parts = contents.map((content, n) => ({
    kind: 'attachment' as const,
    contentType: 'application/octet-stream',
    fileName: `attachment-${n + 1}.bin`,
    content,
  }));
  return buildMessages(mail, { envelope: { subject: 'Hello' }, parts }, sessions);
}

/** A sender that answers as told, for what the broker can't be made to do. */
function scripted(send: QueueSender['send'], maxMessageBytes = 1_000_000): QueueSender {
  return { maxMessageBytes, send };
}

async function contentsWith(holdBytes: number, at?: ContainerClient) {
  const container = at ?? (await freshContainer(azurite));
  const spillFolder = join(tmpdir(), `send-parts-${randomUUID()}`);
  const store = new MailContents({
    maxInlineBytes: 100_000,
    payloads: new MailPayloads(container, { customer: 'acme', connection: 'inbox', interchangeId: 'mail' }),
    spillFolder,
    memory: fixedMemory(holdBytes),
  });
  return { store, spillFolder, container };
}

test('parts from memory, from files and from blobs arrive in order, byte for byte', async (t) => {
  const { queue, sender } = await openQueue(t, broker);
  const { store, container } = await contentsWith(120_000);
  const bodies = [50_000, 60_000, 70_000, 0, 150_000, 80_000].map((size, n) => bytesOf(size, n));
  const contents: Content[] = [];
  for (const body of bodies) contents.push(await store.put(body));
  assert.deepEqual(
    contents.map(({ kind }) => kind),
    ['bytes', 'bytes', 'file', 'bytes', 'blob', 'file'],
  );
  const delivery = await sendParts(sender, mayWrite, messagesOf(contents, 'connection'), store);
  await store.dispose();
  assert.deepEqual(delivery, { accepted: [1, 2, 3, 4, 5, 6] });
  assert.deepEqual(partNumbersIn(queue), [1, 2, 3, 4, 5, 6]);
  for (const [n, { body, applicationProperties }] of queue.messages.entries()) {
    const claimCheck = applicationProperties?.claimCheck;
    const real = claimCheck === undefined ? body : await payloadOf(container, claimCheck);
    assert.ok(bodies[n]?.equals(real ?? Buffer.from('nothing')), `part ${n + 1}`);
    assert.equal(applicationProperties?.sha256, hash('sha256', bodies[n] ?? '', 'hex'));
    assert.equal(applicationProperties?.size, bodies[n]?.length);
    if (claimCheck !== undefined) assert.equal(body?.length, 0);
  }
});

test('at the limit: the last byte that fits goes in the message, one more by claim check', async (t) => {
  const limit = 30_000;
  const { queue, sender } = await openQueue(t, broker, { maxMessageSizeBytes: limit });
  const { store, container } = await contentsWith(1_000_000);
  const [probe] = messagesOf([contentOf(bytesOf(29_000))]);
  assert.ok(probe);
  const room = limit - encodedBytes(probe.head, 29_000) + 29_000;
  for (const size of [room - 1, room, room + 1]) {
    const delivery = await sendParts(sender, mayWrite, messagesOf([contentOf(bytesOf(size))]), store);
    assert.deepEqual(delivery, { accepted: [1] });
  }
  assert.deepEqual(
    queue.messages.map(({ body }) => body?.length),
    [room - 1, room, 0],
  );
  const claimCheck = queue.messages[2]?.applicationProperties.claimCheck;
  assert.ok((await payloadOf(container, claimCheck)).equals(bytesOf(room + 1)));
});

test('a message that the queue refuses for its size, against its word, goes by claim check', async () => {
  const { store, container } = await contentsWith(1_000_000);
  const sent: OutboundMessage[] = [];
  const sender = scripted(async (message) => {
    if (message.body.length > 100) throw new MessageTooLarge('delivery', 'Too large.');
    sent.push(message);
  });
  const messages = messagesOf([contentOf(bytesOf(50)), contentOf(bytesOf(200))]);
  const delivery = await sendParts(sender, mayWrite, messages, store);
  assert.deepEqual(delivery, { accepted: [1, 2] });
  assert.deepEqual(
    sent.map(({ body, applicationProperties }) => [body.length, typeof applicationProperties.claimCheck]),
    [
      [50, 'undefined'],
      [0, 'string'],
    ],
  );
  assert.equal((await blobNames(container)).length, 1);
});

test('a queue that refuses even the claim check as too large fails the part, once', async () => {
  const { store, container } = await contentsWith(1_000_000);
  const sender = scripted(async () => {
    throw new MessageTooLarge('delivery', 'Too large.');
  });
  const delivery = await sendParts(sender, mayWrite, messagesOf([contentOf(bytesOf(50))]), store);
  assert.equal(delivery.failed?.failure.message, 'Too large.');
  assert.equal(delivery.failed?.unsent[0]?.content.kind, 'blob');
  assert.equal((await blobNames(container)).length, 1);
});

test('which parts were accepted and which not is told apart, with what is needed to send them later', async () => {
  const { store } = await contentsWith(1_000_000);
  const sender = scripted(async (message) => {
    await new Promise(setImmediate);
    if (message.applicationProperties.partNumber === 2) throw new Failure('delivery', 'Throttled.');
  });
  const messages = messagesOf([1, 2, 3].map((n) => contentOf(bytesOf(10, n))));
  const delivery = await sendParts(sender, mayWrite, messages, store);
  assert.deepEqual(delivery.accepted, [1, 3]);
  assert.equal(delivery.failed?.failure.message, 'Throttled.');
  assert.deepEqual(delivery.failed?.unsent, [messages[1]]);
});

test('storage that fails a claim check fails that part and those after it, not those before', async () => {
  const gone = await startAzurite();
  const { store } = await contentsWith(1_000_000, await freshContainer(gone));
  await gone.stop();
  const messages = messagesOf([100, 5_000, 100].map((size, n) => contentOf(bytesOf(size, n))));
  const sender = scripted(async () => {}, 2_000);
  const delivery = await sendParts(sender, mayWrite, messages, store);
  assert.deepEqual(delivery.accepted, [1]);
  assert.equal(delivery.failed?.failure.reason, 'storage');
  assert.deepEqual(
    delivery.failed?.unsent.map(({ partNumber }) => partNumber),
    [2, 3],
  );
});

test('mails of many files hold few of them in memory together, also where their queue hangs', async (t) => {
  const { sender } = await openQueue(t, broker);
  let readBytes = 0;
  const sendMail = async () => {
    const { store } = await contentsWith(0);
    const contents: Content[] = [];
    for (let n = 0; n < 100; n += 1) contents.push(await store.put(bytesOf(90_000, n)));
    const read = async (content: Content) => {
      const body = await store.read(content);
      const counted = async () => {
        readBytes += content.sizeBytes;
        return await readBody(body);
      };
      return { length: body.length, read: counted };
    };
    const toClaimCheck = () => Promise.reject(new Error('All fits.'));
    const sent = await sendParts(sender, mayWrite, messagesOf(contents), { read, toClaimCheck });
    await store.dispose();
    return sent;
  };
  broker.faults.silentTransfers = true;
  const sent = await Promise.all([sendMail(), sendMail(), sendMail()]);
  Object.assign(broker.faults, noFaults());
  assert.deepEqual(
    sent.map(({ accepted, failed }) => [accepted.length, failed?.unsent.length]),
    [...sent.keys()].map(() => [0, 100]),
  );
  assert.ok(readBytes > 0 && readBytes <= 8 * 1_024 * 1_024, `${readBytes} bytes`);
});

test('a file that is gone fails its part with a sentence', async (t) => {
  const { sender } = await openQueue(t, broker);
  const { store, spillFolder } = await contentsWith(0);
  const content = await store.put(bytesOf(100));
  await rm(spillFolder, { recursive: true });
  const { failed } = await sendParts(sender, mayWrite, messagesOf([content]), store);
  assert.match(failed?.failure.message ?? '', /^The temporary file .* could not be read back \(ENOENT\)\./);
});

test('the room for a part is given back when it was sent, was refused, or could not be read', async () => {
  const { store } = await contentsWith(100_000);
  const contents: Content[] = [];
  for (const size of [1, 2, 3]) contents.push(await store.put(bytesOf(size, size)));
  let heldBytes = 0;
  const takeRoom = async (bytes: number) => {
    heldBytes += bytes;
    return () => {
      heldBytes -= bytes;
    };
  };
  for (const [sends, unreadable] of [
    [true, 0],
    [false, 0],
    [true, 2],
  ] as const) {
    const sender = scripted(async () => {
      if (!sends) throw new Failure('queue', 'It is full.');
    });
    const read: typeof store.read = async (content) => {
      if (content.sizeBytes === unreadable) throw new Failure('storage', 'Storage is away.');
      return await store.read(content);
    };
    const places = { read, toClaimCheck: store.toClaimCheck.bind(store) };
    const { accepted } = await sendParts(sender, mayWrite, messagesOf(contents), places, takeRoom);
    assert.deepEqual([accepted.includes(3), heldBytes], [sends && unreadable === 0, 0]);
  }
});

test('each message carries the run’s fence, and what it holds back is unsent', async () => {
  const { store } = await contentsWith(1_000_000);
  let isOpen = true;
  const fence = { mayWrite: () => isOpen };
  const sender = scripted(async ({ applicationProperties }, given) => {
    assert.equal(given, fence);
    if (!given.mayWrite()) throw new FencedOff();
    if (applicationProperties.partNumber === 2) isOpen = false;
  });
  const messages = messagesOf([1, 2, 3].map((n) => contentOf(bytesOf(10, n))));
  const { accepted, failed } = await sendParts(sender, fence, messages, store);
  assert.deepEqual(accepted, [1, 2]);
  assert.ok(failed?.failure instanceof FencedOff);
  assert.deepEqual(failed.unsent, [messages[2]]);
});

test('a part that already has its claim check is sent by it, also where the message would fit', async () => {
  const { store, container } = await contentsWith(1_000_000);
  const [part] = messagesOf([contentOf(bytesOf(10))]);
  assert.ok(part);
  const checked = withClaimCheck(part, 'email-payloads/a/b/c/large-1');
  const sent: OutboundMessage[] = [];
  const sender = scripted(async (message) => void sent.push(message));
  assert.deepEqual(await sendParts(sender, mayWrite, [checked], store), { accepted: [1] });
  assert.deepEqual(
    sent.map(({ body, applicationProperties }) => [body.length, applicationProperties.claimCheck]),
    [[0, 'email-payloads/a/b/c/large-1']],
  );
  assert.deepEqual(await blobNames(container), []);
});

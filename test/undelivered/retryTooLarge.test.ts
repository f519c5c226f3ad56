import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageTooLarge } from '../../shared/destination/destination.ts';
import { withClaimCheck } from '../../shared/message/message.ts';
import { assertAmqpNumberTypes, blobNames, bytesOf, contentOf, payloadOf } from '../destination/support.ts';
import { startRetryBed } from './retryBed.ts';
import { passMinutes, undeliveredMail } from './storage.ts';

const bed = await startRetryBed();

test('a part that no longer fits goes by claim check', async () => {
  const bytes = bytesOf(9_000_000);
  const { queue, storage, mail } = await bed.withDueMail(['small', contentOf(bytes)]);
  await bed.tick(storage);
  const [, message] = queue.messages;
  assert.deepEqual(message?.body, Buffer.alloc(0));
  const claimCheck = message?.applicationProperties?.claimCheck;
  const name = `acme/orders/${mail.interchangeId}/part-2`;
  assert.equal(claimCheck, `${storage.payloads.containerName}/${name}`);
  assert.ok((await payloadOf(storage.payloads, claimCheck)).equals(bytes));
  const { contentType, metadata } = await storage.payloads.getBlobClient(name).getProperties();
  assert.equal(contentType, 'application/pdf');
  assert.equal(metadata?.sha256, mail.parts[1]?.content.sha256);
  assert.equal(message?.applicationProperties?.size, bytes.length);
  for (const { raw } of queue.peek(0, Infinity)) assertAmqpNumberTypes(raw);
});

test('a part that is gone or is not what was stored goes by no claim check either, and is no outage', async () => {
  const queue = bed.newQueue({ maxMessageSizeBytes: 10_000 });
  const storage = await bed.openStorage();
  for (let uid = 1; uid <= 3; uid += 1) {
    await storage.store.store(undeliveredMail(['x'.repeat(20_000)], { uid, queueName: queue.name }));
    storage.clock.now = new Date(storage.clock.now.getTime() + 1);
  }
  passMinutes(storage, 1);
  // Of the oldest, which are tried first.
  const [, other = '', gone = ''] = (await storage.blobs())
    .filter((each) => each.endsWith('part-1'))
    .toSorted();
  await storage.undelivered.uploadBlockBlob(other, 'y'.repeat(20_000), 20_000);
  await storage.undelivered.deleteBlob(gone);
  const { delivered, failed } = await bed.tick(storage);
  assert.deepEqual([delivered, failed, queue.count], [1, 2, 1]);
  const [first, second] = await storage.records();
  assert.match(first?.lastError ?? '', /part-1 .* is not what was stored/);
  assert.match(second?.lastError ?? '', /reading a part of an undelivered mail/);
  assert.equal((await blobNames(storage.payloads)).length, 1);
});

test('messages too large even by claim check are not taken for an outage', async () => {
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  for (let uid = 1; uid <= 8; uid += 1) {
    const body = uid <= 5 ? 'bad' : 'good';
    await storage.store.store(undeliveredMail([body], { uid, queueName: queue.name }));
    storage.clock.now = new Date(storage.clock.now.getTime() + 1);
  }
  passMinutes(storage, 1);
  const destinations = bed.sendingBy(async (send, message) => {
    if (message.body.toString() !== 'good') throw new MessageTooLarge('delivery', 'Too large.');
    await send(message);
  });
  const summary = await bed.tick(storage, { destinations });
  assert.deepEqual([summary.delivered, summary.failed], [3, 5]);
});

test('a part that had gone by claim check goes under the same name again, though its blob is gone since', async () => {
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  const bytes = bytesOf(300_000);
  const mail = undeliveredMail(['small', contentOf(bytes)], { queueName: queue.name });
  const [body, large] = mail.parts;
  assert.ok(body && large);
  const name = `acme/orders/${mail.interchangeId}/large-1`;
  await storage.payloads.createIfNotExists();
  await storage.payloads.getBlockBlobClient(name).uploadData(bytes);
  const checked = withClaimCheck(large, `${storage.payloads.containerName}/${name}`);
  await storage.store.store({ ...mail, parts: [body, checked] });
  await storage.payloads.deleteBlob(name);
  passMinutes(storage, 1);
  assert.equal((await bed.tick(storage)).delivered, 1);
  const claimCheck = queue.messages[1]?.applicationProperties?.claimCheck;
  assert.equal(claimCheck, `${storage.payloads.containerName}/${name}`);
  assert.ok((await payloadOf(storage.payloads, claimCheck)).equals(bytes));
  assert.deepEqual(await blobNames(storage.payloads), [name]);
});

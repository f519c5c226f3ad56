import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageTooLarge } from '../../shared/delivery/messageTooLarge.ts';
import { assertAmqpNumberTypes, bytesOf } from '../delivery/support.ts';
import { passMinutes, retryBed } from './retryBed.ts';
import { contentOf, undeliveredMail } from './storage.ts';

const bed = retryBed();

test('a part that no longer fits goes by claim check', async () => {
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  const bytes = bytesOf(9_000_000);
  const mail = undeliveredMail(['small', contentOf(bytes)], { queueName: queue.name });
  await storage.store.store(mail);
  passMinutes(storage, 1);
  await bed.tick(storage);
  const [, message] = queue.messages;
  assert.deepEqual(message?.body, Buffer.alloc(0));
  const claimCheck = String(message?.applicationProperties?.claimCheck);
  const prefix = `${storage.payloads.containerName}/`;
  assert.ok(claimCheck.startsWith(`${prefix}acme/orders/`), claimCheck);
  const payload = storage.payloads.getBlobClient(claimCheck.slice(prefix.length));
  assert.ok((await payload.downloadToBuffer()).equals(bytes));
  assert.equal(message?.applicationProperties?.size, bytes.length);
  for (const { raw } of queue.peek(0, Infinity)) assertAmqpNumberTypes(raw);
});

test('a message that the queue refuses for its size, against its word, goes by claim check', async () => {
  const queue = bed.newQueue();
  const storage = await bed.openStorage();
  const mail = undeliveredMail(['x'.repeat(2_000), 'small'], { queueName: queue.name });
  await storage.store.store(mail);
  passMinutes(storage, 1);
  const openDestination = bed.sendingBy(async (send, message) => {
    if (message.body.length > 1_000) throw new MessageTooLarge('delivery', 'Too large.');
    await send(message);
  });
  assert.equal((await bed.tick(storage, { openDestination })).delivered, 1);
  const checks = queue.messages.map(({ applicationProperties }) => applicationProperties?.claimCheck);
  assert.equal(checks.filter((check) => typeof check === 'string').length, 1);
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
  const openDestination = bed.sendingBy(async (send, message) => {
    if (message.body.toString() !== 'good') throw new MessageTooLarge('delivery', 'Too large.');
    await send(message);
  });
  const summary = await bed.tick(storage, { openDestination });
  assert.deepEqual([summary.delivered, summary.failed], [3, 5]);
});

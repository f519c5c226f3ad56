import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type AppTestbed, mailboxColumns, queueName, startAppTestbed } from '../app/testbed.ts';
import { blobNames } from '../destination/support.ts';
import { seedMaildir } from '../testbed/seed.ts';
import { pollOrder } from '../testbed/storage.ts';

/** Keys that are right, and as alike as right ones can be. */
const alike = [
  ['acme', 'orders'],
  ['ACME', 'orders'],
  ['acme', 'Orders'],
  ['acme.', 'orders'],
  ['acme', 'orders.'],
  ['acme', '0-turn'],
  ['acme.orders', 'a'],
  ['acme', 'orders.a'],
  ['acme', 'orders-a'],
  ['a..b', 'c'],
  ['a', 'run-1'],
  ['a'.repeat(63), 'b'.repeat(63)],
] as const;

/** Keys that the rule leaves out, though the table takes them. */
const hostile = [
  ['acme|orders', 'x'],
  ['acme', 'x|orders'],
  ['..', 'orders'],
  ['acme', '..'],
  ['acme', '.'],
  ['acme', '.orders'],
  ['acme', '-orders'],
  ['acme', ' orders'],
  ['acme', 'orders '],
  ['acme', 'Örders'],
  ['acme', 'orders\u200b'],
  ['acme', 'οrders'],
  ['acme', '%2e%2e'],
  ['acme', "o'r 1 eq 1"],
  ['acme', 'o*'],
  ['a'.repeat(64), 'x'],
  ['acme', 'x'.repeat(400)],
] as const;

/** What the table itself refuses as keys, so that it can only come as an order. */
const impossible = [
  ['acme/orders', 'x'],
  ['acme', '../other/orders'],
  ['acme', 'a\\b'],
  ['acme', 'a#b'],
  ['acme', 'a?b'],
  ['acme', 'a\nb'],
  ['acme', 'a\u0000b'],
  ['', ''],
] as const;

let bed: AppTestbed;
before(async () => {
  const users = [...alike.map((_, index) => `user${index}`), 'victim'];
  // Every mail's body is then a payload.
  bed = await startAppTestbed({ users, settings: { EMAIL_MAX_MESSAGE_BYTES: '4096' } });
});
after(() => bed.stop());

async function poll(keys: Iterable<readonly [string, string]>): Promise<void> {
  for (const [customer, connection] of keys) {
    await bed.orders.sendMessage(pollOrder(customer, connection));
  }
  const { failed, poisoned } = await bed.host.drainQueue();
  assert.deepEqual({ failed, poisoned }, { failed: 0, poisoned: 0 });
}

const blobsIn = (container: string) => blobNames(bed.container(container));

const large = (text: string) => Buffer.from(`Subject: same\r\n\r\n${text.repeat(400)}\r\n`);

test('connections with names alike share no lease, payload, session or message id', async () => {
  for (const [index, [customer, connection]] of alike.entries()) {
    await bed.connections.createEntity({
      partitionKey: customer,
      rowKey: connection,
      ...mailboxColumns(bed.dovecot, 'IMAP', `user${index}`),
      sessions: 'connection',
    });
    await seedMaildir(bed.dovecot.maildir(`user${index}`), [large('the same mail ')]);
  }
  await poll(alike);
  const { messages } = bed.broker.queue(queueName);
  assert.equal(messages.length, alike.length);
  const names = alike.map(([customer, connection]) => `${customer}/${connection}`).toSorted();
  assert.equal(new Set(messages.map(({ messageId }) => messageId)).size, alike.length);
  assert.equal(new Set(messages.map(({ correlationId }) => correlationId)).size, alike.length);
  assert.deepEqual(messages.map(({ sessionId }) => sessionId).toSorted(), names);
  assert.deepEqual((await blobsIn('email-leases')).toSorted(), names);
  for (const { sessionId, correlationId, applicationProperties } of messages) {
    const claimCheck = String(applicationProperties?.claimCheck);
    assert.ok(claimCheck.startsWith(`email-payloads/${sessionId}/${correlationId}/`), claimCheck);
  }
  for (const [customer, connection] of alike) {
    const state = await bed.connections.getEntity<Record<string, unknown>>(customer, connection);
    assert.deepEqual([state.lastStatus, state.lastMailCount], ['ok', 1], `${customer}/${connection}`);
  }
});

test('keys outside the rule are refused with a sentence, and leave no lease, record, payload or message', async () => {
  await seedMaildir(bed.dovecot.maildir('victim'), [large('untouched ')]);
  for (const [partitionKey, rowKey] of hostile) {
    await bed.connections.createEntity({
      partitionKey,
      rowKey,
      ...mailboxColumns(bed.dovecot, 'IMAP', 'victim'),
    });
  }
  const leases = await blobsIn('email-leases');
  const payloads = await blobsIn('email-payloads');
  const { transfers } = bed.broker.queue(queueName);
  await poll(hostile);
  for (const [customer, connection] of hostile) {
    const state = await bed.connections.getEntity<Record<string, unknown>>(customer, connection);
    assert.equal(state.lastStatus, 'failed', `${customer}/${connection}`);
    assert.match(String(state.lastError), /^(PartitionKey|RowKey) is ".*"; it must be 1 to 63 letters/);
    assert.ok(String(state.lastError).length <= 1_024);
  }
  assert.deepEqual(await blobsIn('email-leases'), leases);
  assert.deepEqual(await blobsIn('email-payloads'), payloads);
  assert.equal(bed.broker.queue(queueName).transfers, transfers);
  for await (const { partitionKey } of bed.table('EmailDelivered').listEntities()) {
    assert.fail(`records of ${partitionKey}`);
  }
});

test('orders for keys that no connection can have are dropped, and reach nobody else', async () => {
  const leases = await blobsIn('email-leases');
  const { transfers } = bed.broker.queue(queueName);
  await poll(impossible);
  assert.deepEqual(await blobsIn('email-leases'), leases);
  assert.equal(bed.broker.queue(queueName).transfers, transfers);
  const logged = bed.host.logs.map(({ message }) => message);
  assert.ok(
    logged.every((message) => !/[\n\0]b/.test(message)),
    'no line break of an order in the log',
  );
});

test('the schedule orders connections with hostile keys like others, and the rest goes on', async () => {
  await bed.tick();
  const state = await bed.connections.getEntity<Record<string, unknown>>('acme', 'orders');
  assert.equal(state.lastStatus, 'ok');
});

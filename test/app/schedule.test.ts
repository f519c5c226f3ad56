import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { QueueClient } from '@azure/storage-queue';
import { type AppTestbed, startAppTestbed } from './testbed.ts';

let bed: AppTestbed;
let orders: QueueClient;
before(async () => {
  bed = await startAppTestbed({ users: ['anna'] });
  orders = new QueueClient(bed.azurite.connectionString, 'email-polls');
});
after(() => bed.stop());

const past = '2020-01-01T00:00:00.000Z';
const inMs = (aheadMs: number) => new Date(Date.now() + aheadMs).toISOString();
const future = inMs(240_000);
const young = () => new Date().toISOString();
const dead = () => new Date(Date.now() - 121_000).toISOString();

/** Ticks, and gives what was ordered; nothing is polled. */
async function orderedByTick(): Promise<string[]> {
  await bed.host.fireTimer('schedulePolls');
  const names: string[] = [];
  for (;;) {
    const { receivedMessageItems } = await orders.receiveMessages({ numberOfMessages: 32 });
    if (receivedMessageItems.length === 0) return names.toSorted();
    for (const { messageId, popReceipt, messageText, insertedOn, expiresOn } of receivedMessageItems) {
      const order = JSON.parse(Buffer.from(messageText, 'base64').toString());
      assert.deepEqual(Object.keys(order), ['customer', 'connection']);
      assert.equal(order.customer, 'acme');
      assert.equal(expiresOn.getTime() - insertedOn.getTime(), 60_000);
      names.push(order.connection);
      await orders.deleteMessage(messageId, popReceipt);
    }
  }
}

const cases: Record<string, { columns: () => Record<string, unknown>; due: boolean }> = {
  fresh: { columns: () => ({}), due: true },
  past: { columns: () => ({ nextRunAt: past }), due: true },
  future: { columns: () => ({ nextRunAt: future, lastStatus: 'ok' }), due: false },
  'within-the-second': { columns: () => ({ nextRunAt: inMs(900) }), due: true },
  'too-far-ahead': { columns: () => ({ nextRunAt: inMs(86_400_000), lastStatus: 'ok' }), due: true },
  'no-time': { columns: () => ({ nextRunAt: 'tomorrow', lastStatus: 'ok' }), due: true },
  'running-from-the-future': {
    columns: () => ({
      nextRunAt: future,
      lastStatus: 'running',
      heartbeatAt: inMs(3_600_000),
      useProcessLock: true,
    }),
    due: true,
  },
  disabled: { columns: () => ({ enabled: false }), due: false },
  'disabled-as-text': { columns: () => ({ enabled: 'false', nextRunAt: past }), due: false },
  'running-again': {
    columns: () => ({ nextRunAt: past, lastStatus: 'running', heartbeatAt: young() }),
    due: true,
  },
  'running-locked': {
    columns: () => ({ nextRunAt: past, lastStatus: 'running', heartbeatAt: young(), useProcessLock: true }),
    due: false,
  },
  'dead-locked': {
    columns: () => ({ nextRunAt: future, lastStatus: 'running', heartbeatAt: dead(), useProcessLock: true }),
    due: true,
  },
  dead: { columns: () => ({ nextRunAt: future, lastStatus: 'running', heartbeatAt: dead() }), due: true },
  'dead-without-heartbeat': { columns: () => ({ nextRunAt: future, lastStatus: 'running' }), due: true },
  'wrong-config': { columns: () => ({ hostType: 'MAPI', nextRunAt: past }), due: true },
};

test('a tick orders exactly the connections that are due', async () => {
  for (const [name, { columns }] of Object.entries(cases)) await bed.addConnection(name, columns());
  const due = Object.keys(cases).filter((name) => cases[name]?.due);
  assert.deepEqual(await orderedByTick(), due.toSorted());
  for (const name of Object.keys(cases)) await bed.connections.deleteEntity('acme', name);
});

test('a queue of orders that was deleted is made anew with the next order', async () => {
  await orders.delete();
  await bed.addConnection('first', {});
  assert.deepEqual(await orderedByTick(), ['first']);
});

test('orders that name nothing, or what is gone or disabled, are dropped and logged', async () => {
  await bed.addConnection('off', { enabled: false, host: 'mail.example.com', lastStatus: 'ok' });
  const texts = [
    'not json',
    '{"customer":"acme"}',
    '{"customer":"acme","connection":"gone"}',
    '{"customer":"acme","connection":"off"}',
  ];
  for (const text of texts) await orders.sendMessage(Buffer.from(text).toString('base64'));
  const tally = await bed.host.drainQueue();
  assert.deepEqual(tally, { succeeded: texts.length, failed: 0, poisoned: 0 });
  const logged = bed.host.logs.map(({ message }) => message).join('\n');
  assert.match(logged, /acme\/gone is gone/);
  assert.match(logged, /acme\/off is disabled/);
  assert.equal((await bed.state('off')).lastStatus, 'ok');
});

test('a missing table is made, and a tick over it orders nothing', async () => {
  await bed.connections.deleteTable();
  assert.deepEqual(await orderedByTick(), []);
  await bed.addConnection('after', {});
  assert.deepEqual(await orderedByTick(), ['after']);
});

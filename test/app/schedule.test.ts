import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type RunningApp, startApp } from './testbed.ts';

let bed: RunningApp;
before(async () => {
  bed = await startApp();
});
after(() => bed.stop());

const past = '2020-01-01T00:00:00.000Z';
const inMs = (aheadMs: number) => new Date(Date.now() + aheadMs).toISOString();
const future = inMs(240_000);

/** Ticks, and gives what was ordered; nothing is polled. */
async function orderedByTick(): Promise<string[]> {
  await bed.host.fireTimer('schedulePolls');
  const names: string[] = [];
  for (;;) {
    const { receivedMessageItems } = await bed.orders.receiveMessages({ numberOfMessages: 32 });
    if (receivedMessageItems.length === 0) return names.toSorted();
    for (const { messageId, popReceipt, messageText, insertedOn, expiresOn } of receivedMessageItems) {
      const order = JSON.parse(Buffer.from(messageText, 'base64').toString());
      assert.deepEqual(Object.keys(order), ['customer', 'connection']);
      assert.equal(order.customer, 'acme');
      assert.equal(expiresOn.getTime() - insertedOn.getTime(), 60_000);
      names.push(order.connection);
      await bed.orders.deleteMessage(messageId, popReceipt);
    }
  }
}

const running = (heartbeatAt: string) => ({ lastStatus: 'running', heartbeatAt });

/** Each column that decides has a case; test/schedule/due.test.ts has all others. */
const due: Record<string, Record<string, unknown>> = {
  fresh: {},
  past: { nextRunAt: past },
  'too-far-ahead': { nextRunAt: inMs(86_400_000), lastStatus: 'ok' },
  'running-again': { nextRunAt: past, ...running(inMs(0)) },
  dead: { nextRunAt: future, ...running(inMs(-121_000)) },
  'wrong-config': { hostType: 'MAPI', nextRunAt: past },
};
const notDue: typeof due = {
  future: { nextRunAt: future, lastStatus: 'ok' },
  'far-ahead-by-interval': { nextRunAt: inMs(86_400_000), pollingIntervalSeconds: 86_400 },
  'far-ahead-by-cron': { nextRunAt: inMs(86_400_000), cron: '0 6 * * *' },
  disabled: { enabled: false },
  'running-locked': { nextRunAt: past, ...running(inMs(0)), useProcessLock: true },
};

test('a tick orders exactly the connections that are due', async () => {
  const all = { ...due, ...notDue };
  for (const [name, columns] of Object.entries(all)) await bed.addConnection(name, columns);
  assert.deepEqual(await orderedByTick(), Object.keys(due).toSorted());
  for (const name of Object.keys(all)) await bed.connections.deleteEntity('acme', name);
});

test('a queue of orders that was deleted is made anew with the next order', async () => {
  await bed.orders.delete();
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
  for (const text of texts) await bed.orders.sendMessage(Buffer.from(text).toString('base64'));
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

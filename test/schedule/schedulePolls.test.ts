import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import { TableClient } from '@azure/data-tables';
import { QueueClient } from '@azure/storage-queue';
import { openConnectionStore } from '../../shared/connection/connectionStore.ts';
import { Failure } from '../../shared/failure/failure.ts';
import { orderQueueOn } from '../../shared/schedule/orderQueue.ts';
import { createScheduler, type SchedulerDependencies } from '../../shared/schedule/schedulePolls.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import { startAzurite } from '../testbed/azurite.ts';

const azurite = await startAzurite();
after(() => azurite.stop());

let table: TableClient;
let queue: QueueClient;
let names = 0;

beforeEach(async () => {
  names += 1;
  const insecure = { allowInsecureConnection: true };
  table = TableClient.fromConnectionString(azurite.connectionString, `Connections${names}`, insecure);
  await table.createTable();
  queue = new QueueClient(azurite.connectionString, `orders-${names}`);
});

/** The tick of 12:00, as the real host's timer fires it. */
const early = new Date('2026-01-01T11:59:59.997Z');
const noon = '2026-01-01T12:00:00.000Z';
const hourMs = 3_600_000;

let warnings: string[] = [];
const log: Log = { info() {}, warn: (sentence) => warnings.push(sentence), error() {} };

function schedulerAt(clock: { now: Date }, change: Partial<SchedulerDependencies> = {}) {
  warnings = [];
  return createScheduler({
    connections: openConnectionStore(table),
    orderQueue: async () => orderQueueOn(queue),
    now: () => clock.now,
    ...change,
  });
}

async function addRow(
  rowKey: string,
  columns: Record<string, unknown>,
  partitionKey = 'acme',
): Promise<void> {
  await table.upsertEntity({ partitionKey, rowKey, ...columns }, 'Replace');
}

/** The connections of customer `acme` that were ordered since the last time. */
async function ordered(): Promise<string[]> {
  const names: string[] = [];
  for (;;) {
    const { receivedMessageItems } = await queue.receiveMessages({ numberOfMessages: 32 });
    if (receivedMessageItems.length === 0) return names.toSorted();
    for (const { messageId, popReceipt, messageText, insertedOn, expiresOn } of receivedMessageItems) {
      const { connection, ...rest } = JSON.parse(Buffer.from(messageText, 'base64').toString());
      assert.deepEqual(rest, { customer: 'acme' });
      assert.equal(expiresOn.getTime() - insertedOn.getTime(), 60_000);
      names.push(connection);
      await queue.deleteMessage(messageId, popReceipt);
    }
  }
}

const running = (heartbeatAt: string) => ({ lastStatus: 'running', heartbeatAt });
const soon = '2026-01-01T12:04:00.000Z';
const tomorrow = '2026-01-02T12:00:00.000Z';

/** Each column that decides has a case; due.test.ts has all others. */
const due: Record<string, Record<string, unknown>> = {
  fresh: {},
  past: { nextRunAt: noon },
  'too-far-ahead': { nextRunAt: tomorrow, lastStatus: 'ok' },
  'running-again': { nextRunAt: noon, ...running(noon) },
  dead: { nextRunAt: soon, ...running('2026-01-01T11:57:59.000Z') },
  'wrong-config': { hostType: 'MAPI', nextRunAt: noon },
};
const notDue: typeof due = {
  future: { nextRunAt: soon, lastStatus: 'ok' },
  'far-ahead-by-interval': { nextRunAt: tomorrow, pollingIntervalSeconds: 86_400 },
  'far-ahead-by-cron': { nextRunAt: tomorrow, cron: '0 6 * * *' },
  disabled: { enabled: false },
  'running-locked': { nextRunAt: noon, ...running(noon), useProcessLock: true },
};

test('a tick orders exactly the connections that are due', async () => {
  for (const [name, columns] of Object.entries({ ...due, ...notDue })) await addRow(name, columns);
  await schedulerAt({ now: early })(log);
  assert.deepEqual(await ordered(), Object.keys(due).toSorted());
});

test('a missing table is made, and a tick over it orders nothing', async () => {
  await table.deleteTable();
  await schedulerAt({ now: early })(log);
  assert.deepEqual(await ordered(), []);
  await addRow('after', {});
});

test('a tick 3 ms early finds what is due at its second, in a pass over all and in a filtered one', async () => {
  await addRow('at-noon', { nextRunAt: noon });
  await addRow('a-minute-later', { nextRunAt: '2026-01-01T12:01:00.000Z' });
  const clock = { now: early };
  const tick = schedulerAt(clock);
  await tick(log);
  assert.deepEqual(await ordered(), ['at-noon']);
  clock.now = new Date('2026-01-01T12:00:59.997Z');
  await addRow('at-noon', { nextRunAt: '2026-01-01T12:02:00.000Z' });
  await tick(log);
  assert.deepEqual(await ordered(), ['a-minute-later']);
});

test('the first tick makes the queue of orders, whatever is due, and one that is deleted is made with the next order', async () => {
  await addRow('idle', { nextRunAt: '2026-01-01T12:03:00.000Z' });
  assert.equal(await queue.exists(), false);
  const tick = schedulerAt({ now: early });
  await tick(log);
  assert.equal(await queue.exists(), true);
  await queue.delete();
  await tick(log);
  assert.equal(await queue.exists(), false, 'and no later one does, which would be a request a minute');
  await addRow('fresh', {});
  await tick(log);
  assert.deepEqual(await ordered(), ['fresh']);
});

test('a due time from a clock that was a day fast is found at the next hour, and said', async () => {
  const clock = { now: new Date('2026-01-01T12:10:00Z') };
  const tick = schedulerAt(clock);
  await tick(log);
  await addRow('a-day-fast', { nextRunAt: '2026-01-02T12:10:00.000Z' });
  await addRow('daily', { nextRunAt: '2026-01-02T12:10:00.000Z', pollingIntervalSeconds: 86_400 });
  for (let minute = 11; minute <= 59; minute += 16) {
    clock.now = new Date(`2026-01-01T12:${minute}:00Z`);
    await tick(log);
  }
  assert.deepEqual(await ordered(), [], 'the service leaves it out of what it answers');
  clock.now = new Date('2026-01-01T12:59:59.997Z');
  await tick(log);
  assert.deepEqual(await ordered(), ['a-day-fast']);
  assert.deepEqual(warnings, [
    'Connection acme/a-day-fast had a nextRunAt further ahead than its interval, from a clock that was fast or edited by hand. It is polled now.',
  ]);
});

test('a process that has just started reads all rows at its first tick', async () => {
  await addRow('a-day-fast', { nextRunAt: '2026-01-02T12:10:00.000Z' });
  await schedulerAt({ now: new Date('2026-01-01T12:31:00Z') })(log);
  assert.deepEqual(await ordered(), ['a-day-fast']);
});

test('a pass that failed is made again at the next tick', async () => {
  const clock = { now: new Date('2026-01-01T12:31:00Z') };
  let isAway = true;
  const tick = schedulerAt(clock, {
    orderQueue: () => (isAway ? Promise.reject(new Error('away')) : Promise.resolve(orderQueueOn(queue))),
  });
  await assert.rejects(tick(log), /away/);
  await addRow('a-day-fast', { nextRunAt: '2026-01-02T12:10:00.000Z' });
  isAway = false;
  clock.now = new Date(clock.now.getTime() + 60_000);
  await tick(log);
  assert.deepEqual(await ordered(), ['a-day-fast']);
});

test('an order that can’t be put stops no other, is counted, and fails the tick in the end', async () => {
  for (const name of ['a', 'b', 'c']) await addRow(name, {});
  const real = orderQueueOn(queue);
  const put: typeof real.put = (key) =>
    key.connection === 'b' ? Promise.reject(new Failure('storage', 'Full.')) : real.put(key);
  const tick = schedulerAt({ now: early }, { orderQueue: async () => ({ ...real, put }) });
  const lines: unknown[] = [];
  const info: Log['info'] = (...line) => lines.push(line);
  await assert.rejects(tick({ ...log, info }), { message: 'Full.' });
  assert.deepEqual(await ordered(), ['a', 'c']);
  assert.deepEqual(lines, [['Ordered 2 of 3 due polls.', { due: 3, failed: 1 }]]);
});

test('a run with a heartbeat from the future is ordered at the next tick, in a filtered pass too', async () => {
  const clock = { now: early };
  const tick = schedulerAt(clock);
  await tick(log);
  const locked = { nextRunAt: soon, useProcessLock: true };
  await addRow('from-the-future', { ...locked, ...running('2026-01-01T13:00:00.000Z') });
  await addRow('at-work', { ...locked, ...running('2026-01-01T12:01:00.000Z') });
  clock.now = new Date(early.getTime() + 60_000);
  await tick(log);
  assert.deepEqual(await ordered(), ['from-the-future']);
});

test('a row with an empty key is named once an hour and ordered never', async () => {
  await addRow('', {});
  await addRow('orders', {}, '');
  const clock = { now: early };
  const tick = schedulerAt(clock);
  await tick(log);
  clock.now = new Date(early.getTime() + 60_000);
  await tick(log);
  assert.deepEqual(await ordered(), []);
  assert.deepEqual(warnings.toSorted(), [
    'A row of EmailConnections (PartitionKey "acme") has an empty RowKey and is not polled. Add it anew, with both keys.',
    'A row of EmailConnections (RowKey "orders") has an empty PartitionKey and is not polled. Add it anew, with both keys.',
  ]);
  clock.now = new Date(early.getTime() + hourMs);
  await tick(log);
  assert.equal(warnings.length, 4);
});

test('of a thousand rows that can’t be, the first ten are named', async () => {
  await Promise.all(
    Array.from({ length: 30 }, (_, index) => addRow(`row-${index}`, { nextRunAt: '2027-01-01T00:00:00Z' })),
  );
  await schedulerAt({ now: early })(log);
  assert.equal(warnings.length, 11);
  assert.equal(warnings.at(-1), 'Further rows of this kind are left out.');
  assert.equal((await ordered()).length, 30);
});

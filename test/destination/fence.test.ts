import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { type Fence, FencedOff, type QueueSender } from '../../shared/destination/destination.ts';
import type { Broker } from '../testbed/broker/broker.ts';
import { noFaults } from '../testbed/broker/faults.ts';
import type { BrokerQueue } from '../testbed/broker/queue.ts';
import { startProxy } from '../testbed/proxy.ts';
import {
  bytesOf,
  destinationsFor,
  failureOf,
  idsIn,
  mayWrite,
  messageOf,
  openQueue,
  quickRetry,
  startSending,
  until,
} from './support.ts';

let broker: Broker;
let queue: BrokerQueue;
let sender: QueueSender;
let stop: () => Promise<void>;

beforeEach(async () => {
  ({ broker, queue, sender, stop } = await startSending());
});
afterEach(() => stop());

const noMore: Fence = { mayWrite: () => false };

/** A fence that lets messages pass until it is closed. */
function closingFence() {
  let isOpen = true;
  let asked = 0;
  return {
    mayWrite() {
      asked += 1;
      return isOpen;
    },
    close() {
      isOpen = false;
    },
    get asked() {
      return asked;
    },
  };
}

/** Calls back when so many transfers have come. */
async function atTransfers(count: number, act: () => void): Promise<void> {
  await until(`${count} transfers`, () => queue.transfers >= count);
  act();
}

test('it is asked when the message leaves, not when it was given', async () => {
  const fence = closingFence();
  const sending = failureOf(sender.send(messageOf(bytesOf(10)), fence));
  fence.close();
  assert.ok((await sending) instanceof FencedOff);
  assert.equal(queue.transfers, 0);
});

for (const [repeat, fault, transfers] of [
  ['each repeat', { serverBusyTransfers: 1_000 }, 2],
  ['a repeat over a new link', { silentTransfers: true }, 1],
] as const) {
  test(`it is asked before ${repeat}`, async () => {
    Object.assign(broker.faults, fault);
    const fence = closingFence();
    const sending = failureOf(sender.send(messageOf(bytesOf(10)), fence));
    await atTransfers(transfers, fence.close);
    Object.assign(broker.faults, noFaults());
    assert.ok((await sending) instanceof FencedOff);
    assert.ok(queue.transfers < 20, `${queue.transfers} transfers`);
    assert.equal(queue.accepted, 0);
  });
}

test('it is asked once the link is open that the message waits for', async (t) => {
  const proxy = await startProxy({ targetHost: '127.0.0.1', targetPort: broker.port });
  const own = destinationsFor(broker.connectionStringFor(proxy.port), {
    retry: { ...quickRetry, tryMs: 3_000 },
  });
  t.after(async () => {
    await own.close();
    await proxy.stop();
  });
  const toQueue = await own.open(queue.name);
  proxy.dropAll('rst');
  await until('no connection', () => proxy.connections.open === 0);
  proxy.setDelay(50);
  const fence = closingFence();
  proxy.onConnection(fence.close);
  assert.ok((await failureOf(toQueue.send(messageOf(bytesOf(10)), fence))) instanceof FencedOff);
  assert.equal(queue.transfers, 0);
});

test('it is asked as the wire gets the messages, which may have waited for the link’s credit; others keep their link', async (t) => {
  Object.assign(broker.faults, { creditDelayMs: 500, acceptDelayMs: 1_500 });
  const slow = await openQueue(t, broker, { retry: { ...quickRetry, tryMs: 3_000 } });
  // It goes alone, and has no answer yet when the others get credit.
  const first = slow.sender.send(messageOf(bytesOf(70_000), { messageId: 'first' }), mayWrite);
  await until('it is on the wire', () => slow.queue.transfers === 1);
  const fence = closingFence();
  const fenced = failureOf(slow.sender.send(messageOf(bytesOf(10), { messageId: 'fenced' }), fence));
  const passing = slow.sender.send(messageOf(bytesOf(10), { messageId: 'passing' }), mayWrite);
  await until('it is on its way', () => fence.asked >= 2);
  fence.close();
  assert.ok((await fenced) instanceof FencedOff);
  await Promise.all([first, passing]);
  assert.deepEqual([idsIn(slow.queue), slow.queue.transfers], [['first', 'passing'], 2]);
});

test('in a batch each message has its own: the others of the batch pass, in one transfer', async () => {
  const sends = Array.from({ length: 10 }, (_, n) => {
    const message = messageOf(bytesOf(10, n), { messageId: `message ${n}` });
    return sender.send(message, n % 3 === 0 ? noMore : mayWrite).then(
      () => 'accepted',
      (error: unknown) => (error instanceof FencedOff ? 'fenced' : error),
    );
  });
  const fates = await Promise.all(sends);
  assert.deepEqual(
    fates.map((fate, n) => fate === (n % 3 === 0 ? 'fenced' : 'accepted')),
    fates.map(() => true),
  );
  assert.deepEqual(
    idsIn(queue),
    [1, 2, 4, 5, 7, 8].map((n) => `message ${n}`),
  );
  assert.equal(queue.transfers, 1);
});

test('a batch is repeated without those whose fence has closed since', async () => {
  broker.faults.serverBusyTransfers = 1;
  const fence = closingFence();
  const sends = Array.from({ length: 4 }, (_, n) =>
    sender.send(messageOf(bytesOf(10, n), { messageId: `message ${n}` }), n < 2 ? fence : mayWrite),
  );
  const outcomes = Promise.allSettled(sends);
  await atTransfers(1, fence.close);
  assert.deepEqual(
    (await outcomes).map(({ status }) => status),
    ['rejected', 'rejected', 'fulfilled', 'fulfilled'],
  );
  assert.deepEqual(idsIn(queue), ['message 2', 'message 3']);
});

test('when a refused batch is sent one by one, it is asked for each', async () => {
  const fence = closingFence();
  const stop = queue.onMessage(fence.close);
  const unfit = messageOf(bytesOf(10), { messageId: 'x'.repeat(200) });
  const outcomes = await Promise.allSettled([
    sender.send(unfit, mayWrite),
    ...Array.from({ length: 3 }, (_, n) => sender.send(messageOf(bytesOf(10, n)), fence)),
  ]);
  stop();
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['rejected', 'fulfilled', 'rejected', 'rejected'],
  );
  assert.equal(queue.accepted, 1);
});

test('a try’s time grows with all the bytes that are on the wire', async (t) => {
  const retry = { sendTotalMs: 5_000, openTotalMs: 5_000, tryMs: 200, firstDelayMs: 10, maxDelayMs: 50 };
  const large = await openQueue(t, broker, { maxMessageSizeBytes: 2_000_000, retry });
  broker.faults.acceptDelayMs = 800;
  // A megabyte is given two seconds at 0.5 MB/s.
  await Promise.all([1_000_000, 10].map((size) => large.sender.send(messageOf(bytesOf(size)), mayWrite)));
  assert.deepEqual([large.queue.transfers, large.queue.accepted], [2, 2]);
  await large.sender.send(messageOf(bytesOf(10)), mayWrite).catch(() => undefined);
  assert.ok(large.queue.transfers > 3, 'one small message alone is not waited for as long');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchEnvelopeBytes, bytesInBatch } from '../../shared/delivery/amqpSize.ts';
import { Lanes } from '../../shared/delivery/batches.ts';
import { messageOf } from './support.ts';

const ignore = () => {};

function waiting(id: string, size = 10, sessionId?: string) {
  const message = messageOf(Buffer.alloc(size), {
    messageId: id,
    correlationId: 'c',
    ...(sessionId === undefined ? {} : { sessionId }),
  });
  return { message, accept: ignore, refuse: ignore };
}

function takeAll(lanes: Lanes): string[][] {
  const batches: string[][] = [];
  for (let batch = lanes.peek(); batch; batch = lanes.peek()) {
    lanes.take(batch);
    batches.push(batch.members.map(({ message }) => message.messageId));
  }
  return batches;
}

test('a batch takes what fits its bytes, exactly, and not one more', () => {
  const first = waiting('1');
  const exact =
    batchEnvelopeBytes(first.message) + 2 * bytesInBatch(first.message, first.message.body.length);
  const batchesWith = (maxBytes: number) => {
    const lanes = new Lanes({ maxBytes, maxMessages: 100 });
    for (const id of ['1', '2', '3']) lanes.add(waiting(id));
    return takeAll(lanes);
  };
  assert.deepEqual(batchesWith(exact), [['1', '2'], ['3']]);
  assert.deepEqual(batchesWith(exact - 1), [['1'], ['2'], ['3']]);
});

test('a batch takes no more than its number of messages', () => {
  const lanes = new Lanes({ maxBytes: 1_000_000, maxMessages: 2 });
  for (const id of ['1', '2', '3']) lanes.add(waiting(id));
  assert.equal(lanes.peek()?.full, true);
  assert.deepEqual(takeAll(lanes), [['1', '2'], ['3']]);
});

test('a message that no batch takes goes alone, and its neighbours go on', () => {
  const lanes = new Lanes({ maxBytes: 1_000, maxMessages: 100 });
  lanes.add(waiting('small'));
  lanes.add(waiting('large', 5_000));
  lanes.add(waiting('small too'));
  assert.deepEqual(takeAll(lanes), [['small'], ['large'], ['small too']]);
});

test('a batch is full only when waiting would not make it larger', () => {
  const lanes = new Lanes({ maxBytes: 100_000, maxMessages: 100 });
  lanes.add(waiting('1'));
  assert.equal(lanes.peek()?.full, false);
  lanes.add(waiting('2', 200_000));
  assert.equal(lanes.peek()?.full, true);
});

test('sessions are never mixed in a batch, take turns, and have one batch out at most', () => {
  const lanes = new Lanes({ maxBytes: 100_000, maxMessages: 2 });
  for (const id of ['a1', 'b1', 'a2', 'a3']) lanes.add(waiting(id, 10, id.charAt(0)));
  const first = lanes.peek();
  assert.ok(first);
  lanes.take(first);
  assert.deepEqual(
    first.members.map(({ message }) => message.messageId),
    ['a1', 'a2'],
  );
  assert.deepEqual(takeAll(lanes), [['b1']]);
  lanes.release(first);
  assert.deepEqual(takeAll(lanes), [['a3']]);
});

test('draining gives back everything that was not taken', () => {
  const lanes = new Lanes({ maxBytes: 100_000, maxMessages: 1 });
  for (const id of ['a1', 'b1', 'a2']) lanes.add(waiting(id, 10, id.charAt(0)));
  const first = lanes.peek();
  assert.ok(first);
  lanes.take(first);
  assert.deepEqual(
    lanes
      .drain()
      .map(({ message }) => message.messageId)
      .sort(),
    ['a2', 'b1'],
  );
  assert.equal(lanes.peek(), undefined);
});

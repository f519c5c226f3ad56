import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batchEnvelopeBytes, bytesInBatch } from '../../shared/destination/amqpSize.ts';
import { type Batch, type BatchLimits, Lanes } from '../../shared/destination/batches.ts';
import { mayWrite, messageOf } from './support.ts';

const ignore = () => {};

function waiting(id: string, size = 10, sessionId?: string) {
  const message = messageOf(Buffer.alloc(size), {
    messageId: id,
    correlationId: 'c',
    ...(sessionId === undefined ? {} : { sessionId }),
  });
  return { message, fence: mayWrite, accept: ignore, refuse: ignore };
}

type LimitValues = { readonly [Name in keyof BatchLimits]?: number };

/** Lanes with these limits in which these wait. */
function lanesWith(
  { maxBytes = 100_000, maxMessages = 100, ...limits }: LimitValues,
  ...all: readonly (string | readonly [id: string, size: number, sessionId?: string])[]
): Lanes {
  const values = { maxBytes: () => maxBytes, maxMessages: () => maxMessages };
  const lanes = new Lanes({ ...values, maxSharingBytes: 50_000, maxSharedOut: 10, ...limits });
  for (const each of all) lanes.add(typeof each === 'string' ? waiting(each) : waiting(...each));
  return lanes;
}

function idsOf({ members }: Batch): string[] {
  return members.map(({ message }) => message.messageId);
}

const next = (lanes: Lanes) => lanes.next(() => true);

/** All that may be out at a time; each batch comes back at once where `isReleased`, so then all there is. */
function takeOut(lanes: Lanes, isReleased = false): Batch[] {
  const batches: Batch[] = [];
  for (let batch = next(lanes); batch; batch = next(lanes)) {
    if (isReleased) lanes.release(batch);
    batches.push(batch);
  }
  return batches;
}

const takeAll = (lanes: Lanes) => takeOut(lanes, true).map(idsOf);

test('a batch that may not leave yet stays whole', () => {
  const lanes = lanesWith({}, '1', '2');
  assert.equal(
    lanes.next(() => false),
    undefined,
  );
  assert.deepEqual(takeAll(lanes), [['1', '2']]);
});

test('a batch takes what fits its bytes, exactly, and not one more', () => {
  const first = waiting('1');
  const exact =
    batchEnvelopeBytes(first.message) + 2 * bytesInBatch(first.message, first.message.body.length);
  const batchesWith = (maxBytes: number) => takeAll(lanesWith({ maxBytes }, '1', '2', '3'));
  assert.deepEqual(batchesWith(exact), [['1', '2'], ['3']]);
  assert.deepEqual(batchesWith(exact - 1), [['1'], ['2'], ['3']]);
});

test('a batch takes no more than its number of messages', () => {
  assert.deepEqual(takeAll(lanesWith({ maxMessages: 2 }, '1', '2', '3')), [['1', '2'], ['3']]);
});

test('a message that no batch takes goes alone, and its neighbours go on', () => {
  const limits = { maxBytes: 1_000, maxSharingBytes: 10_000 };
  const lanes = lanesWith(limits, 'small', ['large', 5_000], 'small too');
  assert.deepEqual(takeAll(lanes), [['small'], ['large'], ['small too']]);
});

test('a large message goes alone at once, and the small ones around it share a batch', () => {
  const lanes = lanesWith({}, 'small 1', ['large 1', 60_000], 'small 2', ['large 2', 60_000]);
  assert.deepEqual(takeOut(lanes).map(idsOf), [['small 1', 'small 2'], ['large 1'], ['large 2']]);
});

test('a large message stays in its place within its session', () => {
  const limits = { maxBytes: 1_000_000 };
  const lanes = lanesWith(limits, ['1', 10, 'session'], ['2', 60_000, 'session'], ['3', 10, 'session']);
  assert.deepEqual(takeOut(lanes).map(idsOf), [['1', '2', '3']]);
});

test('while a batch is out, one that could grow waits, and a full one goes', () => {
  const lanes = lanesWith({ maxMessages: 2 }, '1');
  const [first] = takeOut(lanes);
  assert.ok(first);
  lanes.add(waiting('2'));
  assert.deepEqual(takeOut(lanes), []);
  lanes.add(waiting('3'));
  assert.deepEqual(takeOut(lanes).map(idsOf), [['2', '3']]);
  lanes.add(waiting('4'));
  lanes.release(first);
  assert.deepEqual(takeOut(lanes), []);
});

test('no more shared batches are out than may be', () => {
  const lanes = lanesWith({ maxMessages: 2, maxSharedOut: 2 }, '1', '2', '3', '4', '5', '6');
  const [first] = takeOut(lanes);
  assert.ok(first);
  lanes.release(first);
  assert.deepEqual(takeOut(lanes).map(idsOf), [['5', '6']]);
});

test('where no batches are taken each message goes alone, and any number is out; a session keeps its order', () => {
  const lanes = lanesWith({ maxMessages: 1, maxSharedOut: 1 }, '1', '2', ['a1', 10, 'a'], ['a2', 10, 'a']);
  assert.deepEqual(takeOut(lanes).map(idsOf).sort(), [['1'], ['2'], ['a1']]);
});

test('sessions are never mixed in a batch, take turns, and have one batch out at most', () => {
  const lanes = lanesWith(
    { maxMessages: 2 },
    ['a1', 10, 'a'],
    ['b1', 10, 'b'],
    ['a2', 10, 'a'],
    ['a3', 10, 'a'],
    ['a4', 10, 'a'],
  );
  const out = takeOut(lanes);
  assert.deepEqual(out.map(idsOf), [['a1', 'a2'], ['b1']]);
  const [first] = out;
  assert.ok(first);
  lanes.release(first);
  assert.deepEqual(takeOut(lanes).map(idsOf), [['a3', 'a4']]);
});

test('draining gives back everything that was not taken', () => {
  const lanes = lanesWith({ maxMessages: 1 }, ['a1', 10, 'a'], ['b1', 10, 'b'], ['a2', 10, 'a']);
  assert.ok(next(lanes));
  const ids = lanes.drain().map(({ message }) => message.messageId);
  assert.deepEqual(ids.sort(), ['a2', 'b1']);
  assert.equal(next(lanes), undefined);
});

test('drained lanes are gone: of sessions that never come back nothing is left to look through', () => {
  let looks = 0;
  const maxBytes = () => {
    looks += 1;
    return 100_000;
  };
  const lanes = new Lanes({ maxBytes, maxMessages: () => 2, maxSharingBytes: 50_000, maxSharedOut: 10 });
  for (let n = 0; n < 100; n += 1) lanes.add(waiting(`${n}`, 10, `session ${n}`));
  const out = next(lanes);
  assert.ok(out);
  lanes.drain();
  lanes.release(out);
  looks = 0;
  assert.equal(next(lanes), undefined);
  assert.equal(looks, 0);
});

test('a batch is cut to what the link takes that is open now', () => {
  let maxBytes = 100_000;
  const limits = { maxMessages: () => 100, maxSharingBytes: 50_000, maxSharedOut: 10 };
  const lanes = new Lanes({ maxBytes: () => maxBytes, ...limits });
  for (const id of ['1', '2', '3']) lanes.add(waiting(id, 1_000));
  maxBytes = 1_500;
  assert.deepEqual(takeAll(lanes), [['1'], ['2'], ['3']]);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Holding } from '../../shared/mailbox/mailbox.ts';
import { ProcessMemory, TextTurns } from '../../shared/poll/memory.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Memory of a hundred bytes, and who asked for some of it. */
function bed(totalBytes = 100) {
  const memory = new ProcessMemory(totalBytes);
  const granted: string[] = [];
  /** Asks for bytes of one mail, and notes when it is granted. */
  const ask = (
    name: string,
    bytes: number,
    of: { mailbox?: string; queue?: string; signal?: AbortSignal } = {},
  ) => {
    const { mailbox = name, queue = 'inbound', signal = new AbortController().signal } = of;
    const holding = memory.of({ mailbox, queueName: queue, signal }).hold();
    const grown = holding.grow(bytes).then(() => void granted.push(name));
    return { holding, grown };
  };
  const stream = (mailbox: string, queueName = 'inbound') =>
    memory.hold({ mailbox, queueName, signal: new AbortController().signal }, 'stream');
  return { memory, granted, ask, stream };
}

test('first come, first served: a small one does not overtake a large one that waits', async () => {
  const { granted, ask } = bed();
  const first = ask('first', 60);
  const large = ask('large', 70, { queue: 'other' });
  const small = ask('small', 10, { queue: 'third' });
  await turn();
  assert.deepEqual(granted, ['first']);
  first.holding.release();
  await large.grown;
  await small.grown;
  assert.deepEqual(granted, ['first', 'large', 'small']);
});

test('more than all there is is granted alone', async () => {
  const { granted, ask } = bed();
  const first = ask('first', 10);
  const huge = ask('huge', 1_000);
  const next = ask('next', 10);
  await turn();
  assert.deepEqual(granted, ['first']);
  first.holding.release();
  await huge.grown;
  await turn();
  assert.deepEqual(granted, ['first', 'huge']);
  huge.holding.release();
  await next.grown;
});

test('a release gives back all that was grown, once', async () => {
  const { memory, ask } = bed();
  const { holding, grown } = ask('a', 10);
  await grown;
  await holding.grow(15);
  const other = ask('b', 40);
  await other.grown;
  assert.equal(memory.usedBytes, 65);
  holding.release();
  holding.release();
  assert.equal(memory.usedBytes, 40);
});

test('a release takes back what is still waited for, which then keeps nobody waiting', async () => {
  const { memory, granted, ask } = bed();
  const first = ask('first', 60);
  const large = ask('large', 90, { queue: 'other' });
  const small = ask('small', 10, { queue: 'third' });
  await turn();
  large.holding.release();
  await Promise.all([large.grown, small.grown]);
  assert.deepEqual(
    granted.filter((name) => name !== 'large'),
    ['first', 'small'],
  );
  assert.equal(memory.usedBytes, 70);
  first.holding.release();
  small.holding.release();
  assert.equal(memory.usedBytes, 0);
});

test('a release in the very turn of the grant loses no byte', async () => {
  const { memory, ask } = bed();
  const first = ask('first', 70);
  const second = ask('second', 60);
  await turn();
  first.holding.release();
  second.holding.release();
  await second.grown;
  assert.equal(memory.usedBytes, 0);
});

test('what is asked for after the release is not held', async () => {
  const { memory, ask, stream } = bed();
  const { holding, grown } = ask('a', 10);
  await grown;
  holding.release();
  await holding.grow(50);
  const parts = stream('a');
  parts.release();
  assert.equal(parts.tryGrow(10), false);
  assert.equal(memory.usedBytes, 0);
});

test('whoever waits is told why when the run is to end, and those behind go on', async () => {
  const { memory, granted, ask } = bed();
  const ending = new AbortController();
  const first = ask('first', 60);
  const waiting = ask('waiting', 70, { queue: 'other', signal: ending.signal });
  const behind = ask('behind', 30, { queue: 'third' });
  const refusal = assert.rejects(waiting.grown, { message: 'told to go' });
  ending.abort(new Error('told to go'));
  await refusal;
  await behind.grown;
  await assert.rejects(waiting.holding.grow(1), { message: 'told to go' });
  assert.deepEqual(granted, ['first', 'behind']);
  first.holding.release();
  waiting.holding.release();
  behind.holding.release();
  assert.equal(memory.usedBytes, 0);
});

test('a run that was ended while it waited knows it; one that had waited before does not think so', async () => {
  const { memory, ask } = bed();
  const first = ask('first', 100);
  const ending = new AbortController();
  const run = memory.of({ mailbox: 'b', queueName: 'inbound', signal: ending.signal });
  const holding = run.hold();
  const grown = holding.grow(60);
  first.holding.release();
  await grown;
  const other = new AbortController();
  const waiting = memory.of({ mailbox: 'c', queueName: 'inbound', signal: other.signal });
  const refused = assert.rejects(waiting.hold().grow(60));
  ending.abort();
  other.abort();
  await refused;
  assert.deepEqual([run.wasCutWaiting, waiting.wasCutWaiting], [false, true]);
});

test('a signal that fires after the grant takes nothing back', async () => {
  const { memory, ask } = bed();
  const ending = new AbortController();
  const { holding, grown } = ask('a', 50, { signal: ending.signal });
  await grown;
  ending.abort(new Error('told to go'));
  assert.equal(memory.usedBytes, 50);
  holding.release();
  assert.equal(memory.usedBytes, 0);
});

test('while others wait a mailbox gets no more than a quarter; when nobody else does it gets more', async () => {
  const { granted, ask } = bed();
  const greedy = ask('greedy', 25, { mailbox: 'greedy' });
  const filler = ask('filler', 70, { queue: 'elsewhere' });
  ask('more', 10, { mailbox: 'greedy' });
  const other = ask('other', 40, { mailbox: 'other', queue: 'third' });
  await turn();
  assert.deepEqual(granted, ['greedy', 'filler']);
  filler.holding.release();
  await turn();
  assert.deepEqual(granted, ['greedy', 'filler', 'other', 'more']);
  other.holding.release();
  greedy.holding.release();
});

test('one whose mailbox has its quarter is passed over by other mailboxes', async () => {
  const { granted, ask } = bed();
  const greedy = ask('greedy', 25, { mailbox: 'greedy' });
  const filler = ask('filler', 60, { queue: 'elsewhere' });
  ask('blocked', 20, { mailbox: 'blocked', queue: 'third' });
  ask('greedy again', 5, { mailbox: 'greedy' });
  await turn();
  assert.deepEqual(granted, ['greedy', 'filler']);
  filler.holding.release();
  await turn();
  assert.deepEqual(granted, ['greedy', 'filler', 'blocked', 'greedy again']);
  greedy.holding.release();
});

test('a queue never holds more than three quarters, so that one that hangs leaves room at once', async () => {
  const { memory, granted, ask, stream } = bed();
  ask('hanging', 70, { queue: 'hanging' });
  ask('hanging too', 10, { queue: 'hanging' });
  assert.equal(stream('b', 'hanging').tryGrow(10), false);
  ask('other', 25, { queue: 'other' });
  await turn();
  assert.deepEqual(granted, ['hanging', 'other']);
  assert.equal(memory.usedBytes, 95);
});

test('while mails for another queue wait, a queue holds at most half', async () => {
  const { granted, ask } = bed();
  const filler = ask('filler', 45, { queue: 'filler' });
  const held = ask('held', 40, { queue: 'busy' });
  ask('other', 20, { queue: 'other' });
  ask('busy too', 15, { queue: 'busy' });
  await turn();
  assert.deepEqual(granted, ['filler', 'held']);
  filler.holding.release();
  await turn();
  assert.deepEqual(granted, ['filler', 'held', 'other', 'busy too'], 'once nobody else waits it has more');
  held.holding.release();
});

test('streams together hold at most half, and only what is to be had at once', () => {
  const { memory, stream } = bed();
  const [one, two] = [stream('a'), stream('b')];
  assert.equal(one.tryGrow(30), true);
  assert.equal(two.tryGrow(20), true);
  assert.equal(two.tryGrow(1), false);
  assert.equal(memory.usedBytes, 50);
  one.shrink(10);
  one.shrink(1_000);
  assert.equal(memory.usedBytes, 20);
  assert.equal(two.tryGrow(30), true);
  two.release();
  assert.equal(memory.usedBytes, 0);
});

test('a stream passes over nobody who waits', async () => {
  const { ask, stream } = bed();
  const first = ask('first', 60);
  const waiting = ask('waiting', 60, { queue: 'other' });
  await turn();
  const parts = stream('third', 'third');
  assert.equal(parts.tryGrow(10), false);
  first.holding.release();
  await waiting.grown;
  assert.equal(parts.tryGrow(10), true);
});

test('one that is larger than its share is granted when the share is empty', async () => {
  const { granted, ask } = bed();
  const first = ask('first', 10, { queue: 'busy' });
  ask('large', 90, { queue: 'busy' });
  await turn();
  assert.deepEqual(granted, ['first']);
  first.holding.release();
  await turn();
  assert.deepEqual(granted, ['first', 'large']);
});

test('small ones that keep coming for the same queue do not let a large one wait for ever', async () => {
  const { granted, ask } = bed();
  let before = ask('small 0', 40, { mailbox: 'a' });
  const large = ask('large', 50, { mailbox: 'b' });
  for (let n = 1; n <= 5; n += 1) {
    const next = ask(`small ${n}`, 30, { mailbox: 'a' });
    before.holding.release();
    await turn();
    before = next;
  }
  assert.equal(granted[1], 'large');
  large.holding.release();
});

test('whatever is asked for is granted in the end, and the bounds are kept', async () => {
  const asks = fc.array(
    fc.record({ bytes: fc.nat(150), mailbox: fc.nat(3), queue: fc.nat(2), turns: fc.nat(3) }),
    { maxLength: 40 },
  );
  await fc.assert(
    fc.asyncProperty(asks, async (all) => {
      const { memory, ask } = bed();
      const held = new Map<Holding, { bytes: number; queue: number }>();
      await Promise.all(
        all.map(async ({ bytes, mailbox, queue, turns }, index) => {
          const { holding, grown } = ask(String(index), bytes, {
            mailbox: `m${mailbox}`,
            queue: `q${queue}`,
          });
          await grown;
          held.set(holding, { bytes, queue });
          const used = [...held.values()].reduce((sum, each) => sum + each.bytes, 0);
          assert.ok(used <= 100 || used === bytes, `${used} in use`);
          const ofQueue = [...held.values()].filter((each) => each.queue === queue && each.bytes > 0);
          const queueBytes = ofQueue.reduce((sum, each) => sum + each.bytes, 0);
          assert.ok(queueBytes <= 75 || ofQueue.length === 1, `${queueBytes} of one queue`);
          for (let n = 0; n < turns; n += 1) await turn();
          held.delete(holding);
          holding.release();
        }),
      );
      assert.equal(memory.usedBytes, 0);
    }),
    { numRuns: 100 },
  );
});

test('a third mail waits for its turn to hold text, and has it when one before it is done', async () => {
  const turns = new TextTurns(60_000);
  const taken: string[] = [];
  const take = async (mailbox: string) => {
    const share = { mailbox, queueName: `of ${mailbox}`, signal: new AbortController().signal };
    const taking = await turns.take(share);
    taken.push(mailbox);
    return taking;
  };
  const first = await take('first');
  await take('second');
  const third = take('third');
  await turn();
  assert.deepEqual(taken, ['first', 'second']);
  first.release();
  await third;
  assert.deepEqual(taken, ['first', 'second', 'third']);
});

test('who has waited long enough for a turn goes on without one; who was ended meanwhile is told why', async (t) => {
  // The signal's timer alone keeps no process alive.
  const alive = setInterval(() => {}, 1_000);
  t.after(() => clearInterval(alive));
  const turns = new TextTurns(50);
  const ended = new AbortController();
  const share = (mailbox: string) => ({ mailbox, queueName: `of ${mailbox}`, signal: ended.signal });
  await turns.take(share('first'));
  await turns.take(share('second'));
  const third = await turns.take(share('third'));
  third.release();
  const patient = new TextTurns(60_000);
  await Promise.all([patient.take(share('first')), patient.take(share('second'))]);
  const waiting = Promise.resolve(patient.take(share('third')));
  const reason = new Error('the run has ended');
  ended.abort(reason);
  await assert.rejects(waiting, reason);
});

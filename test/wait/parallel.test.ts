import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachOf, Limit } from '../../shared/wait/parallel.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Work that counts how much of it runs at a time. */
function counting() {
  const counts = { running: 0, most: 0, begun: 0 };
  const work = async (item?: unknown) => {
    counts.begun += 1;
    counts.running += 1;
    counts.most = Math.max(counts.most, counts.running);
    await turn();
    counts.running -= 1;
    return item;
  };
  return { counts, work };
}

test('each item once, no more at a time than said', async () => {
  const { counts, work } = counting();
  const seen: number[] = [];
  await forEachOf([1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
    seen.push(item);
    await work();
  });
  assert.deepEqual(seen, [1, 2, 3, 4, 5, 6, 7]);
  assert.deepEqual(counts, { running: 0, most: 3, begun: 7 });
});

test('after a rejection nothing more is begun, and what was begun is waited for', async () => {
  const { counts, work } = counting();
  const failing = forEachOf([1, 2, 3, 4, 5, 6, 7, 8], 2, async (item) => {
    await work();
    if (item === 2) throw new Error('two');
  });
  await assert.rejects(failing, { message: 'two' });
  assert.equal(counts.running, 0);
  assert.ok(counts.begun <= 4, `${counts.begun} begun`);
});

test('items that are still to come are asked for as they are needed, and end it when they can not be given', async () => {
  const { counts, work } = counting();
  async function* items() {
    for (let item = 1; item <= 7; item += 1) {
      assert.ok(item <= counts.begun + 2, 'no more than can be worked on');
      await turn();
      yield item;
    }
    throw new Error('no more');
  }
  await assert.rejects(forEachOf(items(), 2, work), { message: 'no more' });
  assert.deepEqual(counts, { running: 0, most: 2, begun: 7 });
});

test('nothing to do is done', async () => {
  await forEachOf([], 8, () => Promise.reject(new Error('called')));
});

test('a limit holds for callers that know nothing of each other, first come, first served', async () => {
  const limit = new Limit(2);
  const { counts, work } = counting();
  const order: number[] = [];
  const results = await Promise.all(
    Array.from({ length: 7 }, (_, n) =>
      limit.run(async () => {
        order.push(n);
        return await work(n);
      }),
    ),
  );
  assert.deepEqual(order, [0, 1, 2, 3, 4, 5, 6]);
  assert.deepEqual(results, order);
  assert.equal(counts.most, 2);
});

test('what comes while others wait and one ends does not overtake, nor exceed the limit', async () => {
  const limit = new Limit(1);
  const { counts, work } = counting();
  const order: string[] = [];
  const named = (name: string) => async () => {
    order.push(name);
    await work();
  };
  const first = limit.run(named('first'));
  const second = limit.run(named('second'));
  await first;
  await Promise.all([second, limit.run(named('third'))]);
  assert.deepEqual(order, ['first', 'second', 'third']);
  assert.equal(counts.most, 1);
});

test('whoever may wait no longer gets no room, and takes none from others', async () => {
  const limit = new Limit(1);
  const leave = await limit.enter();
  assert.equal(await limit.enter(5), undefined);
  leave();
  assert.ok(await limit.enter(0));
});

test('work that fails gives its place back', async () => {
  const limit = new Limit(1);
  await assert.rejects(
    limit.run(() => Promise.reject(new Error('no'))),
    { message: 'no' },
  );
  const failing = limit.run(() => Promise.reject(new Error('no')));
  const waiting = limit.run(async () => 7);
  await assert.rejects(failing);
  assert.equal(await waiting, 7);
});

test('what many hold together is bounded too, and the larger is not overtaken by the smaller for ever', async () => {
  const limit = new Limit(10);
  const order: string[] = [];
  const enter = async (name: string, amount: number, timeoutMs?: number) => {
    const leave = await limit.enter(timeoutMs, amount);
    if (leave) order.push(name);
    return leave;
  };
  const leaveFirst = await enter('first', 6);
  const large = enter('large', 8);
  const small = enter('small', 2);
  await enter('in vain', 1, 0);
  assert.deepEqual(order, ['first']);
  assert.equal(limit.waiting, 2);
  leaveFirst?.();
  await Promise.all([large, small]);
  assert.deepEqual(order, ['first', 'large', 'small']);
  const [waiting, behind] = [enter('in vain', 9, 5), enter('behind', 0)];
  await Promise.all([waiting, behind]);
  assert.deepEqual(order, ['first', 'large', 'small', 'behind']);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MemoryBudget } from '../../shared/poll/memoryBudget.ts';

/** Acquires, and notes when it is granted. */
function ask(budget: MemoryBudget, bytes: number, name: string, granted: string[]) {
  return budget.acquire(bytes).then((release) => {
    granted.push(name);
    return release;
  });
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('first come, first served: a small one does not overtake a large one that waits', async () => {
  const budget = new MemoryBudget(100);
  const granted: string[] = [];
  const first = await ask(budget, 60, 'first', granted);
  const large = ask(budget, 80, 'large', granted);
  const small = ask(budget, 10, 'small', granted);
  await turn();
  assert.deepEqual(granted, ['first']);
  first();
  (await large)();
  (await small)();
  assert.deepEqual(granted, ['first', 'large', 'small']);
});

test('more than the whole budget is granted alone', async () => {
  const budget = new MemoryBudget(100);
  const granted: string[] = [];
  const first = await ask(budget, 10, 'first', granted);
  const huge = ask(budget, 1_000, 'huge', granted);
  const next = ask(budget, 10, 'next', granted);
  await turn();
  assert.deepEqual(granted, ['first']);
  first();
  const release = await huge;
  await turn();
  assert.deepEqual(granted, ['first', 'huge']);
  release();
  (await next)();
});

test('giving back twice gives back once', async () => {
  const budget = new MemoryBudget(100);
  const first = await budget.acquire(60);
  const second = await budget.acquire(40);
  first();
  first();
  const granted: string[] = [];
  const third = ask(budget, 80, 'third', granted);
  await turn();
  assert.deepEqual(granted, []);
  second();
  await third;
});

test('whatever is asked for is granted in the end, in order, and the budget is kept', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(150), { maxLength: 40 }), async (sizes) => {
      const budget = new MemoryBudget(100);
      const granted: string[] = [];
      let used = 0;
      const work = sizes.map(async (bytes, index) => {
        const release = await ask(budget, bytes, String(index), granted);
        used += bytes;
        assert.ok(used <= 100 || used === bytes, `${used} in use`);
        await turn();
        used -= bytes;
        release();
      });
      await Promise.all(work);
      assert.deepEqual(
        granted,
        sizes.map((_, index) => String(index)),
      );
    }),
    { numRuns: 50 },
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lock } from '../../shared/wait/lock.ts';

test('one is at work at a time, in the order in which they came', async () => {
  const lock = new Lock();
  const events: string[] = [];
  const work = (name: string) => async (): Promise<string> => {
    events.push(`${name} begins`);
    await new Promise(setImmediate);
    events.push(`${name} ends`);
    return name;
  };
  assert.deepEqual(await Promise.all([lock.run(work('a')), lock.run(work('b'))]), ['a', 'b']);
  assert.deepEqual(events, ['a begins', 'a ends', 'b begins', 'b ends']);
});

test('work that fails lets the next one go on', async () => {
  const lock = new Lock();
  await assert.rejects(
    lock.run(() => Promise.reject(new Error('no'))),
    /no/,
  );
  assert.equal(await lock.run(async () => 1), 1);
});

test('it says how many wait', async () => {
  const lock = new Lock();
  const release = await lock.acquire();
  const next = lock.acquire();
  assert.equal(lock.waiting, 1);
  release();
  (await next)();
  assert.equal(lock.waiting, 0);
});

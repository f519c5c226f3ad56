import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { inTime, unlessAborted, withDeadline } from '../../shared/wait/deadline.ts';

const never = new Promise<never>(() => {});
const expired = (): Error => new Error('too late');

test('a deadline gives what the work gives, or its error', async () => {
  assert.equal(await withDeadline(Promise.resolve(1), 1_000, expired), 1);
  await assert.rejects(withDeadline(Promise.reject(new Error('own')), 1_000, expired), /own/);
});

test('work that takes longer, or has no time at all, is late', async () => {
  await assert.rejects(withDeadline(never, 10, expired), /too late/);
  await assert.rejects(withDeadline(never, -5, expired), /too late/);
});

test('work that is late, or to stop, is told so by its signal', async () => {
  const stop = new AbortController();
  const signals: AbortSignal[] = [];
  const work = (signal: AbortSignal) => {
    signals.push(signal);
    return never;
  };
  const stopped = inTime(60_000, work, expired, stop.signal);
  stop.abort();
  await assert.rejects(stopped, /too late/);
  await assert.rejects(inTime(1, work, expired), /too late/);
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true, true],
  );
});

test('work that ends in time leaves no timer behind', async (t) => {
  const cleared = t.mock.method(globalThis, 'clearTimeout');
  const set = t.mock.method(globalThis, 'setTimeout');
  await withDeadline(Promise.resolve(1), 60_000, expired);
  assert.deepEqual(
    cleared.mock.calls.map(({ arguments: [timer] }) => timer),
    set.mock.calls.map(({ result }) => result),
  );
});

test('work that fails after its deadline ends no process', async () => {
  const { promise, reject } = Promise.withResolvers<never>();
  await assert.rejects(withDeadline(promise, 1, expired), /too late/);
  reject(new Error('nobody listens'));
  await new Promise(setImmediate);
});

test('a signal ends the wait, one that has fired before too', async () => {
  const abort = new AbortController();
  const waiting = unlessAborted(never, abort.signal, expired);
  abort.abort();
  await assert.rejects(waiting, /too late/);
  await assert.rejects(unlessAborted(never, abort.signal, expired), /too late/);
});

test('a signal that never fires changes nothing, and is left without a listener', async () => {
  const { signal } = new AbortController();
  assert.equal(await unlessAborted(Promise.resolve(1), signal, expired), 1);
  assert.equal(getEventListeners(signal, 'abort').length, 0);
  assert.equal(await unlessAborted(Promise.resolve(2), undefined, expired), 2);
});

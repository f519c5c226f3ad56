import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whileTrafficFlows, within } from '../../../shared/mailbox/imap/deadlines.ts';

const never = new Promise<never>(() => {});
const expired = (what = 'time'): Error => new Error(what);

test('within gives what the work gives, or the expiry', async () => {
  assert.equal(await within(Promise.resolve(1), 1_000, expired), 1);
  await assert.rejects(within(Promise.reject(new Error('own')), 1_000, expired), /own/);
  await assert.rejects(within(never, 10, expired), /time/);
  await assert.rejects(within(never, -5, expired), /time/);
});

test('traffic keeps a wait alive, silence ends it, and a trickle is silence', async () => {
  const begin = performance.now();
  const receivedUntil = (stopMs: number, bytesPerMs: number) => () =>
    Math.floor(Math.min(performance.now() - begin, stopMs) * bytesPerMs);
  const flowing = { receivedBytes: receivedUntil(150, 1_000), floodBytes: Number.POSITIVE_INFINITY };
  await assert.rejects(whileTrafficFlows(never, 60, flowing, expired), /silence/);
  assert.ok(performance.now() - begin >= 190, 'not before the traffic ended and the silence passed');

  const trickle = { receivedBytes: receivedUntil(10_000, 0.01), floodBytes: Number.POSITIVE_INFINITY };
  await assert.rejects(whileTrafficFlows(never, 60, trickle, expired), /silence/);
});

test('more traffic than the work can need is a flood', async () => {
  let bytes = 0;
  const flood = { receivedBytes: () => (bytes += 1_000_000), floodBytes: 5_000_000 };
  await assert.rejects(whileTrafficFlows(never, 20, flood, expired), /flood/);
});

test('work that ends in time is given as it is', async () => {
  const quiet = { receivedBytes: () => 0, floodBytes: 0 };
  assert.equal(await whileTrafficFlows(Promise.resolve('row'), 1_000, quiet, expired), 'row');
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whileTrafficFlows } from '../../../shared/mailbox/imap/traffic.ts';

const isHeldBack = (): boolean => false;
const never = new Promise<never>(() => {});
const expired = (what = 'time'): Error => new Error(what);

test('traffic keeps a wait alive, silence ends it, and a trickle is silence', async () => {
  const begin = performance.now();
  const receivedUntil = (stopMs: number, bytesPerMs: number) => () =>
    Math.floor(Math.min(performance.now() - begin, stopMs) * bytesPerMs);
  const flowing = {
    receivedBytes: receivedUntil(150, 1_000),
    floodBytes: Number.POSITIVE_INFINITY,
    isHeldBack,
  };
  await assert.rejects(whileTrafficFlows(never, 60, flowing, expired), /silence/);
  assert.ok(performance.now() - begin >= 190, 'not before the traffic ended and the silence passed');

  const trickle = {
    receivedBytes: receivedUntil(10_000, 0.01),
    floodBytes: Number.POSITIVE_INFINITY,
    isHeldBack,
  };
  await assert.rejects(whileTrafficFlows(never, 60, trickle, expired), /silence/);
});

test('more traffic than the work can need is a flood', async () => {
  let bytes = 0;
  const flood = { receivedBytes: () => (bytes += 1_000_000), floodBytes: 5_000_000, isHeldBack };
  await assert.rejects(whileTrafficFlows(never, 20, flood, expired), /flood/);
});

test('work that ends in time is given as it is', async () => {
  const quiet = { receivedBytes: () => 0, floodBytes: 0, isHeldBack };
  assert.equal(await whileTrafficFlows(Promise.resolve('row'), 1_000, quiet, expired), 'row');
});

test('a wait for memory on this side is no silence of the server', async () => {
  const begin = performance.now();
  const waiting = {
    receivedBytes: () => 0,
    floodBytes: 0,
    isHeldBack: () => performance.now() - begin < 150,
  };
  await assert.rejects(whileTrafficFlows(never, 40, waiting, expired), /silence/);
  assert.ok(performance.now() - begin >= 180, 'the silence counts from the end of the wait');
});

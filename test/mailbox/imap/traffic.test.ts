import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Traffic, whileTrafficFlows } from '../../../shared/mailbox/imap/traffic.ts';

const never = new Promise<never>(() => {});
const quiet: Traffic = {
  receivedBytes: () => 0,
  floodBytes: Number.POSITIVE_INFINITY,
  isHeldBack: () => false,
};

/** What a wait for nothing rejects with, after how long. */
async function expiry(silenceMs: number, traffic: Partial<Traffic>): Promise<[string, number]> {
  const begin = performance.now();
  const expired = await whileTrafficFlows(never, silenceMs, { ...quiet, ...traffic }, Error).catch(String);
  return [expired, performance.now() - begin];
}

/** So many bytes in a millisecond from now on, for so long. */
function flowing(bytesPerMs: number, forMs: number): () => number {
  const begin = performance.now();
  return () => Math.floor(Math.min(performance.now() - begin, forMs) * bytesPerMs);
}

test('traffic keeps a wait alive, silence ends it, and a trickle is silence', async () => {
  const [expired, afterMs] = await expiry(60, { receivedBytes: flowing(1_000, 150) });
  assert.equal(expired, 'Error: silence');
  assert.ok(afterMs >= 190, 'not before the traffic ended and the silence passed');
  assert.deepEqual((await expiry(60, { receivedBytes: flowing(0.01, 10_000) }))[0], 'Error: silence');
});

test('more traffic than the work can need is a flood', async () => {
  const flood = { receivedBytes: flowing(1_000_000, 10_000), floodBytes: 5_000_000 };
  assert.equal((await expiry(20, flood))[0], 'Error: flood');
});

test('work that ends in time is given as it is', async () => {
  assert.equal(await whileTrafficFlows(Promise.resolve('row'), 1_000, quiet, Error), 'row');
});

test('a wait for memory on this side is no silence of the server', async () => {
  const begin = performance.now();
  const [expired, afterMs] = await expiry(40, { isHeldBack: () => performance.now() - begin < 150 });
  assert.equal(expired, 'Error: silence');
  assert.ok(afterMs >= 180, 'the silence counts from the end of the wait');
});

test('no more than a trickle, though never silent, ends a wait as silence does', async () => {
  let bytes = 0;
  const receivedBytes = () => {
    bytes += 1_024;
    return bytes;
  };
  const ended = await Promise.race([expiry(8, { receivedBytes }), delay(5_000, ['none'])]);
  assert.equal(ended[0], 'Error: silence');
});

test('a wait that is over leaves no timer', async () => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  await whileTrafficFlows(Promise.resolve(), 1_000, quiet, Error);
  await assert.rejects(whileTrafficFlows(Promise.reject(new Error('no')), 1_000, quiet, Error));
  assert.equal(timers(), before);
});

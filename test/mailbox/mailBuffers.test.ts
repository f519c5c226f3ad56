import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMailBuffers } from '../../shared/mailbox/mailBuffers.ts';

test('what was given back is given out again, for a mail of about that size', () => {
  const buffers = createMailBuffers(1_000_000);
  const first = buffers.take(100_000);
  buffers.giveBack(first.subarray(0, 10));
  for (const otherSize of [150_000, 50_000]) {
    const other = buffers.take(otherSize);
    assert.equal(other.length, otherSize);
    assert.notEqual(other.buffer, first.buffer);
  }
  const second = buffers.take(90_000);
  assert.equal(second.length, 90_000);
  assert.equal(second.buffer, first.buffer);
});

test('two that are out at the same time never share memory', () => {
  const buffers = createMailBuffers(1_000_000);
  const out = new Set<ArrayBufferLike>();
  for (let round = 0; round < 200; round += 1) {
    const taken = [buffers.take(1), buffers.take(5_000), buffers.take(5_000 + round * 50)];
    assert.equal(new Set(taken.map(({ buffer }) => buffer)).size, taken.length);
    for (const { buffer } of taken) assert.ok(!out.has(buffer));
    const [kept, ...done] = taken;
    if (kept) out.add(kept.buffer);
    for (const buffer of done) buffers.giveBack(buffer);
  }
});

test('giving back twice, or what is not from here, does nothing', () => {
  const buffers = createMailBuffers(1_000_000);
  const taken = buffers.take(10_000);
  buffers.giveBack(taken);
  buffers.giveBack(taken);
  buffers.giveBack(Buffer.alloc(10_000));
  assert.equal(buffers.take(10_000).buffer, taken.buffer);
  assert.notEqual(buffers.take(10_000).buffer, taken.buffer);
});

test('no more waits than allowed; the oldest goes first', () => {
  const buffers = createMailBuffers(100_000);
  const [first, second, third] = [buffers.take(40_000), buffers.take(40_000), buffers.take(40_000)];
  for (const buffer of [first, second, third]) buffers.giveBack(buffer);
  const again = [buffers.take(40_000), buffers.take(40_000), buffers.take(40_000)].map(
    ({ buffer }) => buffer,
  );
  assert.deepEqual(again.slice(0, 2), [third.buffer, second.buffer]);
  assert.notEqual(again[2], first.buffer);
});

test('no more than 64 wait, however small', () => {
  const buffers = createMailBuffers(1_000_000);
  const small = Array.from({ length: 100 }, () => buffers.take(10));
  for (const buffer of small) buffers.giveBack(buffer);
  const again = new Set(small.map(() => buffers.take(10).buffer));
  assert.equal(small.filter(({ buffer }) => again.has(buffer)).length, 64);
});

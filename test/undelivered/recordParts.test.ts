import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Failure } from '../../shared/failure/failure.ts';
import { afterFailure, nextTryAt } from '../../shared/undelivered/backOff.ts';
import { ByteGate } from '../../shared/undelivered/byteGate.ts';
import { forEachOf } from '../../shared/undelivered/forEachOf.ts';
import { readManifest, writeManifest } from '../../shared/undelivered/manifest.ts';
import { readPartNumbers, writePartNumbers } from '../../shared/undelivered/partNumbers.ts';
import { undeliveredMail } from './storage.ts';

test('part numbers come back as they were, in few characters', () => {
  const ascending = fc
    .uniqueArray(fc.integer({ min: 1, max: 5_000 }))
    .map((numbers) => numbers.sort((a, b) => a - b));
  fc.assert(
    fc.property(ascending, (numbers) => {
      assert.deepEqual(readPartNumbers(writePartNumbers(numbers)), numbers);
    }),
  );
  const all = Array.from({ length: 10_000 }, (_, index) => index + 1);
  assert.equal(writePartNumbers(all), '1-10000');
  assert.ok(writePartNumbers(all.filter((number) => number % 2 === 0)).length < 32_768);
});

test('what is no list of part numbers is told apart from an empty one', () => {
  assert.deepEqual(readPartNumbers(''), []);
  for (const text of ['x', '1,', '3-1', '-1', '1-99999999', '1 2']) {
    assert.equal(readPartNumbers(text), undefined, text);
  }
});

test('heads come back as they were, and what all parts share is written once', () => {
  const subject = 'S'.repeat(1_000);
  const bodies = Array.from({ length: 200 }, (_, index) => `part ${index}`);
  const { parts } = undeliveredMail(bodies, { uid: 3 });
  const long = parts.map((part) => ({
    ...part,
    head: {
      ...part.head,
      applicationProperties: { ...part.head.applicationProperties, emailSubject: subject },
    },
  }));
  const text = writeManifest(long);
  assert.equal(text.split(subject).length, 2);
  assert.deepEqual(
    readManifest(text, 'id').map(({ partNumber, head, sizeBytes, sha256 }) => ({
      partNumber,
      head,
      sizeBytes,
      sha256,
    })),
    long.map(({ partNumber, head, content }) => ({
      partNumber,
      head,
      sizeBytes: content.sizeBytes,
      sha256: content.sha256,
    })),
  );
});

test('damaged heads are a failure that names the record', () => {
  const whole = writeManifest(undeliveredMail(['a']).parts);
  for (const text of ['', '[]', 'null', '{"parts":[{}],"shared":{}}', whole.slice(0, -3)]) {
    assert.throws(
      () => readManifest(text, 'the-id'),
      (error) => error instanceof Failure && /the-id/.test(error.message),
    );
  }
});

test('a due time is a whole minute, not after the promised wait and less than a minute before it', () => {
  const waits = [1, 2, 4, 8, 16, 32, 60, 60];
  const anyTime = fc.date({ min: new Date('2026-01-01'), max: new Date('2030-01-01'), noInvalidDate: true });
  fc.assert(
    fc.property(anyTime, fc.integer({ min: 0, max: waits.length - 1 }), (from, tries) => {
      const earlyMs = from.getTime() + (waits[tries] ?? 60) * 60_000 - nextTryAt(tries, from).getTime();
      assert.ok(earlyMs >= 0 && earlyMs < 60_000);
      assert.equal(nextTryAt(tries, from).getTime() % 60_000, 0);
    }),
  );
});

test('the last try falls on the age limit, not on the next whole wait after it', () => {
  const storedAt = new Date('2026-11-20T10:00:10Z');
  const maxAgeMs = 3_600_000;
  const before = afterFailure({ storedAt, tries: 4 }, new Date('2026-11-20T10:40:30Z'), maxAgeMs);
  assert.deepEqual(before, { status: 'waiting', nextTryAt: new Date('2026-11-20T11:00:00Z'), tries: 5 });
  const at = afterFailure({ storedAt, tries: 5 }, new Date('2026-11-20T11:00:00Z'), maxAgeMs);
  assert.deepEqual(at, { status: 'abandoned', nextTryAt: undefined, tries: 6 });
});

test('bytes in use stay under the limit, and one larger than it passes alone', async () => {
  const gate = new ByteGate(100);
  let inUse = 0;
  let most = 0;
  const passed: number[] = [];
  await Promise.all(
    [60, 60, 500, 10, 10].map(async (bytes) => {
      await gate.enter(bytes);
      inUse += bytes;
      if (bytes <= 100) most = Math.max(most, inUse);
      else assert.equal(inUse, bytes);
      passed.push(bytes);
      await new Promise(setImmediate);
      inUse -= bytes;
      gate.leave(bytes);
    }),
  );
  assert.ok(most <= 100);
  assert.deepEqual(passed, [60, 60, 500, 10, 10]);
});

test('after a rejection nothing more is begun, and what was begun is waited for', async () => {
  let running = 0;
  let begun = 0;
  const work = async (item: number) => {
    begun += 1;
    running += 1;
    await new Promise(setImmediate);
    running -= 1;
    if (item === 2) throw new Error('two');
  };
  await assert.rejects(forEachOf([1, 2, 3, 4, 5, 6, 7, 8], 2, work), { message: 'two' });
  assert.equal(running, 0);
  assert.ok(begun <= 4);
});

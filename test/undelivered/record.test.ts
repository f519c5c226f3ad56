import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Failure } from '../../shared/failure/failure.ts';
import { withClaimCheck } from '../../shared/message/message.ts';
import { toStored, writeManifest } from '../../shared/undelivered/manifest.ts';
import { readManifest } from '../../shared/undelivered/readManifest.ts';
import { afterFailure, isRecordId, newRecordId, nextTryAt } from '../../shared/undelivered/record.ts';
import { undeliveredMail } from './storage.ts';

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
  const stored = long.map((part) => toStored('id', part));
  const text = writeManifest(stored);
  assert.equal(text.split(subject).length, 2);
  assert.deepEqual(readManifest(text, 'id'), stored);
  assert.deepEqual(
    stored.map(({ head }) => head),
    long.map(({ head }) => head),
  );
});

test('a part that went by claim check keeps the name it had there', () => {
  const [empty, checked] = undeliveredMail(['', 'payload']).parts;
  assert.ok(empty && checked);
  const stored = [empty, withClaimCheck(checked, 'email-payloads/acme/orders/id/large-1')].map((part) =>
    toStored('id', part),
  );
  assert.deepEqual(
    readManifest(writeManifest(stored), 'id').map(({ content, head }) => [
      content.blobName,
      content.payloadName,
      head.applicationProperties.claimCheck,
    ]),
    [
      ['id/part-1', undefined, undefined],
      ['id/part-2', 'large-1', undefined],
    ],
  );
});

test('damaged heads are a failure that names the record', () => {
  const whole = writeManifest(undeliveredMail(['a']).parts.map((part) => toStored('the-id', part)));
  for (const text of ['', '[]', 'null', '{"parts":[{}],"shared":{}}', whole.slice(0, -3)]) {
    assert.throws(
      () => readManifest(text, 'the-id'),
      (error) => error instanceof Failure && /the-id/.test(error.message),
    );
  }
});

test('record ids sort the newest first, whatever the uuid', () => {
  const uuid = '00000000-0000-4000-8000-000000000000';
  fc.assert(
    fc.property(fc.nat(2 ** 41), fc.nat(2 ** 41), fc.uuid(), (a, b, other) => {
      const [first, second] = [newRecordId(new Date(a), uuid), newRecordId(new Date(b), other)];
      assert.ok(isRecordId(first) && isRecordId(second));
      if (a !== b) assert.equal(first < second, a > b);
    }),
  );
  for (const text of ['', 'mark|a|b|c', `1-${uuid}`, `0000000000000-${uuid}x`, "' or 1 eq 1"]) {
    assert.equal(isRecordId(text), false, text);
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

test('a record that was stored by a clock far ahead is abandoned once its tries have taken the age limit', () => {
  const maxAgeMs = 3 * 3_600_000;
  const storedAt = new Date('2036-01-01T00:00:00Z');
  let [tries, now] = [0, new Date('2026-11-20T10:01:30Z')];
  for (; tries < 100; tries += 1) {
    const { nextTryAt } = afterFailure({ storedAt, tries }, now, maxAgeMs);
    if (nextTryAt === undefined) break;
    assert.ok(nextTryAt > now);
    now = nextTryAt;
  }
  // 1, 2, 4, 8, 16 and 32 minutes, then an hour, then what is left of the third.
  assert.deepEqual([tries, now], [7, new Date('2026-11-20T13:00:00Z')]);
  // A number that somebody has edited takes no time in proportion to it.
  assert.equal(afterFailure({ storedAt, tries: 2_000_000_000 }, now, maxAgeMs).status, 'abandoned');
});

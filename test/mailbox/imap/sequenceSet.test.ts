import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compactUids } from '../../../shared/mailbox/imap/sequenceSet.ts';
import { uidsIn } from './scriptedImapServer.ts';

test('runs become ranges, in ascending order, each UID once', () => {
  assert.deepEqual(compactUids([]), []);
  assert.deepEqual(compactUids([7]), ['7']);
  assert.deepEqual(compactUids([3, 1, 2, 2, 9, 11, 10, 20]), ['1:3,9:11,20']);
  assert.deepEqual(compactUids([4_294_967_294, 4_294_967_295]), ['4294967294:4294967295']);
});

test('any UIDs come back whole from sets that each fit a command line', () => {
  const uids = fc.array(fc.integer({ min: 1, max: 3_000 }), { maxLength: 400 });
  fc.assert(
    fc.property(uids, fc.integer({ min: 9, max: 200 }), (given, maxCharacters) => {
      const sets = compactUids(given, maxCharacters);
      for (const set of sets) assert.ok(set.length <= maxCharacters);
      assert.deepEqual(
        sets.flatMap((set) => uidsIn(set)),
        [...new Set(given)].sort((one, other) => one - other),
      );
    }),
  );
});

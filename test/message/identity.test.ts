import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { identifyMail, shortHash } from '../../shared/message/identity.ts';

test('a mail is known again by mailbox, key and fields, and differs where any of them does', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string(), (mailbox, key, fields) => {
      const { id, keyHash } = identifyMail(mailbox, key, fields);
      assert.match(id, /^[0-9a-f]{64}$/);
      assert.equal(keyHash, shortHash(key));
      assert.deepEqual(identifyMail(mailbox, key, fields), { id, keyHash });
      for (const other of [
        identifyMail(`${mailbox}x`, key, fields),
        identifyMail(mailbox, `${key}x`, fields),
        identifyMail(mailbox, key, `${fields}x`),
      ]) {
        assert.notEqual(other.id, id);
      }
    }),
  );
});

test('what runs into each other is kept apart', () => {
  const ids = [
    identifyMail('a', 'bc', 'd'),
    identifyMail('ab', 'c', 'd'),
    identifyMail('a', 'b', 'cd'),
    identifyMail('a","b', 'c', 'd'),
    identifyMail('a', 'b","c', 'd'),
  ].map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
});

test('a short hash is 32 hex characters, and pinned: what is remembered hangs on it', () => {
  assert.equal(shortHash(''), 'e3b0c44298fc1c149afbf4c8996fb924');
  assert.equal(shortHash('x'.repeat(10_000)).length, 32);
});

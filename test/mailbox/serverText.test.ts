import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { quoteServerText } from '../../shared/mailbox/serverText.ts';

describe('server text in a sentence', () => {
  it('is one printable line', () => {
    assert.equal(quoteServerText('a\r\nb\0\x1b[31mc\u202ed\u2028e '), 'a b [31mc d e');
  });

  it('is at most 200 characters, and cuts none in half', () => {
    const quoted = quoteServerText('😀'.repeat(500));
    assert.equal(quoted, `${'😀'.repeat(199)}…`);
  });

  it('holds no secret, plain, trimmed or in base64', () => {
    const secret = ' pass\tword ';
    const base64 = Buffer.from(secret).toString('base64');
    for (const text of [
      `no <${secret}>`,
      'no <pass word>',
      `no <${base64}>`,
      `no <${base64.replace(/=+$/, '')}>`,
    ]) {
      assert.match(quoteServerText(text, [secret]), /^no <\s?\*\*\*=*\s?>$/);
    }
  });

  it('holds no part of a secret that the limit would cut', () => {
    const text = `${'x'.repeat(190)}${'s'.repeat(40)}`;
    assert.equal(quoteServerText(text, ['s'.repeat(40)]), `${'x'.repeat(190)}***`);
  });

  it('holds no secret in a quoted string, in JSON, in an address or in hex', () => {
    const secret = 'pa"ss\\wörd €';
    for (const form of [
      'pa\\"ss\\\\wörd €',
      JSON.stringify(secret),
      encodeURIComponent(secret),
      Buffer.from(secret).toString('latin1'),
      Buffer.from(secret).toString('hex'),
      Buffer.from(secret).toString('base64url'),
    ]) {
      assert.match(quoteServerText(`LOGIN <${form}>`, [secret]), /^LOGIN <"?\*\*\*"?>$/, form);
    }
  });

  it('holds no secret in base64 within a SASL response, wherever it stands', () => {
    const secret = 'correct-horse-battery';
    for (const before of ['', 'a', 'ab', 'abc', 'user@example.com', '\0user\0', 'user=x\x01auth=Bearer ']) {
      for (const behind of ['', 'a', 'ab', '\x01\x01', 'more text']) {
        const response = Buffer.from(`${before}${secret}${behind}`).toString('base64');
        const quoted = quoteServerText(`- ${response} -`, [secret]);
        assert.match(quoted, /\*\*\*/);
        const kept = quoted.replaceAll('***', '').replaceAll(/[- ]/g, '');
        // What is left decodes to nothing of it, at any alignment.
        for (const shift of [0, 1, 2, 3]) {
          const text = Buffer.from('A'.repeat(shift) + kept, 'base64').toString('latin1');
          assert.ok(!/orrec|horse|batter/.test(text), text);
        }
      }
    }
  });

  it('strikes nothing innocent for the sake of a short secret', () => {
    assert.equal(quoteServerText('Authentication failed', ['ab']), 'Authentication failed');
  });
});

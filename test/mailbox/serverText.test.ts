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
});

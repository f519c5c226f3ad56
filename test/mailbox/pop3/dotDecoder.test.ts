import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DotDecoder } from '../../../shared/mailbox/pop3/multiLine.ts';
import { cut } from '../../mail/support.ts';
import { stuff } from './scriptedServer.ts';

/** Decodes what comes in these chunks; fails where no end is in them. */
function decode(chunks: readonly Buffer[], isLenient = false) {
  const decoder = new DotDecoder(isLenient);
  const pieces: Buffer[] = [];
  for (const [index, chunk] of chunks.entries()) {
    const end = decoder.decode(chunk, pieces);
    if (end === -1) continue;
    const rest = Buffer.concat([chunk.subarray(end), ...chunks.slice(index + 1)]);
    return { content: Buffer.concat(pieces).toString('latin1'), rest: rest.toString('latin1') };
  }
  return assert.fail('no end was found');
}

const contents: readonly string[] = [
  '',
  'a\r\n',
  '\r\n',
  '.\r\n',
  '..\r\n',
  '.a\r\n.\r\n..b\r\n',
  '\r\n\r\n.\r\n\r\n',
  'first\r\nbare\n.\nlf\r\n',
  'first\r\nbare\n.\r\nlf\r\n',
  'bare\r.\rcr\r\r\n',
  '.\r\r\n.\n\r\n.\r.\r\n',
  'nul\0\0.\r\n\0\r\n',
  '\xff\xfe\r\n',
];

describe('dot-decoding of a multi-line reply', () => {
  it('keeps every byte and finds the end at every pair of cuts', () => {
    for (const content of contents) {
      const wire = Buffer.concat([stuff(Buffer.from(content, 'latin1')), Buffer.from('.\r\n+OK next\r\n')]);
      for (let first = 0; first <= wire.length; first += 1) {
        for (let second = first; second <= wire.length; second += 1) {
          const chunks = [wire.subarray(0, first), wire.subarray(first, second), wire.subarray(second)];
          assert.deepEqual(
            decode(chunks),
            { content, rest: '+OK next\r\n' },
            `${JSON.stringify(content)} cut at ${first} and ${second}`,
          );
        }
      }
    }
  });

  it('keeps every byte in chunks of one', () => {
    for (const content of contents) {
      const wire = Buffer.concat([stuff(Buffer.from(content, 'latin1')), Buffer.from('.\r\n')]);
      assert.equal(decode(Array.from(wire, (byte) => Buffer.from([byte]))).content, content);
    }
  });

  it('takes the first dot from a line that the server did not stuff, as RFC 1939 has it', () => {
    assert.equal(decode([Buffer.from('.a\r\n.\r\n')]).content, 'a\r\n');
  });

  it('holds back no more than a few blanks that may end a reply', () => {
    const pieces: Buffer[] = [];
    const blanks = ' '.repeat(1_000);
    assert.equal(new DotDecoder(true).decode(Buffer.from(`a\n.${blanks}`), pieces), -1);
    assert.equal(Buffer.concat(pieces).toString(), `a\n${blanks}`);
  });

  it('gives the same bytes over any cut when it is lenient', () => {
    const reply = Buffer.from('a\n..b\r\n.c\n. d\n.\t\r\nrest');
    fc.assert(
      fc.property(fc.array(fc.nat()), (places) => {
        assert.deepEqual(decode(cut(reply, places), true), { content: 'a\n.b\r\nc\n d\n', rest: 'rest' });
      }),
    );
  });
});

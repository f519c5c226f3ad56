import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import libbase64 from 'libbase64';
import libqp from 'libqp';
import {
  createTransferDecoder,
  readTransferEncoding,
  type TransferEncoding,
} from '../../shared/mail/transferEncoding.ts';
import { Unsplittable } from '../../shared/mail/unsplittable.ts';
import { base64Lines, uuencode } from './encode.ts';
import { cut, places } from './support.ts';

function decode(encoding: TransferEncoding, pieces: readonly Buffer[]): Buffer {
  const decoder = createTransferDecoder(encoding);
  const decoded = pieces.map((piece) => Buffer.from(decoder.decode(piece)));
  return Buffer.concat([...decoded, decoder.end()]);
}

/** What decoding gives, or why it is refused. */
function attempt(encoding: TransferEncoding, pieces: readonly Buffer[]): string {
  try {
    return decode(encoding, pieces).toString('hex');
  } catch (error) {
    assert.ok(error instanceof Unsplittable);
    return error.message;
  }
}

describe('base64', () => {
  test('gives back any bytes, in lines of any length and pieces of any size', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 3000, size: 'max' }),
        fc.integer({ min: 1, max: 200 }),
        places,
        (array, length, at) => {
          const bytes = Buffer.from(array);
          const encoded = Buffer.from(base64Lines(bytes, length));
          assert.ok(decode('base64', cut(encoded, at)).equals(bytes));
          assert.ok(decode('base64', [encoded]).equals(bytes));
        },
      ),
    );
  });

  test('gives the same however it is cut, whatever it is', () => {
    const junk = fc
      .array(fc.constantFrom('QUJD', 'QQ', 'A', '=', '==', '\r\n', ' ', '-', '_', '!', '\xff', 'QUJDREVG'), {
        maxLength: 40,
      })
      .map((pieces) => Buffer.from(pieces.join(''), 'latin1'));
    fc.assert(
      fc.property(junk, places, (encoded, at) => {
        assert.equal(attempt('base64', cut(encoded, at)), attempt('base64', [encoded]));
      }),
      { numRuns: 3000 },
    );
  });

  test('is decoded as libbase64 does with a stray character here and there', () => {
    const stray = fc.constantFrom('-', '_', '!', '\r', '\n', '\xff', '\0');
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 200, maxLength: 900 }),
        stray,
        fc.nat(),
        places,
        (array, character, where, at) => {
          const encoded = Buffer.from(
            base64Lines(Buffer.from(array.subarray(0, array.length - (array.length % 3))), 76),
          );
          encoded.write(character, 78 * (where % Math.floor(encoded.length / 78)) + 5, 'latin1');
          const expected = libbase64.decode(encoded.toString('latin1').replace(/[^A-Za-z0-9+/=]/g, ''));
          assert.deepEqual(decode('base64', cut(encoded, at)), Buffer.from(expected));
        },
      ),
      { numRuns: 1000 },
    );
  });

  test('joins pieces that were encoded each for itself', () => {
    const pieces = [100, 50, 31].map((length) => Buffer.alloc(length, length));
    const encoded = pieces.map((piece) => `${base64Lines(piece)}\r\n`).join('');
    assert.ok(decode('base64', [Buffer.from(encoded)]).equals(Buffer.concat(pieces)));
  });

  for (const behind of [
    '-- \r\nfooter of a list',
    'Regards,',
    'unsubscribe here\r\n',
    '________\r\n',
    '(confidential)',
    'Grüße, Müller',
  ])
    test(`ends at its padding: ${JSON.stringify(behind)} is no part of it`, () => {
      const encoded = Buffer.from(`${base64Lines(Buffer.alloc(100, 7))}\r\n${behind}\r\n`);
      const decoder = createTransferDecoder('base64');
      const decoded = Buffer.concat([Buffer.from(decoder.decode(encoded)), decoder.end()]);
      assert.ok(decoded.equals(Buffer.alloc(100, 7)));
      assert.ok(decoder.hasTrailer);
    });

  test('that goes on behind its padding is refused, and what hides a part there', () => {
    const encoded = base64Lines(Buffer.alloc(100, 7));
    for (const behind of [
      'unreadable',
      `${'QUJD'.repeat(10)}Q`,
      'a footer\r\nQUJDRA==',
      'footer\r\nContent-Type: x',
      `${'QUJD'.repeat(5)}ü${'QUJD'.repeat(5)}`,
    ])
      assert.throws(
        () => decode('base64', [Buffer.from(`${encoded}\r\n${behind}\r\n`)]),
        Unsplittable,
        behind,
      );
  });

  for (const text of [
    'Order 4711: ten pieces.\r\nThank you.\r\n',
    '{"order":4711}',
    'a;b;c\r\n1;2;3\r\n',
    'Grüße',
  ])
    test(`that is none is refused: ${JSON.stringify(text)}`, () => {
      assert.throws(() => decode('base64', [Buffer.from(text)]), Unsplittable);
      const mixed = `${base64Lines(Buffer.alloc(57 * 20, 7))}\r\n${text}`;
      assert.throws(() => decode('base64', cut(Buffer.from(mixed), [100, 1500])), Unsplittable);
    });
});

describe('quoted-printable', () => {
  const junk = fc
    .array(
      fc.constantFrom(
        'a',
        '=',
        '=4',
        '=41',
        '=\r\n',
        '=\n',
        '\r\n',
        '\n',
        '\r',
        ' ',
        '\t',
        '=C3=BC',
        '\xff',
        '= \r\n',
      ),
      { maxLength: 30 },
    )
    .map((pieces) => Buffer.from(pieces.join(''), 'latin1'));

  test('is decoded as libqp does, whole and in pieces', () => {
    fc.assert(
      fc.property(junk, places, (encoded, at) => {
        fc.pre(!encoded.includes('\r\r'));
        const expected = Buffer.from(libqp.decode(encoded.toString('latin1')));
        assert.deepEqual(decode('quoted-printable', [encoded]), expected);
        assert.deepEqual(decode('quoted-printable', cut(encoded, at)), expected);
      }),
      { numRuns: 3000 },
    );
  });

  for (const encoded of [
    '=\r\nAB',
    '=4=\r\n1',
    '==\r\n41',
    '==\r\n4=\r\n1',
    '==\r\n=\r\n4=\r\n=\r\n1',
    '== \r\na= \r\na',
  ])
    test(`an escape cut by soft breaks is put together: ${JSON.stringify(encoded)}`, () => {
      assert.deepEqual(
        decode('quoted-printable', [Buffer.from(encoded)]),
        Buffer.from(libqp.decode(encoded)),
      );
    });

  test('is decoded as RFC 2045 has it', () => {
    const encoded = Buffer.from('Gr=C3=BC=\r\n=c3=9fe =3D x=20 \r\n\ty=09\r\n');
    assert.equal(decode('quoted-printable', [encoded]).toString(), 'Grüße = x \r\n\ty\t\r\n');
  });

  test('knows a soft break with a CR too many', () => {
    assert.equal(decode('quoted-printable', [Buffer.from('a=\r\r\nb')]).toString(), 'ab');
  });
});

describe('uuencode', () => {
  test('gives back any bytes, cut anywhere', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000, size: 'max' }), places, (array, at) => {
        const encoded = Buffer.from(`\r\n${uuencode(Buffer.from(array))}\r\n`);
        assert.ok(decode('uuencode', cut(encoded, at)).equals(Buffer.from(array)));
      }),
    );
  });

  test('with text or another file beside it is refused', () => {
    const encoded = uuencode(Buffer.from('a file'));
    for (const more of [`text before\r\n${encoded}`, `${encoded}text behind\r\n`, `${encoded}${encoded}`])
      assert.throws(() => decode('uuencode', [Buffer.from(more)]), Unsplittable, more);
  });

  test('that is none is refused', () => {
    assert.throws(() => decode('uuencode', [Buffer.from('just text\r\n')]), Unsplittable);
    assert.throws(() => decode('uuencode', []), Unsplittable);
  });
});

test('encodings are known however they are spelled', () => {
  const spellings: [string, TransferEncoding][] = [
    ['', 'identity'],
    ['7bit', 'identity'],
    ['8-Bit', 'identity'],
    ['BINARY', 'identity'],
    ['base64;', 'base64'],
    ['"base64"', 'base64'],
    ['base-64', 'base64'],
    ['Base64 (a comment)', 'base64'],
    ['base64; charset=utf-8', 'base64'],
    ['base64;charset=utf-8', 'base64'],
    ['quoted_printable', 'quoted-printable'],
    ['x-uuencode', 'uuencode'],
    ['x-uue', 'uuencode'],
    ['x-gzip', 'unknown'],
    ['constructor', 'unknown'],
  ];
  for (const [value, encoding] of spellings) assert.equal(readTransferEncoding(value), encoding, value);
});

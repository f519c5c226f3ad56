import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import libbase64 from 'libbase64';
import libqp from 'libqp';
import { Base64Decoder, decodeBase64 } from '../../shared/mail/base64.ts';
import { decodeQuotedPrintable, QuotedPrintableDecoder } from '../../shared/mail/quotedPrintable.ts';
import { base64Lines, quotedPrintable } from './encode.ts';
import { cut, places } from './support.ts';

describe('base64', () => {
  const junk = fc
    .array(fc.constantFrom('QUJD', 'QQ', 'A', '=', '==', '\r\n', ' ', '-', '_', '!', '\xff', 'QUJDREVG'), {
      maxLength: 40,
    })
    .map((pieces) => Buffer.from(pieces.join(''), 'latin1'));

  test('is decoded as libbase64 does, whole and in pieces', () => {
    fc.assert(
      fc.property(junk, places, (encoded, at) => {
        const cleaned = encoded.toString('latin1').replace(/[^A-Za-z0-9+/=]/g, '');
        const expected = libbase64.decode(cleaned);
        assert.deepEqual(Buffer.from(decodeBase64(encoded)), Buffer.from(expected));
        const decoder = new Base64Decoder();
        const pieces = cut(encoded, at).map((piece) => decoder.decode(piece));
        assert.deepEqual(Buffer.concat([...pieces, decoder.end()]), Buffer.from(expected));
      }),
      { numRuns: 2000 },
    );
  });

  test('gives back any bytes, in lines of any length and pieces of any size', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 3000 }),
        fc.integer({ min: 1, max: 200 }),
        places,
        (array, length, at) => {
          const bytes = Buffer.from(array);
          const encoded = Buffer.from(base64Lines(bytes, length));
          const decoder = new Base64Decoder();
          const pieces = cut(encoded, at).map((piece) => decoder.decode(piece));
          assert.ok(Buffer.concat([...pieces, decoder.end()]).equals(bytes));
          assert.ok(decodeBase64(encoded).equals(bytes));
        },
      ),
    );
  });
});

test('base64 lines with a foreign character among them are decoded as libbase64 does', () => {
  const foreign = fc.constantFrom('-', '_', '=', '!', ' ', '\r', '\n', 'A', '\xff');
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 200, maxLength: 900 }),
      foreign,
      fc.nat(),
      places,
      (array, character, where, at) => {
        const encoded = Buffer.from(base64Lines(Buffer.from(array), 40));
        encoded.write(character, where % encoded.length, 'latin1');
        const expected = Buffer.from(
          libbase64.decode(encoded.toString('latin1').replace(/[^A-Za-z0-9+/=]/g, '')),
        );
        assert.deepEqual(Buffer.from(decodeBase64(encoded)), expected);
        const decoder = new Base64Decoder();
        const pieces = cut(encoded, at).map((piece) => decoder.decode(piece));
        assert.deepEqual(Buffer.concat([...pieces, decoder.end()]), expected);
      },
    ),
    { numRuns: 2000 },
  );
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
      {
        maxLength: 30,
      },
    )
    .map((pieces) => Buffer.from(pieces.join(''), 'latin1'));

  test('is decoded as libqp does, whole and in pieces', () => {
    fc.assert(
      fc.property(junk, places, (encoded, at) => {
        const expected = Buffer.from(libqp.decode(encoded.toString('latin1')));
        assert.deepEqual(Buffer.from(decodeQuotedPrintable(encoded)), expected);
        const decoder = new QuotedPrintableDecoder();
        const pieces = cut(encoded, at).map((piece) => Buffer.from(decoder.decode(piece)));
        assert.deepEqual(Buffer.concat([...pieces, decoder.end()]), expected);
      }),
      { numRuns: 3000 },
    );
  });

  test('gives back any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (array) => {
        const bytes = Buffer.from(array);
        assert.ok(decodeQuotedPrintable(Buffer.from(quotedPrintable(bytes, true))).equals(bytes));
      }),
    );
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import libmime from 'libmime';
import { readEnvelope } from '../../shared/mail/envelope.ts';
import { decodeWords, parseHeaderBlock } from '../../shared/mail/headers.ts';

test('encoded words are decoded as libmime does', () => {
  const piece = fc.constantFrom(
    '=?utf-8?Q?=C3?=',
    '=?utf-8?q?=BC_x?=',
    '=?UTF-8?B?w7w=?=',
    '=?iso-8859-1?Q?=FC?=',
    '=?gbk?B?xOO6ww==?=',
    ' ',
    '\t',
    'x',
    '=?x-none?Q?=C3=BC?=',
    '=?utf-8*de?Q?y?=',
    'ü',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const text = pieces.join('');
      assert.equal(decodeWords(text), libmime.decodeWords(text));
    }),
    { numRuns: 3000 },
  );
});

describe('the envelope', () => {
  test('is safe whatever the header says', () => {
    const value = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 3000 }),
      fc
        .array(
          fc.constantFrom(
            '=?utf-8?B?DQpCY2M6IHg=?=',
            '=?utf-8?Q?=00=0A?=',
            '<a@b>',
            ',',
            '"',
            ' ',
            '\r\n ',
            '😀',
            ';',
            ':',
            '=?',
            '?=',
          ),
        )
        .map((p) => p.join('')),
    );
    fc.assert(
      fc.property(value, (text) => {
        const block = ['from', 'to', 'subject', 'message-id', 'date']
          .map((key) => `${key}: ${text}\r\n`)
          .join('');
        const envelope = readEnvelope(parseHeaderBlock(Buffer.from(block)));
        for (const each of Object.values(envelope)) {
          assert.ok(each.length > 0 && each.length <= 1024);
          assert.doesNotMatch(each, /\p{Cc}/u);
          assert.ok(each.isWellFormed());
        }
      }),
      { numRuns: 2000 },
    );
  });

  const envelopeOf = (text: string) => readEnvelope(parseHeaderBlock(Buffer.from(text)));

  test('shows names and addresses decoded', () => {
    const envelope = envelopeOf(
      'From: =?iso-8859-1?Q?J=F6rg?= <j@x.de>\r\nTo: a@b.c,\r\n "Doe, Jane" <d@e.f>, Friends: g@h.i, j@k.l;\r\nTo: second@x\r\n' +
        'Subject: =?utf-8?B?R3LDvMOf?=\r\n =?utf-8?B?ZQ==?= raw ü\r\nMessage-ID: abc@x\r\n',
    );
    assert.deepEqual(envelope, {
      messageId: '<abc@x>',
      subject: 'Grüße raw ü',
      from: 'Jörg <j@x.de>',
      to: 'a@b.c, "Doe, Jane" <d@e.f>, Friends: g@h.i, j@k.l;, second@x',
    });
  });

  test('gives the date in UTC, or none', () => {
    const dates: [string, string | undefined][] = [
      ['Mon, 2 Nov 2026 10:00:00 +0130', '2026-11-02T08:30:00.000Z'],
      ['2 Nov 26 10:00 EST', '2026-11-02T15:00:00.000Z'],
      ['Mon, 02 Nov 2026 10:00:00 -0000 (UTC)', '2026-11-02T10:00:00.000Z'],
      ['Mon, 02 Nov 2026 10:00:00', '2026-11-02T10:00:00.000Z'],
      ['2026-11-02T10:00:00Z', '2026-11-02T10:00:00.000Z'],
      ['2026-11-02 10:00:00', '2026-11-02T10:00:00.000Z'],
      ['Fri, 01 Jan 99999 00:00:00 +0000', undefined],
      ['Mon, 02 Nov 0026 10:00:00 +0000', undefined],
      ['Mon, 32 Nov 2026 10:00:00 +0000', undefined],
      ['nonsense 1', undefined],
      ['', undefined],
    ];
    for (const [text, date] of dates) assert.equal(envelopeOf(`Date: ${text}\r\n`).date, date, text);
  });
});

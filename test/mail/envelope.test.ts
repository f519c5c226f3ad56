import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import libmime from 'libmime';
import { decodeWords } from '../../shared/mail/encodedWord.ts';
import { readEnvelope, readEnvelopeStart } from '../../shared/mail/envelope.ts';
import { readHeaderBlock } from '../../shared/mail/header.ts';

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

test('encoded words may hold what should not stand in them, and name no charset', () => {
  const words: [string, string][] = [
    ['=?utf-8?Q?Was_ist_das??=', 'Was ist das?'],
    ['=?utf-8?Q?a?b_=C3=BC?= =?utf-8?Q?c?=', 'a?b üc'],
    ['=?utf-8?Q?never ended =?utf-8?Q?=C3=BC?=', '=?utf-8?Q?never ended ü'],
    ['=?utf-8?B?w7w=?= ?=', 'ü ?='],
    ['=?utf-8?B?w7zD-vA==?=', 'üü'],
    ['=??Q?Gr=C3=BC=C3=9Fe?= =??B?w7w=?=', 'Grüßeü'],
  ];
  for (const [word, text] of words) assert.equal(decodeWords(word), text);
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
        const envelope = readEnvelope(readHeaderBlock(Buffer.from(block), true).fields);
        for (const each of Object.values(envelope)) {
          assert.ok(each.length > 0 && each.length <= 1024);
          assert.doesNotMatch(each, /\p{Cc}/u);
          assert.ok(each.isWellFormed());
        }
      }),
      { numRuns: 2000 },
    );
  });

  const envelopeOf = (text: string) => readEnvelope(readHeaderBlock(Buffer.from(text), true).fields);

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
      ['Mon,1 Jan 2024 10:00:00 +0000', '2024-01-01T10:00:00.000Z'],
      ['Mon, 1 Jan 2024 10:00:00 (EDT) -0400', '2024-01-01T14:00:00.000Z'],
      ['(a (b\\) c)) Mon (x), 1 (y) Jan 2024 10:00 +0100', '2024-01-01T09:00:00.000Z'],
      ['Mon, 1 Jan 2024 10:00:00 +0100 (unclosed', '2024-01-01T09:00:00.000Z'],
      ['Mon, 1 Jan 2024 12:05 AM +0000', '2024-01-01T00:05:00.000Z'],
      ['1 Jan 2024 3:05:07 p.m. -0000', '2024-01-01T15:05:07.000Z'],
      ['1 Jan 2024 13:05 PM +0000', undefined],
      ['1 Jan 2024 10:60 +0000', undefined],
      ['Sat, 31 Feb 2024 10:00:00 +0000', undefined],
      ['Thu, 29 Feb 2024 10:00:00 GMT', '2024-02-29T10:00:00.000Z'],
      ['Wed, 29 Feb 2023 10:00:00 GMT', undefined],
      ['2023-02-29T10:00:00Z', undefined],
      ['Mon, 1 Jan 2024 10:00:00 CET', '2024-01-01T09:00:00.000Z'],
      ['Mon, 1 Jan 2024 10:00:00 XYZT', undefined],
      ['Mon, 1 Jan 2024 10:00:00 +9900', undefined],
      ['Mon, 1 Jan 2024 10:00:00 GMT+0200', '2024-01-01T08:00:00.000Z'],
      ['Mon Jan  1 10:00:00 2024', '2024-01-01T10:00:00.000Z'],
      ['Mon Jan  1 10:00:00 EST 2024', '2024-01-01T15:00:00.000Z'],
      ['Mon Jan  1 10:00:00 2024 +0100', '2024-01-01T09:00:00.000Z'],
      ['Mon, January 1 10:00 +0100 2024', '2024-01-01T09:00:00.000Z'],
      ['Mon Feb 31 10:00:00 2024', undefined],
      ['Mon Jan  1 10:00:00 EST 2024 +0100', undefined],
      ['Thursday, April 09, 2003 9:00 AM', '2003-04-09T09:00:00.000Z'],
      ['Apr. 9, 2003 at 9:00 pm -0400', '2003-04-10T01:00:00.000Z'],
      ['Fri Mar 10 2006 13:40:00 GMT+0100 (CET)', '2006-03-10T12:40:00.000Z'],
      ['Fri Mar 10 2006', undefined],
      ['Fri Mar 10 20061:30', undefined],
      ['nonsense 1', undefined],
      ['', undefined],
    ];
    for (const [text, date] of dates) assert.equal(envelopeOf(`Date: ${text}\r\n`).date, date, text);
  });

  test('gives the Message-ID without comments, in brackets', () => {
    const ids: [string, string][] = [
      ['<a@b>', '<a@b>'],
      ['a@b', '<a@b>'],
      ['<a@b> (a comment with <c@d>)', '<a@b>'],
      ['(first) <a@b>', '<a@b>'],
      ['<a\r\n @b>', '<a@b>'],
      ['<a @ local(blah).example>', '<a@local.example>'],
      ['<a(1@b>', '<a(1@b>'],
      ['<a@b> <c@d>', '<a@b>'],
    ];
    for (const [text, id] of ids) assert.equal(envelopeOf(`Message-ID: ${text}\r\n`).messageId, id, text);
    for (const none of ['<>', '< >', '<', '(none)'])
      assert.equal('messageId' in envelopeOf(`Message-ID: ${none}\r\n`), false, none);
  });

  test('reads encoded words and names in UTF-7, and in charsets nobody knows as well as it can', () => {
    const { subject, from } = envelopeOf(
      'Subject: =?utf-7?Q?Fr+APY-sche?=\r\nFrom: =?x-none?Q?Gr=FC=DFe?= <a@b>, =?unknown-8bit?Q?J=C3=BCrgen?= <c@d>\r\n',
    );
    assert.equal(subject, 'Frösche');
    assert.equal(from, 'Grüße <a@b>, Jürgen <c@d>');
  });

  test('takes bytes that stand unencoded in an encoded word for what they are in its charset', () => {
    for (const [word, subject] of [
      ['=?iso-8859-2?Q?\xb3=F3d=BC?=', 'łódź'],
      ['=?gb2312?q?\xc4\xe3?= =?gb2312?q?=BA=C3?=', '你好'],
      ['=?utf-8?Q?Gr\xfc=C3=9Fe?=', 'Grüße'],
    ] as const) {
      const header = Buffer.from(`Subject: ${word}\r\n`, 'latin1');
      assert.equal(readEnvelopeStart(header).subject, subject);
    }
  });

  test('reads what stands unencoded in the shifts of ISO-2022-JP', () => {
    const { subject, from } = envelopeOf(
      'Subject: Re: \x1b$B$3$s\x1b(B =?iso-2022-jp?B?GyRCJDMbKEI=?=\r\n 17\r\nFrom: "\x1b$B"!$s\x1b(B" <a@b>\r\n',
    );
    assert.equal(subject, 'Re: こん こ 17');
    assert.equal(from, '◆ん <a@b>');
  });

  test('is read behind a byte order mark, and of a mail that has no end of its header', () => {
    const head = 'From: a@b\r\nSubject: x\r\n';
    assert.deepEqual(readEnvelopeStart(Buffer.from(`\ufeff${head}\r\nSubject: y`)), {
      from: 'a@b',
      subject: 'x',
    });
    assert.deepEqual(readEnvelopeStart(Buffer.from(`${head}text of it`)), { from: 'a@b', subject: 'x' });
    const old = 'From: a@b\rSubject: x\r y\r\rTo: text';
    assert.deepEqual(readEnvelopeStart(Buffer.from(old)), { from: 'a@b', subject: 'x y' });
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import libbase64 from 'libbase64';
import libmime from 'libmime';
import libqp from 'libqp';
import { Base64Decoder, decodeBase64 } from '../../shared/mail/base64.ts';
import { readEnvelope } from '../../shared/mail/envelope.ts';
import { fallbackFileName, safeFileName } from '../../shared/mail/fileName.ts';
import { decodeWords, parseHeaderBlock } from '../../shared/mail/headers.ts';
import { decodeQuotedPrintable, QuotedPrintableDecoder } from '../../shared/mail/quotedPrintable.ts';
import { base64Lines, quotedPrintable } from './encode.ts';
import { sampleMails } from './mails.ts';
import { reference, seen, split, splitInBlocks } from './support.ts';

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort(
    (one, other) => one - other,
  );
  return [0, ...at].map((start, index) => bytes.subarray(start, at[index] ?? bytes.length));
}

const places = fc.array(fc.nat(), { maxLength: 6 });

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

describe('file names', () => {
  const anyName = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 600 }),
    fc
      .array(
        fc.constantFrom(
          '..',
          '/',
          '\\',
          '.',
          '\0',
          '\r\n',
          'a',
          ' ',
          '😀',
          '\ud800',
          '\u202e',
          'x'.repeat(200),
          '.pdf',
        ),
      )
      .map((p) => p.join('')),
  );

  test('are safe whatever the mail says', () => {
    fc.assert(
      fc.property(anyName, (name) => {
        const safe = safeFileName(name, 'fallback.bin');
        assert.ok(safe.length > 0 && safe.length <= 255);
        assert.doesNotMatch(safe, /[\\/\p{Cc}\u2028\u2029\u202e]/u);
        assert.ok(safe.isWellFormed());
        assert.ok(safe !== '.' && safe !== '..' && safe === safe.trim());
        assert.equal(safeFileName(safe, 'x'), safe);
      }),
      { numRuns: 3000 },
    );
  });

  test('keep what is good in them', () => {
    assert.equal(safeFileName('Łódź – Größe (1).pdf', 'x'), 'Łódź – Größe (1).pdf');
    assert.equal(safeFileName('../../x', 'f'), 'x');
    assert.equal(safeFileName('C:\\Temp\\a.txt', 'f'), 'a.txt');
    assert.equal(safeFileName('a\0b\r\n.txt', 'f'), 'ab.txt');
    for (const nothing of [undefined, '', ' ', '.', '..', 'a/..', 'a/', '\0'])
      assert.equal(safeFileName(nothing, 'f'), 'f');
    assert.equal(safeFileName(`${'x'.repeat(300)}.pdf`, 'f'), `${'x'.repeat(251)}.pdf`);
    assert.equal(safeFileName(`${'x'.repeat(254)}😀`, 'f'), 'x'.repeat(254));
  });

  test('fall back to the part number and the type', () => {
    assert.equal(fallbackFileName(2, 'application/pdf'), 'attachment-2.pdf');
    assert.equal(fallbackFileName(3, 'text/plain; charset=utf-8'), 'attachment-3.txt');
    assert.equal(fallbackFileName(3, 'message/rfc822'), 'attachment-3.eml');
    assert.equal(fallbackFileName(4, 'x/unknown'), 'attachment-4.bin');
    assert.equal(fallbackFileName(4, '__proto__'), 'attachment-4.bin');
    assert.equal(fallbackFileName(4, 'constructor'), 'attachment-4.bin');
  });
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

describe('the parser', () => {
  const samples = sampleMails(27, 21)
    .map((mail) => mail.source)
    .filter((source) => source.length < 8000);

  test('never throws and loses no mail, whatever comes', async () => {
    const fragment = fc.constantFrom(
      '--b',
      '--b--',
      '--c',
      '\r\n',
      '\n',
      '\r',
      '\r\n\r\n',
      'Content-Type: ',
      'multipart/mixed; boundary=b',
      'multipart/alternative; boundary="c"',
      'text/plain',
      'text/html; charset=gbk',
      'image/png',
      'Content-Transfer-Encoding: base64',
      'Content-Transfer-Encoding: quoted-printable',
      'Content-Disposition: attachment; filename=',
      'QUJD',
      '=41',
      ' ',
      '\t',
      'x',
      '"',
      ';',
      '\0',
      '\xff',
      'message/rfc822',
      'Subject: y',
      '-',
      '--',
    );
    const mail = fc
      .array(fragment, { maxLength: 60 })
      .map((pieces) => Buffer.from(`Subject: x\r\n${pieces.join('')}`, 'latin1'));
    await fc.assert(
      fc.asyncProperty(mail, places, async (source, at) => {
        const whole = await split(source);
        assert.ok(whole.parts.length > 0 || whole.warning === undefined);
        assert.deepEqual(seen(await splitInBlocks(cut(source, at), 1)), seen(whole));
      }),
      { numRuns: 1500 },
    );
  });

  test('finds in damaged mails what mailparser finds, or sends them raw', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...samples),
        fc.nat(),
        fc.nat(60),
        fc.constantFrom('', '--', '\r\n', '\r\n\r\n', 'x'),
        async (sample, where, length, insert) => {
          const at = where % sample.length;
          const source = Buffer.concat([
            sample.subarray(0, at),
            Buffer.from(insert),
            sample.subarray(at + length),
          ]);
          const mail = await split(source, { inlineAttachments: true });
          if (mail.warning !== undefined) return;
          const found = await reference(source);
          const attachments = seen(mail)
            .filter((part) => part.kind === 'attachment')
            .map((part) => part.bytes.toString('hex'));
          for (const { bytes } of found.attachments)
            assert.ok(attachments.includes(bytes.toString('hex')), 'an attachment is lost');
        },
      ),
      { numRuns: 600 },
    );
  });

  test('gives back attachments byte for byte', async () => {
    const attachment = fc.record({
      bytes: fc.uint8Array({ maxLength: 2000 }),
      encoding: fc.constantFrom('base64', 'quoted-printable'),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(attachment, { maxLength: 5 }), places, async (attachments, at) => {
        const parts = attachments.map(({ bytes, encoding }) => {
          const body =
            encoding === 'base64'
              ? base64Lines(Buffer.from(bytes))
              : quotedPrintable(Buffer.from(bytes), true);
          return `--==b\r\nContent-Type: application/x-y\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${body}\r\n`;
        });
        const source = Buffer.from(
          `Subject: x\r\nContent-Type: multipart/mixed; boundary="==b"\r\n\r\n${parts.join('')}--==b--\r\n`,
        );
        const mail = seen(await splitInBlocks(cut(source, at), 1)).filter(
          (part) => part.kind === 'attachment',
        );
        assert.deepEqual(
          mail.map((part) => part.bytes),
          attachments.map(({ bytes }) => Buffer.from(bytes)),
        );
      }),
      { numRuns: 300 },
    );
  });
});

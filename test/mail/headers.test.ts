import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseStructured } from '../../shared/mail/header.ts';
import { body, head, lines, seen, shown, split, splitInPieces } from './support.ts';

const mixed = `${head}Content-Type: multipart/mixed; boundary=o\r\n`;
const pdf = 'attachment application/pdf invoice.pdf "%PDF-1.4\\n"';
const pdfPart = lines(
  'Content-Type: application/pdf; name="invoice.pdf"',
  'Content-Disposition: attachment; filename="invoice.pdf"',
  'Content-Transfer-Encoding: base64',
  '',
  'JVBERi0xLjQK',
);

/** Splits it whole and byte by byte, which must give the same. */
async function parts(mail: string): Promise<string[]> {
  const source = Buffer.from(mail, 'latin1');
  const whole = await split(source);
  const cut = await splitInPieces(Array.from(source, (byte) => Buffer.of(byte)));
  assert.deepEqual(shown(cut), shown(whole));
  if (shown(whole)[0] === 'raw') assert.ok(seen(whole)[0]?.bytes.equals(source));
  return shown(whole);
}

/** A test for each of these mails, by its name: these are its parts. */
function testEach(mails: Readonly<Record<string, string>>, expected: readonly string[]): void {
  for (const [name, mail] of Object.entries(mails))
    test(name, async () => assert.deepEqual(await parts(mail), expected));
}

describe('a header that is none', () => {
  const withPdf = (part: string) => `${mixed}\r\n${part}--o\r\n${pdfPart}--o--\r\n`;
  const sentRaw: Record<string, string> = {
    'a separator line with blanks, and a text that is indented': `${head} \r\n  Order: ten\r\n\r\nThank you.\r\n`,
    'no separator, and a text that looks like a field': `${head}Total: 10\r\nThank you.\r\n`,
    'CR CR LF': `${head}\r\ntext\r\n`.replaceAll('\r\n', '\r\r\n'),
    'lone CR': `${head}\r\ntext\r\n`.replaceAll('\r\n', '\r'),
    'no separator, and a line of text that looks like a field behind another': `${head}Order 4711\r\nDate: tomorrow\r\n\r\nThanks\r\n`,
    'no separator, and text that looks like fields up to the end': `${head}Article: 4711\r\nPieces: 10\r\n`,
    'no separator behind addresses that end in a comma': `Subject: x\r\nTo: a@b,\r\nOrder of c@d\r\nThanks`,
    'an empty line on top': `\r\n${head}Content-Type: text/html\r\n\r\n<p>x`,
    'empty lines on top': `\r\n\n${head}`,
    'of a part whose text looks like fields': withPdf(
      lines('--o', 'Order: 4711', 'Pieces: 10', '', 'Thanks'),
    ),
    'of a part whose text looks like a field up to the end': withPdf(
      lines('--o', 'Content-Type: text/plain', 'Order: 4711'),
    ),
    'of an encoded part without its empty line': withPdf(
      lines('--o', 'Content-Type: image/png', 'Content-Transfer-Encoding: base64', 'some words', 'AAAA'),
    ),
    'of an encoded part of one line without its empty line': withPdf(
      lines('--o', 'Content-Type: image/png', 'Content-Transfer-Encoding: base64', 'AAA='),
    ),
    'text on top': `Dear all,\r\nhello\r\n${head}\r\nx`,
  };
  const read: Record<string, [mail: string, ...parts: string[]]> = {
    'a separator line with blanks': [
      `${head} \t\r\nOrder: ten\r\nThank you.\r\n`,
      body('Order: ten\nThank you.\n'),
    ],
    'separator lines with blanks, also in the text': [
      `${head} \r\nOrder: ten\r\n \r\n  Thank you.\r\n \r\n \r\nAnna\r\n`,
      body('Order: ten\n \n  Thank you.\n \n \nAnna\n'),
    ],
    'a folded line of white space within a field': [
      `Received: x\r\n \r\n by y\r\n${head}\r\ntext`,
      body('text'),
    ],
    'a folded line of white space at its end': [`${head} \r\n\r\n indented`, body(' indented')],
    'no separator line': [`${head}Order 4711: ten\r\nThank you.\r\n`, body('Order 4711: ten\nThank you.\n')],
    'text, then an empty line': [`${head}Dear all,\r\n\r\nThank you.\r\n`, body('Dear all,\n\nThank you.\n')],
    'a forwarded header in the text': [
      `${head}Hello\r\nFrom: b@c\r\nSubject: y\r\n\r\nz\r\n`,
      body('Hello\nFrom: b@c\nSubject: y\n\nz\n'),
    ],
    'a folded line of white space only': [
      `Subject: x\r\n \r\nContent-Type: text/html\r\n\r\n<p>y`,
      'body text/html; charset=utf-8 body.html "<p>y"',
    ],
    'a broken continuation': [
      `Subject: x\r\ngoes on here\r\nContent-Type: text/html\r\n\r\n<p>y`,
      'body text/html; charset=utf-8 body.html "<p>y"',
    ],
    'a parameter without its indentation and the semicolon before it': [
      `Content-Type: text/html\r\ncharset=utf-8\r\nSubject: x\r\n\r\n<p>y`,
      'body text/html; charset=utf-8 body.html "<p>y"',
    ],
    'a parameter without its indentation': [
      `${head}Content-Type: application/pdf;\r\nname="a.pdf"\r\n\r\nx`,
      'attachment application/pdf a.pdf "x"',
    ],
    'a line of an old Exchange on top': [
      `Microsoft Mail Internet Headers Version 2.0\r\n${head}\r\nx`,
      body('x'),
    ],
    'no separator, and an address in front': [
      `${head}https://example.com/4711\r\n\r\nThanks`,
      body('https://example.com/4711\n\nThanks'),
    ],
    'no separator, and a time in front': [
      `${head}10:30 we meet\r\n\r\nThanks`,
      body('10:30 we meet\n\nThanks'),
    ],
    'no separator behind a subject that ends in a comma': [
      `From: a@b\r\nSubject: Dear all,\r\nten pieces\r\nThanks`,
      body('ten pieces\nThanks'),
    ],
    'addresses without their indentation': [`Subject: x\r\nTo: a@b,\r\nc@d\r\n\r\ntext`, body('text')],
    'no separator behind an index that ends in an equals sign': [
      `${head}Thread-Index: AQHalJpfg3l8gA==\r\nTen pieces.\r\n\r\nThanks`,
      body('Ten pieces.\n\nThanks'),
    ],
    'no separator behind addresses, and no address': [
      `Subject: x\r\nTo: a@b,\r\nOrder 4711\r\n\r\nThanks`,
      body('Order 4711\n\nThanks'),
    ],
    'a name of their own with signs in it, last of all': [
      `${head}X-Spam[1]: y\r\nX-Rate+$: 3\r\n\r\ntext`,
      body('text'),
    ],
    'no separator, and JSON': [`${head}{"order": 4711}\r\n\r\n`, body('{"order": 4711}\n\n')],
    'no separator, and HTML': [`${head}<b>Note:</b> ten\r\n\r\n`, body('<b>Note:</b> ten\n\n')],
    'no separator, and EDIFACT': [
      `${head}UNB+UNOC:3+4711'\r\nUNZ+1'\r\n\r\n`,
      body("UNB+UNOC:3+4711'\nUNZ+1'\n\n"),
    ],
    'no separator behind a semicolon': [
      `${head}Content-Type: text/plain; charset=utf-8;\r\norder=4711\r\n\r\nThanks`,
      body('order=4711\n\nThanks'),
    ],
    'no separator, and values by their names': [
      `${head}order=4711\r\npieces=10\r\n\r\nThanks`,
      body('order=4711\npieces=10\n\nThanks'),
    ],
    'no separator behind a type, and nothing but values by their names': [
      `${head}Content-Type: text/plain\r\norder=4711\r\npieces=10`,
      body('order=4711\npieces=10'),
    ],
    'nothing behind it': [`${head}X-Own: y\r\n`, body('')],
    'a boundary without its indentation': [
      `${head}Content-Type: multipart/mixed;\r\nboundary="o"\r\n\r\n--o\r\n${pdfPart}--o--\r\n`,
      pdf,
    ],
    'an empty line on top of text': [`\r\nPriority: high\r\nhello\r\n`, body('Priority: high\nhello\n')],
    'an mbox line on top': [`From a@b Mon Nov  2 10:00:00 2026\r\n${head}\r\nx`, body('x')],
    'of a part without its empty line': [
      withPdf(lines('--o', 'Content-Type: text/plain', 'Order 4711: ten', 'Thank you.')),
      body('Order 4711: ten\nThank you.'),
      pdf,
    ],
    'of a part that begins with the address of a page': [
      withPdf(lines('--o', 'http://x/y', '', 'see')),
      body('http://x/y\n\nsee'),
      pdf,
    ],
    'of a part with fields of its own': [withPdf(lines('--o', 'X-Own: y', '', 'text')), body('text'), pdf],
    'of a part that has none': [
      withPdf(lines('--o', 'just text', 'and more')),
      body('just text\nand more'),
      pdf,
    ],
  };
  testEach(sentRaw, ['raw']);
  for (const [name, [mail, ...expected]] of Object.entries(read)) testEach({ [name]: mail }, expected);

  test('a byte order mark in front is no part of the first field', async () => {
    const mail = `\xef\xbb\xbfContent-Type: multipart/mixed; boundary=o\r\n${head}\r\n--o\r\n\r\ntext\r\n--o\r\n${pdfPart}--o--\r\n`;
    assert.deepEqual(await parts(mail), [body('text'), pdf]);
    assert.equal(
      (await split(Buffer.from(`\xef\xbb\xbf${head}\r\nx`, 'latin1'))).envelope.from,
      'a@example.com',
    );
  });
});

describe('delimiters where nobody expects them', () => {
  const text = lines('Content-Type: text/plain', '', 'text');
  const sentRaw: Record<string, string> = {
    'behind the close delimiter, with a header that has no end': `${mixed}\r\n--o\r\n${text}--o--\r\n--o\r\nContent-Type: application/pdf\r\nTotal: 10\r\nsome words\r\n\r\nx\r\n--o--\r\n`,
    'behind the close delimiter, with text': `${mixed}\r\n--o\r\n${text}--o\r\n${pdfPart}--o--\r\n--o\r\nmore text\r\n`,
    'behind the close delimiter, with text below an empty line': `${mixed}\r\n--o\r\n${text}--o\r\n${pdfPart}--o--\r\n--o\r\n\r\nmore text\r\n`,
    'of another multipart behind the close delimiter': `${mixed}\r\n--o\r\n${text}--o--\r\n--i\r\n${pdfPart}--i--\r\n`,
    'closing a text, with a footer glued to it': `${mixed}\r\n--o\r\n${pdfPart}--o\r\n${text}--o--______\r\nfooter of a list\r\n`,
    'of a boundary that an attached mail has too': `${mixed}\r\n--o\r\n${text}--o\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\nContent-Type: multipart/mixed;\r\n boundary="o"\r\n\r\n--o\r\n${pdfPart}--o--\r\n--o--\r\n`,
    'at the end of a line of text': `${mixed}\r\n--o\r\n\r\ntext--o\r\n${pdfPart}--o--\r\n`,
    'of an outer multipart, at the end of a line of an attachment': `${mixed}\r\n--o\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\nContent-Type: text/csv\r\n\r\na;b--o \n${pdfPart}--o--\r\n`,
    'with more behind it, in front of the first part': `${mixed}\r\nThis is a multi-part message.\r\n--o o\r\n\r\nhidden\r\n--o\r\n${pdfPart}--o--\r\n`,
    'with more behind it, between an inner multipart and the next part': `${mixed}\r\n--o\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n${text}--i--\r\n--o;\r\n\r\nhidden\r\n--o\r\n${pdfPart}--o--\r\n`,
  };
  const giveBoth: Record<string, string> = {
    'right below the mail’s header': `${mixed}--o\r\n${text}--o\r\n${pdfPart}--o--\r\n`,
    'right below the mail’s header, above one that begins with another field': `${mixed}--o\r\nContent-Transfer-Encoding: 7bit\r\n${text}--o\r\n${pdfPart}--o--\r\n`,
    'right below the mail’s header and a preamble': `${mixed}This is a multi-part message.\r\n--o\r\n${text}--o\r\n${pdfPart}--o--\r\n`,
    'right below an inner header': `${mixed}\r\n--o\r\nContent-Type: multipart/related; boundary=i\r\n--i\r\n${text}--i--\r\n--o\r\n${pdfPart}--o--\r\n`,
    'below a part that is header only': `${mixed}\r\n--o\r\nContent-Type: text/plain\r\n--o\r\n${text}--o\r\n${pdfPart}--o--\r\n`,
    twice: `${mixed}\r\n--o\r\n--o\r\n${text}--o\r\n--o\r\n${pdfPart}--o--\r\n`,
    'behind the close delimiter, with a header': `${mixed}\r\n--o\r\n${text}--o--\r\n--o\r\n${pdfPart}--o--\r\n`,
    'behind the close delimiter, with nothing, and an epilogue': `${mixed}\r\n--o\r\n${text}--o\r\n${pdfPart}--o--\r\n--o\r\n\r\n--o--\r\nepilogue\r\n`,
    'at the very end, open and without a line end': `${mixed}\r\n--o\r\n${text}--o\r\n${pdfPart}--o`,
    'closing, with a footer glued to it': `${mixed}\r\n--o\r\n${text}--o\r\n${pdfPart}--o--______\r\nfooter of a list\r\n`,
    'with the blank at the end of its boundary': `${head}Content-Type: multipart/mixed; boundary="o "\r\n\r\n--o \r\n${text}--o \r\n${pdfPart}--o --\r\n`,
    'of a boundary in quotes that are none, which it has, or has not': `${head}Content-Type: multipart/mixed; boundary='o'\r\n\r\n--o\r\n${text}--'o'\r\n${pdfPart}--o--\r\n`,
    'that begin with those of an outer one': `${mixed}\r\n--o\r\nContent-Type: multipart/mixed; boundary=o--x\r\n\r\n--o--x\r\n${text}--o--x--\r\n--o\r\n${pdfPart}--o--\r\n`,
  };
  const alternative = (boundary: string) =>
    `Content-Type: multipart/alternative; boundary=${boundary}\r\n\r\n--${boundary}\r\n${text}--${boundary}\r\nContent-Type: text/html\r\n\r\n<p>text\r\n--${boundary}--\r\n`;
  giveBoth['of two multiparts with the same boundary'] =
    `${mixed}\r\n--o\r\n${alternative('o')}--o\r\n${pdfPart}--o--\r\n`;
  testEach(sentRaw, ['raw']);
  testEach(giveBoth, [body('text'), pdf]);
  testEach(
    {
      'of an attached mail, with dashes in it': `${mixed}\r\n--o\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=a--i\r\n\r\n--a--i\r\nContent-Type: text/csv\r\n\r\nx\r\n--o--\r\n`,
    },
    [
      `attachment message/rfc822 attachment-1.eml ${JSON.stringify('Content-Type: multipart/mixed; boundary=a--i\r\n\r\n--a--i\r\nContent-Type: text/csv\r\n\r\nx')}`,
    ],
  );
  testEach(
    {
      'of a multipart that is closed: lines of text': `${mixed}\r\n--o\r\n${alternative('i')}--o\r\n${lines('', 'you wrote', '--i', 'this')}--o--\r\n`,
    },
    [body('text\nyou wrote\n--i\nthis')],
  );
  testEach(
    {
      'that are none, below a header that has no boundary': `${mixed}\r\n--o\r\nContent-Type: text/plain\r\n----\r\ntext\r\n--o\r\n${pdfPart}--o--\r\n`,
    },
    [body('----\ntext'), pdf],
  );
  testEach(
    {
      'glued, but followed by another: a line of text': `${mixed}\r\n--o\r\n\r\na\r\n--o--b\r\nc\r\n--o\r\n${pdfPart}--o--\r\n`,
    },
    [body('a\n--o--b\nc'), pdf],
  );
});

describe('types and encodings', () => {
  for (const type of [
    'text',
    'text/',
    'text/plain charset=iso-8859-1',
    'text/plain, charset=iso-8859-1',
    'nonsense',
  ])
    test(`that can’t be read are text/plain: ${type}`, async () => {
      assert.deepEqual(await parts(`${head}Content-Type: ${type}\r\n\r\nGr\xfc\xdfe`), [body('Grüße')]);
    });

  test('have blanks and comments between their words', async () => {
    const read = (type: string) => parts(`${head}Content-Type: ${type}\r\n\r\n<p>x`);
    for (const type of ['text / html', 'text (a) / (b) html (c); charset=utf-8', 'text/\r\n html'])
      assert.deepEqual(await read(type), ['body text/html; charset=utf-8 body.html "<p>x"'], type);
    assert.deepEqual(await read('application / pdf'), ['attachment application/pdf attachment-1.pdf "<p>x"']);
  });

  test('that are not as they say send it raw although the part is left out, in one piece as in many', async () => {
    const picture = `${head}Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n`;
    const rules = { attachmentFilter: (name: string) => !name.endsWith('.png') };
    for (const [data, kinds] of [
      ['QUJD\r\n', []],
      ['some words\r\n', ['raw']],
      ['QUJD\r\nsome words', ['raw']],
    ] as const) {
      const source = Buffer.from(`${picture}${data}`);
      const cut = await splitInPieces(
        Array.from(source, (byte) => Buffer.of(byte)),
        rules,
      );
      assert.deepEqual([shown(await split(source, rules)), shown(cut)], [kinds, kinds], data);
    }
  });

  test('that may hide a multipart send it raw', async () => {
    const parts = `boundary=o\r\n\r\n--o\r\n${pdfPart}--o--\r\n`;
    for (const type of ['mixed', 'multi part/mixed', 'mulipart/mixed'])
      assert.deepEqual(shown(await split(`${head}Content-Type: ${type}; ${parts}`)), ['raw']);
    assert.deepEqual(shown(await split(`${head}Content-Type: multipart; ${parts}`)), [pdf]);
  });

  test('that a multipart has lost send it raw, and a text that shows such a source does not', async () => {
    const source = `--o\r\nX-A: b\r\nContent-Type: text/plain\r\n\r\ntext\r\n--o\r\n${pdfPart}--o--\r\n`;
    for (const type of ['', 'Content-Type: text/plain; boundary=o\r\n', 'Content-Type: text/html\r\n'])
      for (const above of ['', '\r\n', 'This is a multi-part message in MIME format.\r\n\r\n'])
        assert.deepEqual(await parts(`${head}${type}\r\n${above}${source}`), ['raw']);
    const shownSource = `I got this:\r\n${source}`;
    assert.deepEqual(await parts(`${head}\r\n${shownSource}`), [body(shownSource.replaceAll('\r\n', '\n'))]);
    assert.deepEqual(await parts(`${head}\r\n--o\r\nsee Content-Type: x\r\n`), [
      body('--o\nsee Content-Type: x\n'),
    ]);
  });

  test('that a header gives twice send it raw where they differ, and count once where not', async () => {
    const multipart = `Content-Type: multipart/mixed; boundary=o\r\n`;
    const both = `\r\n--o\r\n\r\ntext\r\n--o\r\n${pdfPart}--o--\r\n`;
    const encoding = 'Content-Transfer-Encoding: base64\r\n';
    const kinds: [string, string[]][] = [
      [`Content-Type: text/plain\r\n${multipart}${both}`, ['raw']],
      [`Content-Type:\r\n${multipart}${both}`, [body('text'), pdf]],
      [`${multipart}Content-Type: text/plain\r\n${both}`, [body('text'), pdf]],
      [`Content-Type: text/plain\r\nContent-Type: application/pdf\r\n${encoding}\r\nJVBE`, ['raw']],
      [`Content-Transfer-Encoding: 7bit\r\n${encoding}\r\nR3LDvMOfZQ==\r\n`, ['raw']],
      [`${encoding}${encoding}\r\nR3LDvMOfZQ==\r\n`, [body('Grüße')]],
      [
        `Content-Type: application/pdf\r\nContent-Disposition: inline\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\nx`,
        ['attachment application/pdf a.pdf "x"'],
      ],
    ];
    for (const [mail, expected] of kinds) assert.deepEqual(await parts(`${head}${mail}`), expected, mail);
  });

  test('unknown encodings make octets of a part, with a warning', async () => {
    const mail = await split(
      `${head}Content-Type: text/plain; name=a.txt\r\nContent-Transfer-Encoding: x-gzip\r\n\r\nx`,
    );
    assert.deepEqual(shown(mail), ['attachment application/octet-stream a.txt "x"']);
    assert.match(mail.warning ?? '', /unknown transfer encoding/);
  });

  test('the parts of a digest are mails, also with the empty line missing that ends their own header', async () => {
    const mails = [lines('', 'Subject: one', '', 'text one'), lines('Subject: two', '', 'text two')];
    const mail = `${head}Content-Type: multipart/digest; boundary=o\r\n\r\n--o\r\n${mails.join('--o\r\n')}--o--\r\n`;
    assert.deepEqual(await parts(mail), [
      'attachment message/rfc822 attachment-1.eml "Subject: one\\r\\n\\r\\ntext one"',
      'attachment message/rfc822 attachment-2.eml "Subject: two\\r\\n\\r\\ntext two"',
    ]);
  });

  test('a boundary on a part that is no multipart changes nothing', async () => {
    const mail = `${head}Content-Type: message/rfc822; boundary=x\r\n\r\nSubject: y\r\n\r\n--x\r\n\r\nz\r\n--x--\r\n`;
    assert.deepEqual(await parts(mail), [
      'attachment message/rfc822; boundary=x attachment-1.eml "Subject: y\\r\\n\\r\\n--x\\r\\n\\r\\nz\\r\\n--x--\\r\\n"',
    ]);
  });

  test('a multipart that is encoded as a whole is decoded, and one that only says so is read', async () => {
    const inner = `--o\r\nContent-Type: text/plain\r\n\r\ntext\r\n--o\r\n${pdfPart}--o--\r\n`;
    const fields = `${head}Content-Type: multipart/mixed; boundary=o\r\nContent-Transfer-Encoding: base64\r\n\r\n`;
    const encoded = Buffer.from(inner).toString('base64').replace(/.{76}/g, '$&\r\n');
    assert.deepEqual(await parts(`${fields}${encoded}\r\n`), [body('text'), pdf]);
    assert.deepEqual(await parts(`${fields}${inner}`), [body('text'), pdf]);
    const padded = Buffer.from(`${inner}${' '.repeat((4 - (inner.length % 3)) % 3)}`).toString('base64');
    assert.match(padded, /=$/);
    const lines = padded.replace(/.{76}/g, '$&\r\n');
    assert.deepEqual(await parts(`${fields}${lines}\r\n-- \r\nfooter of a list\r\n`), ['raw']);
  });
});

describe('parameters', () => {
  const kinds: [string, string, string][] = [
    ['attachment; filename="a "quoted" b.pdf"; size=3', 'filename', 'a "quoted" b.pdf'],
    ['attachment; filename=a;b.pdf; size=4', 'filename', 'a;b.pdf'],
    ['attachment; filename="a;b.pdf', 'filename', 'a;b.pdf'],
    ['attachment; filename="a";b.pdf', 'filename', 'a'],
    ['attachment; filename=my file (1).pdf', 'filename', 'my file (1).pdf'],
    ['attachment; filename="C:\\TEMP\\scan.pdf"', 'filename', 'C:\\TEMP\\scan.pdf'],
    ['attachment; filename="a\\"b.pdf"', 'filename', 'a"b.pdf'],
    ['attachment; filename="a \\"b\\"; c.pdf"; size=3', 'filename', 'a "b"; c.pdf'],
    ['attachment; filename="a \\"b\\" (2;3).pdf"; size=3', 'filename', 'a "b" (2;3).pdf'],
    ['attachment; filename="a \\"b\\""; size=3', 'filename', 'a "b"'],
    ['attachment; size="C:\\"; filename=a.pdf', 'filename', 'a.pdf'],
    ["attachment; filename*=utf-8''a%20b%.pdf", 'filename', 'a b%.pdf'],
    [
      'attachment; filename*0*=utf-8\'\'part%20one-; filename*1="100%20two.pdf"',
      'filename',
      'part one-100%20two.pdf',
    ],
    ['attachment; filename*1=b.pdf; filename*0=a', 'filename', 'ab.pdf'],
    ["attachment; filename*=x-none''Gr%FC%DFe.pdf", 'filename', 'Grüße.pdf'],
    ["attachment; filename*0*=koi8-r'ru'%D3; filename*1*=%DE.pdf", 'filename', 'сч.pdf'],
    ['attachment; filename=a.pdf; filename=b.pdf', 'filename', 'a.pdf'],
    ['application/pdf; name="unterminated; x=y', 'name', 'unterminated'],
    ['text/plain; charset="utf-8" format=flowed', 'format', 'flowed'],
    ['text/plain (comment); charset=(c)utf-8', 'charset', 'utf-8'],
    ['text/plain; charset=us-ascii (Plain text)', 'charset', 'us-ascii'],
    ['text/plain (an \\) and; charset=koi8-r); charset=utf-8', 'charset', 'utf-8'],
    ['text/plain; charset=utf-8 (an \\) more)', 'charset', 'utf-8'],
    ['text/plain; charset=(an \\) before) utf-8', 'charset', 'utf-8'],
    ['a/b; x=1;;boundary=y', 'boundary', 'y'],
  ];
  for (const [value, name, text] of kinds)
    test(value, () => assert.equal(parseStructured(value).parameters.get(name)?.text, text));

  test('a comment is no part of them, whatever stands in it', async () => {
    const type = 'application/x-y (a;b=c (d;e=f)); g=h (i;j=k); name="l\\"m (n;o).pdf" (o;p=q)';
    assert.deepEqual(await parts(`${head}Content-Type: ${type}\r\n\r\nx`), [
      'attachment application/x-y; g=h l_m (n;o).pdf "x"',
    ]);
    assert.equal(
      parseStructured('attachment; filename=a (1;2.pdf').parameters.get('filename')?.text,
      'a (1;2.pdf',
    );
  });

  for (const [fields, name] of [
    ['Content-Type: image/png; filename=a.png', 'a.png'],
    ['Content-Type: image/png\r\nContent-Disposition: inline; name=b.png', 'b.png'],
    ['Content-Type: image/png; filename=a.png\r\nContent-Disposition: inline; filename=c.png', 'c.png'],
    ['Content-Type: image/png; name=d.png\r\nContent-Disposition: inline; filename="..."', 'd.png'],
  ])
    test(`file names count where they stand by mistake: ${name}`, async () =>
      assert.deepEqual(await parts(`${head}${fields}\r\n\r\nx`), [`attachment image/png ${name} "x"`]));
});

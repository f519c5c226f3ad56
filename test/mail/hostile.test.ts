import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { splitMail } from '../../shared/mail/splitMail.ts';
import { memoryStore } from './memoryStore.ts';
import { defaultRules, lines, seen, sourceOf, split } from './support.ts';

async function assertRaw(source: Buffer | string, why: RegExp): Promise<void> {
  const mail = await split(source);
  const parts = seen(mail);
  assert.deepEqual(
    parts.map(({ kind, contentType, fileName }) => [kind, contentType, fileName]),
    [['raw', 'message/rfc822', 'mail.eml']],
  );
  assert.ok(parts[0]?.bytes.equals(Buffer.from(source)), 'all its bytes');
  assert.match(mail.warning ?? '', why);
}

const head = lines('From: a@example.com', 'Subject: hostile', 'Message-ID: <1@x>');

const inMixed = `${head}Content-Type: multipart/mixed; boundary=b\r\n\r\n`;
const multiparts = (depth: number) =>
  Array.from(
    { length: depth },
    (_, level) => `Content-Type: multipart/mixed; boundary=b${level}\r\n\r\n--b${level}\r\n`,
  ).join('');

describe('a mail goes raw, whole and with a warning', () => {
  const lost = '--b\r\n\r\nlost\r\n--b--\r\n';
  const inner = lines('--b', '', 'seen', '--b', 'Content-Type: multipart/alternative', '', 'lost', '--b--');
  const kinds: Record<string, readonly [source: Buffer | string, why: RegExp]> = {
    'with 10,000 parts': [
      `${inMixed}${'--b\r\nContent-Type: text/plain\r\n\r\nx\r\n'.repeat(10_000)}`,
      /1,000 parts/,
    ],
    'with 10,000 multiparts in each other': [`${head}${multiparts(10_000)}`, /1,000 parts/],
    'with a header of more than 1 MiB in a line': [
      `${head}X: ${'x'.repeat(1_100_000)}\r\n\r\nbody`,
      /larger than 1 MiB/,
    ],
    'with a header of more than 1 MiB in many lines': [
      `${head}${'X: y\r\n'.repeat(20_000)}\r\nbody`,
      /larger than 1 MiB/,
    ],
    'when its multipart names no boundary': [
      `${head}Content-Type: multipart/mixed\r\n\r\n${lost}`,
      /no parts/,
    ],
    'when its multipart never shows its boundary': [
      `${head}Content-Type: multipart/mixed; boundary=o\r\n\r\n${lost}`,
      /no parts/,
    ],
    'when an inner multipart names no boundary': [`${inMixed}${inner}`, /no parts/],
    'when its type may be a multipart, which would drop its preamble': [
      `${head}Content-Type: multipart--/digest; boundary=b\r\n\r\nseen by others\r\n${lost}`,
      /can’t be read/,
    ],
    'when a delimiter of its multipart stands behind a bare CR, and a part with it outside': [
      `${inMixed}\r--b\r\n\r\nlost\r\n${lines('--b', '', 'seen', '--b--')}`,
      /outside of its multipart/,
    ],
    'when it is a line of text and has no header': ['just some text\r\n', /header/],
    'when it is text and has no header': ['just some text\r\n\r\nand more\r\n', /header/],
    'when it is no text and has no header': [Buffer.from('ff00fe0a0d0a1b5b', 'hex'), /header/],
    'when its text is none that can be decoded': [
      `${head}Content-Transfer-Encoding: base64\r\n\r\n!!!!!\r\n`,
      /declared base64 and is text/,
    ],
    'when it holds more text than is held in memory': [
      `${head}\r\n${'long line of text\r\n'.repeat(1_000_000)}`,
      /16 MiB/,
    ],
  };
  for (const [name, [source, why]] of Object.entries(kinds)) test(name, () => assertRaw(source, why));

  test('with 100,000 recipients, and its envelope is read all the same', async () => {
    const to = Array.from({ length: 100_000 }, (_, n) => `user${n}@example.com`).join(',\r\n ');
    const source = `${head}To: ${to}\r\n\r\nbody\r\n`;
    await assertRaw(source, /larger than 1 MiB/);
    const { envelope } = await split(source);
    assert.equal(envelope.subject, 'hostile');
    assert.ok(envelope.to?.startsWith('user0@example.com, user1@example.com, '));
    assert.ok((envelope.to?.length ?? 0) > 1000 && (envelope.to?.length ?? 0) <= 1024);
  });

  test('when it is larger than the limit, by what the server said or by what came', async () => {
    const source = `${head}\r\n${'x'.repeat(2000)}\r\n`;
    for (const sizeBytes of [source.length, 10]) {
      const mail = await splitMail(
        { ...sourceOf(source), sizeBytes },
        { ...defaultRules, maxMailBytes: 1000 },
        memoryStore(),
      );
      assert.equal(seen(mail)[0]?.kind, 'raw');
      assert.equal(seen(mail)[0]?.bytes.toString(), source);
      assert.match(mail.warning ?? '', /limit of 1000 bytes/);
      assert.equal(mail.envelope.subject, 'hostile');
    }
  });
});

describe('a mail is split all the same', () => {
  test('with 900 parts, and with 300 multiparts in each other', async () => {
    const part = lines('--b', 'Content-Type: image/png', '', 'x');
    assert.equal((await split(`${inMixed}${part.repeat(900)}--b--\r\n`)).parts.length, 900);
    const deep = await split(`${head}${multiparts(300)}\r\ninnermost`);
    assert.equal(seen(deep)[0]?.bytes.toString(), 'innermost');
  });

  test('with 5 MB of unclosed tags, deeply nested html, a zip bomb: all bytes are there', async () => {
    const tags = '<b><div><table>'.repeat(350_000);
    const mail = await split(`${head}Content-Type: text/html\r\n\r\n${tags}`);
    assert.equal(seen(mail)[0]?.bytes.length, tags.length);
    assert.equal(seen(mail)[0]?.contentType, 'text/html; charset=utf-8');
  });

  test('with a bare CR within a delimiter, which then closes nothing', async () => {
    const mail = await split(`${inMixed}--b\r\n\r\nseen\r\n--b\r--\r\n\r\nfound\r\n--b--\r\n`);
    assert.equal(seen(mail)[0]?.bytes.toString(), 'seen\n--b\n--\n\nfound');
  });

  test('with its end missing', async () => {
    const mail = await split(`${inMixed}--b\r\nContent-Type: image/png\r\n\r\nPNG`);
    assert.equal(seen(mail)[0]?.bytes.toString(), 'PNG');
  });
});

describe('time grows no faster than the mail', () => {
  const cases: Record<string, (size: number) => string> = {
    'lines that look like delimiters': (size) => `${inMixed}--b\r\n\r\n${'--x\r\n'.repeat(size / 5)}`,
    'padded base64 quartets': (size) =>
      `${head}Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n${'AA=='.repeat(size / 4)}`,
    'white space in quoted-printable': (size) =>
      `${head}Content-Transfer-Encoding: quoted-printable\r\n\r\nx${' '.repeat(size)}x`,
    'encoded words': (size) => `${head}To: ${'=?utf-8?Q?'.repeat(Math.min(size, 900_000) / 10)}\r\n\r\nx`,
    comments: (size) => `${head}Content-Type: text/plain${'('.repeat(Math.min(size, 900_000))}\r\n\r\nx`,
    'meta tags': (size) => `${head}Content-Type: text/html\r\n\r\n${'<meta '.repeat(size / 6)}\xff`,
    'attachments that are looked for in the html': (size) =>
      `${head}Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n${'cid: '.repeat(size / 5)}\r\n${lines('--b', 'Content-Type: image/png', 'Content-ID: <x>', '', 'x').repeat(900)}`,
    'brackets in a content id, above a line separator': (size) =>
      `${head}Content-ID: ${'>'.repeat(size / 16)}\u2028x\r\n\r\nx`,
    'dots in file names': (size) =>
      `${inMixed}${lines('--b', `Content-Disposition: attachment; filename="a${'.'.repeat(8_000)}x"`, '', 'x').repeat(size / 32_000)}`,
    'blanks in what is nearly a delimiter': (size) =>
      `${head}Content-Type: multipart/mixed; boundary=${'b'.repeat(8_000)}\r\n\r\n${`--${' '.repeat(8_000)}x--\r\n`.repeat(size / 32_000)}`,
    'blanks in ids that the html shows': (size) =>
      `${head}Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n${`<img src="cid:${' '.repeat(1_000)}x">`.repeat(size / 500)}\r\n${lines('--b', 'Content-Type: image/png', 'Content-ID: <x>', '', 'x')}`,
    'file names of encoded words': (size) =>
      `${inMixed}${lines('--b', `Content-Disposition: attachment; filename="${'=?a?Q?x?= =?b?Q?x?= '.repeat(size / 20_000)}"`, '', 'x').repeat(900)}`,
    'lines that may be delimiters, below many fields': (size) =>
      `${inMixed}${`--b\r\nContent-Type: text/plain\r\n${'X-a:\r\n'.repeat(16_000)}${'--c\r\n'.repeat(20)}\r\nx\r\n`.repeat(size / 100_000)}`,
    'folded header lines': (size) => `${head}X: y${'\r\n '.repeat(Math.min(size, 40_000) / 3)}\r\n\r\nx`,
    parameters: (size) =>
      `${head}Content-Type: text/plain${';a*1=x'.repeat(Math.min(size, 900_000) / 6)}\r\n\r\nx`,
  };
  for (const none of [';', '; ', 'x="y"z;', 'x="\\";;', 'x=y ', '();', '(;', '(a;', '"'])
    cases[`what is no parameter: ${none}`] = (size) =>
      `${inMixed}${lines('--b', `Content-Type: image/png; ${none.repeat(16_000 / none.length)}`, '', 'x').repeat(size / 16_000)}`;
  for (const [field, odd] of [
    ['X', '\r'],
    ['Content-Transfer-Encoding', '('],
  ] as const)
    cases[`what stands in ${field}: ${JSON.stringify(odd)}`] = (size) =>
      `${head}${field}: ${odd.repeat(size / 16)}\r\n\r\nx`;
  const uuencoded = 'Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 a\r\n';
  for (const [what, above] of [
    ['a text', '\r\n'],
    ['uuencoded data', uuencoded],
  ] as const)
    cases[`CRs in ${what}`] = (size) => `${head}${above}${'\r'.repeat(size / 8)}x\r\n`;
  for (const [name, make] of Object.entries(cases)) {
    test(name, async () => {
      const started = process.cpuUsage();
      await split(make(4_000_000));
      const { user } = process.cpuUsage(started);
      assert.ok(user < 4_000_000, `${user / 1000} ms`);
    });
  }
});

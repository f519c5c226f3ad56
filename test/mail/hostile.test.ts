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

describe('a mail goes raw, whole and with a warning', () => {
  test('with 10,000 parts', async () => {
    const part = lines('--b', 'Content-Type: text/plain', '', 'x');
    await assertRaw(
      `${head}Content-Type: multipart/mixed; boundary=b\r\n\r\n${part.repeat(10_000)}--b--\r\n`,
      /1,000 parts/,
    );
  });

  test('with 10,000 multiparts in each other', async () => {
    let mail = head;
    for (let depth = 0; depth < 10_000; depth++) {
      mail += `Content-Type: multipart/mixed; boundary=b${depth}\r\n\r\n--b${depth}\r\n`;
    }
    await assertRaw(mail, /1,000 parts/);
  });

  test('with a header of more than 1 MiB, in one line or in many', async () => {
    await assertRaw(`${head}X: ${'x'.repeat(1_100_000)}\r\n\r\nbody`, /larger than 1 MiB/);
    await assertRaw(`${head}${'X: y\r\n'.repeat(20_000)}\r\nbody`, /larger than 1 MiB/);
  });

  test('with 100,000 recipients, and its envelope is read all the same', async () => {
    const to = Array.from({ length: 100_000 }, (_, n) => `user${n}@example.com`).join(',\r\n ');
    const source = `${head}To: ${to}\r\n\r\nbody\r\n`;
    await assertRaw(source, /larger than 1 MiB/);
    const { envelope } = await split(source);
    assert.equal(envelope.subject, 'hostile');
    assert.ok(envelope.to?.startsWith('user0@example.com, user1@example.com, '));
    assert.ok((envelope.to?.length ?? 0) > 1000 && (envelope.to?.length ?? 0) <= 1024);
  });

  test('when its multipart names no boundary, or never shows it', async () => {
    await assertRaw(`${head}Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\nlost\r\n--b--\r\n`, /no parts/);
    await assertRaw(
      `${head}Content-Type: multipart/mixed; boundary=other\r\n\r\n--b\r\n\r\nlost\r\n--b--\r\n`,
      /no parts/,
    );
    const inner = lines('--a', '', 'seen', '--a', 'Content-Type: multipart/alternative', '', 'lost', '--a--');
    await assertRaw(`${head}Content-Type: multipart/mixed; boundary=a\r\n\r\n${inner}`, /no parts/);
  });

  test('when its type can only be guessed to be a multipart, which would drop its preamble', async () => {
    const body = 'seen by others\r\n--b\r\n\r\ntext\r\n--b--\r\n';
    await assertRaw(`${head}Content-Type: multipart--/digest; boundary=b\r\n\r\n${body}`, /can’t be read/);
  });

  test('when it has no header', async () => {
    await assertRaw('just some text\r\n', /header/);
    await assertRaw('just some text\r\n\r\nand more\r\n', /header/);
    await assertRaw(Buffer.from('ff00fe0a0d0a1b5b', 'hex'), /header/);
  });

  test('when its text is none that can be decoded', async () => {
    await assertRaw(
      `${head}Content-Transfer-Encoding: base64\r\n\r\n!!!!!\r\n`,
      /declared base64 and is text/,
    );
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

  test('when it holds more text than is held in memory', async () => {
    await assertRaw(`${head}\r\n${'long line of text\r\n'.repeat(1_000_000)}`, /16 MiB/);
  });
});

describe('a mail is split all the same', () => {
  test('with 900 parts, and with 300 multiparts in each other', async () => {
    const part = lines('--b', 'Content-Type: image/png', '', 'x');
    const wide = await split(
      `${head}Content-Type: multipart/mixed; boundary=b\r\n\r\n${part.repeat(900)}--b--\r\n`,
    );
    assert.equal(wide.parts.length, 900);
    let deep = head;
    for (let depth = 0; depth < 300; depth++)
      deep += `Content-Type: multipart/mixed; boundary=b${depth}\r\n\r\n--b${depth}\r\n`;
    assert.equal(seen(await split(`${deep}\r\ninnermost`))[0]?.bytes.toString(), 'innermost');
  });

  test('with 5 MB of unclosed tags, deeply nested html, a zip bomb: all bytes are there', async () => {
    const tags = '<b><div><table>'.repeat(350_000);
    const mail = await split(`${head}Content-Type: text/html\r\n\r\n${tags}`);
    assert.equal(seen(mail)[0]?.bytes.length, tags.length);
    assert.equal(seen(mail)[0]?.contentType, 'text/html; charset=utf-8');
  });

  test('with its end missing', async () => {
    const mail = await split(
      `${head}Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png\r\n\r\nPNG`,
    );
    assert.equal(seen(mail)[0]?.bytes.toString(), 'PNG');
  });

  test('with invalid UTF-8 and unknown charsets', async () => {
    const body = async (type: string, bytes: Buffer) =>
      seen(
        await split(Buffer.concat([Buffer.from(`${head}Content-Type: ${type}\r\n\r\n`), bytes])),
      )[0]?.bytes.toString();
    const invalid = Buffer.from('a\xffb\xfc', 'latin1');
    assert.equal(await body('text/plain; charset=utf-8', invalid), 'aÿbü');
    assert.equal(await body('text/plain', invalid), 'aÿbü');
    assert.equal(await body('text/plain; charset=x-klingon', invalid), 'aÿbü');
    assert.equal(await body('text/plain; charset=utf-7', Buffer.from('+ADw-b+AD4-')), '<b>');
    assert.equal(await body('text/plain; charset=__proto__', invalid), 'aÿbü');
  });

  test('with a delimiter within a header', async () => {
    const source = `${head}Content-Type: multipart/mixed; boundary=b\r\n\r\n${lines('--b', 'Content-Type: text/plain', '--b', '', 'text', '--b--')}`;
    const mail = await split(source);
    assert.equal(mail.warning, undefined);
    assert.equal(seen(mail)[0]?.bytes.toString(), 'text');
    assert.equal(mail.envelope.subject, 'hostile');
  });
});

describe('time grows no faster than the mail', () => {
  const cases: [string, (size: number) => string][] = [
    [
      'lines that look like delimiters',
      (size) =>
        `${head}Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n${'--x\r\n'.repeat(size / 5)}`,
    ],
    [
      'padded base64 quartets',
      (size) =>
        `${head}Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n${'AA=='.repeat(size / 4)}`,
    ],
    [
      'white space in quoted-printable',
      (size) => `${head}Content-Transfer-Encoding: quoted-printable\r\n\r\nx${' '.repeat(size)}x`,
    ],
    ['encoded words', (size) => `${head}To: ${'=?utf-8?Q?'.repeat(Math.min(size, 900_000) / 10)}\r\n\r\nx`],
    ['comments', (size) => `${head}Content-Type: text/plain${'('.repeat(Math.min(size, 900_000))}\r\n\r\nx`],
    ['meta tags', (size) => `${head}Content-Type: text/html\r\n\r\n${'<meta '.repeat(size / 6)}\xff`],
    [
      'attachments that are looked for in the html',
      (size) =>
        `${head}Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n${'cid: '.repeat(size / 5)}\r\n${lines('--b', 'Content-Type: image/png', 'Content-ID: <x>', '', 'x').repeat(900)}`,
    ],
    [
      'file names of encoded words',
      (size) =>
        `${head}Content-Type: multipart/mixed; boundary=b\r\n\r\n${lines('--b', `Content-Disposition: attachment; filename="${'=?a?Q?x?= =?b?Q?x?= '.repeat(size / 20_000)}"`, '', 'x').repeat(900)}`,
    ],
    ['folded header lines', (size) => `${head}X: y${'\r\n '.repeat(Math.min(size, 40_000) / 3)}\r\n\r\nx`],
    [
      'parameters',
      (size) => `${head}Content-Type: text/plain${';a*1=x'.repeat(Math.min(size, 900_000) / 6)}\r\n\r\nx`,
    ],
  ];
  for (const [name, make] of cases) {
    test(name, async () => {
      const started = process.cpuUsage();
      await split(make(4_000_000));
      const { user } = process.cpuUsage(started);
      assert.ok(user < 4_000_000, `${user / 1000} ms`);
    });
  }
});

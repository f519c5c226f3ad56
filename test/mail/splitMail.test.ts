import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { seededRandom } from './build.ts';
import { sampleMails } from './mails.ts';
import { readByMailparser } from './readings.ts';
import { lines, seen, split, splitInBlocks } from './support.ts';

describe('varied mails', () => {
  for (const { name, source, expected } of sampleMails(81, 7)) {
    test(`${name} gives its body and attachments, byte for byte`, async () => {
      const mail = await split(source);
      const parts = seen(mail);
      assert.equal(mail.warning, undefined);
      const body = parts.find((part) => part.kind === 'body');
      assert.equal(body?.bytes.toString(), expected.body);
      assert.equal(body?.contentType, expected.bodyType && `${expected.bodyType}; charset=utf-8`);
      const attachments = parts.filter((part) => part.kind === 'attachment');
      assert.deepEqual(
        attachments.map((part) => ({
          name: part.fileName,
          type: part.contentType.split(';')[0],
          bytes: part.bytes,
        })),
        expected.attachments,
      );
    });
  }

  for (const { name, source } of sampleMails(54, 8)) {
    if (/relatedImage|nested|htmlWithoutCharset/.test(name)) continue;
    test(`${name} holds the same for mailparser`, async () => {
      const { texts, attachments } = await readByMailparser(source);
      const parts = seen(await split(source));
      const body = parts.find((part) => part.kind === 'body');
      assert.equal(body?.bytes.toString() ?? '', texts.find((text) => text !== '') ?? '');
      assert.deepEqual(
        parts.filter((part) => part.kind === 'attachment').map((part) => part.bytes),
        attachments.map((attachment) => attachment.bytes),
      );
    });
  }
});

describe('however the mail is cut into pieces', () => {
  const small = sampleMails(27, 3).filter((mail) => mail.source.length < 1800);
  for (const { name, source } of small) {
    test(`${name} gives the same parts at every split`, async () => {
      const whole = seen(await split(source));
      for (let at = 1; at < source.length; at++) {
        const mail = await splitInBlocks([source.subarray(0, at), source.subarray(at)], 1);
        assertSame(seen(mail), whole, at);
      }
    });

    test(`${name} gives the same parts byte by byte`, async () => {
      const bytes = Array.from(source, (byte) => Buffer.of(byte));
      assert.deepEqual(seen(await splitInBlocks(bytes, 1)), seen(await split(source)));
    });
  }

  test('larger mails give the same parts in pieces of any size', async () => {
    const random = seededRandom(11);
    for (const { name, source } of sampleMails(54, 5)) {
      const whole = seen(await split(source));
      for (let round = 0; round < 4; round++) {
        const pieces: Buffer[] = [];
        for (let at = 0; at < source.length; ) {
          const length = 1 + Math.floor(random() ** 3 * (round === 0 ? 9000 : 2000));
          pieces.push(source.subarray(at, at + length));
          at += length;
        }
        assert.deepEqual(seen(await splitInBlocks(pieces, 1)), whole, name);
      }
    }
  });

  function assertSame(parts: ReturnType<typeof seen>, whole: ReturnType<typeof seen>, at: number) {
    const same =
      parts.length === whole.length &&
      parts.every(
        (part, index) => whole[index]?.bytes.equals(part.bytes) && whole[index]?.fileName === part.fileName,
      );
    assert.ok(same, `split at ${at}`);
  }
});

describe('the body', () => {
  const alternative = lines(
    'Content-Type: multipart/alternative; boundary=b',
    '',
    '--b',
    'Content-Type: text/plain',
    '',
    'plain',
    '--b',
    'Content-Type: text/html',
    '',
    '<p>html</p>',
    '--b--',
  );

  test('is the plain text for text, the html one for html', async () => {
    assert.deepEqual(texts(await split(alternative)), ['text/plain; charset=utf-8 body.txt plain']);
    const html = await split(alternative, { bodyFormat: 'html' });
    assert.deepEqual(texts(html), ['text/html; charset=utf-8 body.html <p>html</p>']);
  });

  test('is the text that there is when there is only one', async () => {
    const html = lines('Content-Type: text/html', '', '<p>only</p>');
    assert.deepEqual(texts(await split(html)), ['text/html; charset=utf-8 body.html <p>only</p>\n']);
    const plain = await split(lines('Subject: x', '', 'only'), { bodyFormat: 'html' });
    assert.deepEqual(texts(plain), ['text/plain; charset=utf-8 body.txt only\n']);
  });

  test('is html when the plain alternative is empty', async () => {
    const mail = await split(alternative.replace('\r\nplain\r\n', '\r\n \r\n'));
    assert.deepEqual(texts(mail), ['text/html; charset=utf-8 body.html <p>html</p>']);
  });

  test('is the raw mail, byte for byte, for eml, with the attachments besides', async () => {
    const source = mixed('Content-Type: text/plain', 'hello', 'Content-Type: image/png', 'PNG');
    const parts = seen(await split(source, { bodyFormat: 'eml' }));
    assert.deepEqual(
      parts.map(({ kind, contentType, fileName }) => [kind, contentType, fileName]),
      [
        ['body', 'message/rfc822', 'mail.eml'],
        ['attachment', 'image/png', 'attachment-2.png'],
      ],
    );
    assert.equal(parts[0]?.bytes.toString(), source);
    const alone = seen(await split(source, { bodyFormat: 'eml', sendAttachments: false }));
    assert.equal(alone.length, 1);
    assert.equal(alone[0]?.bytes.toString(), source);
  });

  test('joins the texts of a mail, as a list that adds a footer has it', async () => {
    const plain = mixed('Content-Type: text/plain', 'one', 'Content-Type: text/plain', 'footer');
    assert.deepEqual(texts(await split(plain)), ['text/plain; charset=utf-8 body.txt one\nfooter']);
    const html = mixed('Content-Type: text/html', '<p>one</p>', 'Content-Type: text/plain', 'a < b');
    const joined = '<p>one</p><br/>\n<pre style="white-space: pre-wrap">a &lt; b</pre>';
    assert.deepEqual(texts(await split(html)), [`text/html; charset=utf-8 body.html ${joined}`]);
  });

  test('leaves an html text behind a plain one to be an attachment', async () => {
    const mail = await split(
      mixed('Content-Type: text/plain', 'one', 'Content-Type: text/html', '<p>two</p>'),
    );
    assert.deepEqual(texts(mail), [
      'text/plain; charset=utf-8 body.txt one',
      'text/html attachment-2.html <p>two</p>',
    ]);
  });

  test('takes no text file that is shown behind it', async () => {
    const file = 'Content-Type: text/plain; name=log.txt\r\nContent-Disposition: inline; filename=log.txt';
    const mail = await split(mixed('Content-Type: text/plain', 'see', file, 'log'));
    assert.deepEqual(texts(mail), ['text/plain; charset=utf-8 body.txt see', 'text/plain log.txt log']);
  });

  test('unfolds flowed text', async () => {
    const mail = await split(lines('Content-Type: text/plain; format=flowed', '', 'one ', 'two', ' >x'));
    assert.deepEqual(texts(mail), ['text/plain; charset=utf-8 body.txt one two\n>x\n']);
  });

  test('keeps its cid links', async () => {
    const mail = await split(lines('Content-Type: text/html', '', '<img src="cid:a@b">'));
    assert.deepEqual(texts(mail), ['text/html; charset=utf-8 body.html <img src="cid:a@b">\n']);
  });
});

describe('what the rules leave out', () => {
  const source = mixed('Content-Type: text/plain', 'hello', 'Content-Type: image/png', 'PNG');

  test('no body, no attachments, neither', async () => {
    assert.deepEqual(texts(await split(source, { sendBody: false })), ['image/png attachment-1.png PNG']);
    assert.deepEqual(texts(await split(source, { sendAttachments: false })), [
      'text/plain; charset=utf-8 body.txt hello',
    ]);
    assert.deepEqual(texts(await split(source, { sendBody: false, sendAttachments: false })), []);
  });

  test('a mail with attachments only has no body message', async () => {
    const mail = lines('Content-Type: image/png; name=a.png', '', 'PNG');
    assert.deepEqual(texts(await split(mail, { sendAttachments: false })), []);
    assert.deepEqual(texts(await split(mail)), ['image/png a.png PNG\r\n']);
  });

  test('parts that the html shows go only when wanted', async () => {
    const shown = mixed(
      'Content-Type: text/html',
      '<img src="cid:x">',
      'Content-Type: image/png\r\nContent-ID: <x>',
      'PNG',
    ).replace('mixed', 'related');
    assert.equal((await split(shown)).parts.length, 1);
    assert.equal((await split(shown, { inlineAttachments: true })).parts.length, 2);
    const notShown = shown.replace('cid:x', 'http://x');
    assert.equal((await split(notShown)).parts.length, 2);
  });
});

describe('attachments', () => {
  test('are of the type that the mail declares, not of one guessed from the name', async () => {
    const types = [
      ['Content-Type: application/octet-stream; name=a.pdf', 'application/octet-stream'],
      [
        'Content-Type: Text/Calendar; method=REQUEST; charset="utf-8"; name=x.ics',
        'text/calendar; method=REQUEST; charset=utf-8',
      ],
      ['Content-Disposition: attachment; filename=a.pdf', 'application/octet-stream'],
      ['Content-Type: nonsense; name=a.pdf', 'text/plain'],
      ['Content-Type: image/x; a="\x01"; b="=?utf-8?Q?x=0D=0Ay?="', 'image/x; b="=?utf-8?Q?x=0D=0Ay?="'],
      [
        'Content-Type: application/x-y; x-unix-mode=0644; X-Mac-Type="50 44"; filename=a',
        'application/x-y; x-unix-mode=0644; x-mac-type="50 44"',
      ],
      [
        `Content-Type: application/x-y; a=${'v'.repeat(300)}; b=${'v'.repeat(1000)}; c=d`,
        `application/x-y; a=${'v'.repeat(300)}; c=d`,
      ],
      ['Content-Type: application/ms-tnef; name=winmail.dat', 'application/ms-tnef'],
    ];
    for (const [fields = '', type] of types) {
      const mail = await split(mixed('Content-Type: text/plain', 'x', fields, 'bytes'));
      assert.equal(mail.parts[1]?.contentType, type, fields);
    }
  });

  test('of a delivery report keep their form', async () => {
    const report = mixed(
      'Content-Type: text/plain',
      'failed',
      'Content-Type: message/delivery-status',
      'Status: 5.1.1',
    );
    assert.deepEqual(texts(await split(report)), [
      'text/plain; charset=utf-8 body.txt failed',
      'message/delivery-status attachment-2.txt Status: 5.1.1',
    ]);
  });

  test('are counted behind the body', async () => {
    const mail = await split(mixed('Content-Type: image/png', 'PNG', 'Content-Type: text/plain', 'text'));
    assert.deepEqual(texts(mail), [
      'text/plain; charset=utf-8 body.txt text',
      'image/png attachment-2.png PNG',
    ]);
  });
});

function mixed(firstFields: string, first: string, secondFields: string, second: string): string {
  return lines(
    'Content-Type: multipart/mixed; boundary=m',
    '',
    '--m',
    firstFields,
    '',
    first,
    '--m',
    secondFields,
    '',
    second,
    '--m--',
  );
}

function texts(mail: Awaited<ReturnType<typeof split>>): string[] {
  return seen(mail).map((part) => `${part.contentType} ${part.fileName} ${part.bytes}`);
}

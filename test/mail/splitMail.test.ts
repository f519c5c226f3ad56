import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { sampleMails } from './mails.ts';
import {
  body,
  cut,
  htmlBody,
  lines,
  mixed,
  multipart,
  part,
  seen,
  shown,
  split,
  splitInPieces,
} from './support.ts';

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
});

describe('however the mail is cut into pieces', () => {
  const small = sampleMails(27, 3).filter((mail) => mail.source.length < 1800);
  for (const { name, source } of small) {
    test(`${name} gives the same parts at every split`, async () => {
      const whole = seen(await split(source));
      for (let at = 1; at < source.length; at++) {
        const mail = await splitInPieces([source.subarray(0, at), source.subarray(at)]);
        assert.deepEqual(seen(mail), whole, `split at ${at}`);
      }
    });

    test(`${name} gives the same parts byte by byte`, async () => {
      const bytes = Array.from(source, (byte) => Buffer.of(byte));
      assert.deepEqual(seen(await splitInPieces(bytes)), seen(await split(source)));
    });
  }

  test('larger mails give the same parts in pieces of any size', async () => {
    const mail = fc.constantFrom(...sampleMails(54, 5));
    const places = fc.array(fc.nat(), { maxLength: 200, size: 'max' });
    await fc.assert(
      fc.asyncProperty(mail, places, async ({ name, source }, at) => {
        assert.deepEqual(seen(await splitInPieces(cut(source, at))), seen(await split(source)), name);
      }),
      { numRuns: 200 },
    );
  });
});

describe('the body', () => {
  test('is the plain text for text, the html one for html', async () => {
    const mail = multipart('alternative', part('text/plain', 'plain'), part('text/html', '<p>html</p>'));
    assert.deepEqual(shown(await split(mail)), [body('plain')]);
    assert.deepEqual(shown(await split(mail, { bodyFormat: 'html' })), [htmlBody('<p>html</p>')]);
  });

  test('is the text that there is when there is only one', async () => {
    assert.deepEqual(shown(await split(part('text/html', '<p>only</p>'))), [htmlBody('<p>only</p>')]);
    const plain = await split(lines('Subject: x', '', 'only'), { bodyFormat: 'html' });
    assert.deepEqual(shown(plain), [body('only\n')]);
  });

  test('is the raw mail, byte for byte, for eml, with the attachments besides', async () => {
    const source = mixed(part('text/plain', 'hello'), part('image/png', 'PNG'));
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
    assert.deepEqual(
      alone.map(({ bytes }) => bytes.toString()),
      [source],
    );
  });
});

describe('what the rules leave out', () => {
  const source = mixed(part('text/plain', 'hello'), part('image/png', 'PNG'));

  test('no body, no attachments, neither', async () => {
    const sent = async (rules: object) => shown(await split(source, rules));
    assert.deepEqual(await sent({ sendBody: false }), ['attachment image/png attachment-1.png "PNG"']);
    assert.deepEqual(await sent({ sendAttachments: false }), [body('hello')]);
    assert.deepEqual(await sent({ sendBody: false, sendAttachments: false }), []);
  });

  test('parts that the html shows go only when wanted', async () => {
    const mail = multipart(
      'related',
      part('text/html', '<img src="cid:x">'),
      part('image/png', 'PNG', 'Content-ID: <x>\r\n'),
    );
    assert.equal((await split(mail)).parts.length, 1);
    assert.equal((await split(mail, { inlineAttachments: true })).parts.length, 2);
    assert.equal((await split(mail.replace('cid:x', 'http://x'))).parts.length, 2);
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
      const mail = await split(mixed(part('text/plain', 'x'), `${fields}\r\n\r\nbytes`));
      assert.equal(mail.parts[1]?.contentType, type, fields);
    }
  });

  test('of a delivery report keep their form', async () => {
    const report = mixed(part('text/plain', 'failed'), part('message/delivery-status', 'Status: 5.1.1'));
    assert.deepEqual(shown(await split(report)), [
      body('failed'),
      'attachment message/delivery-status attachment-2.txt "Status: 5.1.1"',
    ]);
  });

  test('are counted behind the body', async () => {
    const mail = await split(mixed(part('image/png', 'PNG'), part('text/plain', 'text')));
    assert.deepEqual(shown(mail), [body('text'), 'attachment image/png attachment-2.png "PNG"']);
  });
});

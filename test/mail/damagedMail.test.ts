import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { base64Lines, quotedPrintable } from './encode.ts';
import { sampleMails } from './mails.ts';
import { cut, places, reference, seen, split, splitInBlocks } from './support.ts';

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

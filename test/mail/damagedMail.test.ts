import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { seededRandom } from './build.ts';
import { base64Lines, quotedPrintable } from './encode.ts';
import { applyDamage, damageKinds, damageTexts, findLost, tokenMail } from './law.ts';
import { cut, mixed, part, places, seen, split, splitInPieces } from './support.ts';

describe('what stands behind the end of an attachment’s data', () => {
  const base64 = 'Content-Transfer-Encoding: base64\r\n';
  const damaged = `${base64Lines(Buffer.alloc(100, 7))}\r\nfooter of a list\r\n`;
  const filter = { attachmentFilter: () => true };
  for (const [what, attachment, rules] of [
    ['is sent at once', part('application/pdf; name=a.pdf', damaged, base64), {}],
    ['waits for its name', part('application/pdf', damaged, base64), filter],
    ['waits for the text that may show it', part('image/png', damaged, `${base64}Content-ID: <a>\r\n`), {}],
    ['is to be unpacked', part('application/ms-tnef; name=winmail.dat', damaged, base64), {}],
  ] as const) {
    test(`is left out with a warning, of one that ${what}`, async () => {
      const mail = await split(mixed(part('text/plain', 'text'), attachment), rules);
      assert.deepEqual(seen(mail)[1]?.bytes, Buffer.alloc(100, 7));
      assert.match(mail.warning ?? '', /What stood behind the end of an attachment’s data was left out/);
    });
  }
});

describe('the parser', () => {
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
        assert.ok(whole.parts.length > 0);
        assert.deepEqual(seen(await splitInPieces(cut(source, at))), seen(whole));
      }),
      { numRuns: 1500 },
    );
  });

  // The same mails each time; `npm run conformance -- --damage` takes others.
  test('loses nothing of a damaged mail that mailparser, postal-mime or RFC 2046 find, or sends it raw', async () => {
    const damage = fc.record({
      kind: fc.constantFrom(...damageKinds),
      at: fc.nat(20_000),
      length: fc.integer({ min: 1, max: 60 }),
      text: fc.constantFrom(...damageTexts),
    });
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.array(damage, { maxLength: 3 }), async (seed, damages) => {
        const mail = damages.reduce(applyDamage, tokenMail(seededRandom(seed)));
        assert.deepEqual(await findLost(mail), [], mail.toString('latin1'));
      }),
      { numRuns: 1500, seed: 15 },
    );
  });

  test('would notice a loss', async () => {
    const parts = '--b\r\n\r\ntk00001q\r\n--b--\r\n';
    const mail = `Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n${parts}`;
    assert.deepEqual(await findLost(Buffer.from(mail)), []);
    const lost = await findLost(Buffer.from(mail), Buffer.from(mail.replace('tk00001q', 'gone')));
    assert.deepEqual(lost, ['tk00001q (mailparser)', 'tk00001q (postal-mime)', 'tk00001q (RFC 2046)']);
  });

  test('gives back attachments byte for byte', async () => {
    const attachment = fc.record({
      bytes: fc.uint8Array({ maxLength: 2000, size: 'max' }),
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
        const mail = seen(await splitInPieces(cut(source, at))).filter((part) => part.kind === 'attachment');
        assert.deepEqual(
          mail.map((part) => part.bytes),
          attachments.map(({ bytes }) => Buffer.from(bytes)),
        );
      }),
      { numRuns: 300 },
    );
  });
});

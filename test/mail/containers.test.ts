import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { decompressRtf, readRtf } from '../../shared/mail/rtf.ts';
import { openSignedData } from '../../shared/mail/signedData.ts';
import { unpackTnef } from '../../shared/mail/tnef.ts';
import { base64Lines, uuencode } from './encode.ts';
import { body, head, htmlBody, mixed, multipart, part, seen, shown, split, turnsDuring } from './support.ts';

/** An attribute of a TNEF file ([MS-OXTNEF], 2.1.3). */
function attribute(level: 1 | 2, id: number, data: Buffer): Buffer {
  const header = Buffer.alloc(9);
  header.writeUInt8(level);
  header.writeUInt32LE(id, 1);
  header.writeUInt32LE(data.length, 5);
  const checksum = Buffer.alloc(2);
  checksum.writeUInt16LE(data.reduce((sum, byte) => (sum + byte) & 0xffff, 0));
  return Buffer.concat([header, data, checksum]);
}

const uint32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

/** A list of MAPI properties, each with one variable value. */
function properties(values: readonly [type: number, id: number, value: Buffer][]): Buffer {
  const encoded = values.flatMap(([type, id, value]) => {
    const key = Buffer.alloc(4);
    key.writeUInt16LE(type);
    key.writeUInt16LE(id, 2);
    return [key, uint32(1), uint32(value.length), value, Buffer.alloc((4 - (value.length % 4)) % 4)];
  });
  return Buffer.concat([uint32(values.length), ...encoded]);
}

const tnef = (...attributes: Buffer[]) =>
  Buffer.concat([uint32(0x223e9f78), Buffer.from([1, 0]), ...attributes]);
const unicode = (text: string) => Buffer.from(`${text}\0`, 'utf16le');
const file = (name: string, data: Buffer) =>
  Buffer.concat([
    attribute(2, 0x9002, Buffer.alloc(14)),
    attribute(2, 0x8010, Buffer.from('SHORT~1.PDF\0')),
    attribute(2, 0x800f, data),
    attribute(
      2,
      0x9005,
      properties([
        [0x001f, 0x3707, unicode(name)],
        [0x001e, 0x370e, Buffer.from('application/pdf\0')],
      ]),
    ),
    attribute(2, 0x8012, Buffer.alloc(14)),
  ]);

const rtfOf = (text: string) => {
  const raw = Buffer.from(text, 'latin1');
  return Buffer.concat([uint32(raw.length + 12), uint32(raw.length), Buffer.from('MELA'), uint32(0), raw]);
};
const withRtf = (rtf: Buffer) => attribute(1, 0x9003, properties([[0x0102, 0x1009, rtf]]));
const encapsulated =
  "{\\rtf1\\ansi\\ansicpg1252\\fromhtml1 {\\fonttbl{\\f0 \\'fcArial;}}\r\n{\\*\\htmltag64 <p>}\\htmlrtf {\\b \\htmlrtf0 Gr\\'fc\\u223 ?e \\{x\\}{\\*\\htmltag84 &nbsp;}\\htmlrtf }\\htmlrtf0 {\\*\\htmltag72 </p>}}";

const inBase64 = 'Content-Transfer-Encoding: base64\r\n';
const winmail = (bytes: Buffer, type = 'application/ms-tnef') =>
  part(`${type}; name=winmail.dat`, base64Lines(bytes), inBase64);

describe('a winmail.dat', () => {
  const whole = tnef(file('Übersicht.pdf', Buffer.from('PDF')), withRtf(rtfOf(encapsulated)));
  const pdf = 'attachment application/pdf Übersicht.pdf "PDF"';

  test('gives its attachments, in its place, and its text where the mail has no other', async () => {
    const parts = async (...beside: string[]) => shown(await split(mixed(...beside)));
    const own = htmlBody('<p>Grüße {x}&nbsp;</p>');
    assert.deepEqual(await parts(part('text/plain', 'text'), winmail(whole)), [body('text'), pdf]);
    assert.deepEqual(await parts(part('text/plain', ' '), winmail(whole)), [own, pdf]);
    assert.deepEqual(await parts(winmail(whole, 'application/octet-stream')), [own, pdf]);
  });

  test('stays as it is where that is wanted, or it can’t be unpacked', async () => {
    const asItIs = `attachment application/ms-tnef winmail.dat`;
    assert.ok(shown(await split(mixed(winmail(whole)), { unpackWinmail: false }))[0]?.startsWith(asItIs));
    for (const damaged of [
      whole.subarray(0, whole.length - 20),
      Buffer.from('no TNEF'),
      tnef(withRtf(Buffer.from('broken'))),
      tnef(file('a.pdf', Buffer.from('PDF')), withRtf(Buffer.from('broken'))),
      tnef(attribute(1, 0x800c, Buffer.alloc(8 * 1024 * 1024 + 1, 'x'))),
      tnef(file('x'.repeat(2048), Buffer.from('PDF'))),
      tnef(),
    ]) {
      const mail = await split(mixed(winmail(damaged)));
      assert.deepEqual(
        seen(mail).map(({ fileName, bytes }) => [fileName, bytes.equals(damaged)]),
        [['winmail.dat', true]],
      );
      assert.match(mail.warning ?? '', /winmail/);
    }
  });

  test('goes along as it is where it is a meeting, a contact or a task, which is no text', async () => {
    const meeting = 'IPM.Microsoft Schedule.MtgReq';
    const pdfFile = file('Übersicht.pdf', Buffer.from('PDF'));
    for (const [name, appointment] of [
      ['its attribute', tnef(attribute(1, 0x8008, Buffer.from(`${meeting}\0`)), pdfFile)],
      [
        'its property',
        tnef(attribute(1, 0x9003, properties([[0x001f, 0x001a, unicode('IPM.Task')]])), pdfFile),
      ],
    ] as const) {
      const [text, first, second, ...more] = seen(
        await split(mixed(part('text/plain', 'text'), winmail(appointment))),
      );
      assert.deepEqual(
        [text?.kind, first?.fileName, second?.fileName, more],
        ['body', 'Übersicht.pdf', 'winmail.dat', []],
        name,
      );
      assert.ok(second?.bytes.equals(appointment), name);
    }
  });

  test('is known by the name that uuencoded data says of itself', async () => {
    const uuencoded = part(
      'application/octet-stream',
      uuencode(tnef(file('Rechnung.pdf', Buffer.from('PDF'))), 'winmail.dat'),
      'Content-Transfer-Encoding: x-uuencode\r\n',
    );
    assert.deepEqual(shown(await split(`${head}${uuencoded}`)), [
      'attachment application/pdf Rechnung.pdf "PDF"',
    ]);
  });

  test('is unpacked with a line end behind it', async () => {
    const bytes = Buffer.concat([tnef(file('a.pdf', Buffer.from('PDF'))), Buffer.from('\r\n')]);
    assert.deepEqual(shown(await split(`${head}${winmail(bytes)}`)), [
      'attachment application/pdf a.pdf "PDF"',
    ]);
  });

  test('gives its text beside that of another one', async () => {
    const text = (written: string) => winmail(tnef(attribute(1, 0x800c, Buffer.from(written))));
    const parts = async (...files: string[]) => shown(await split(mixed(...files)));
    assert.deepEqual(await parts(winmail(tnef(file('Übersicht.pdf', Buffer.from('PDF')))), text('later')), [
      body('later'),
      pdf,
    ]);
    assert.deepEqual(await parts(text('one'), text('two')), [body('one\ntwo')]);
  });

  test('is within the limits of the mail with all that it holds', async () => {
    const warningOf = async (bytes: Buffer, times: number) =>
      (await split(mixed(...Array.from({ length: times }, () => winmail(bytes))))).warning ?? '';
    const files = tnef(...Array.from({ length: 500 }, () => file('a.pdf', Buffer.from('PDF'))));
    assert.equal(await warningOf(files, 1), '');
    assert.match(await warningOf(files, 3), /more than 1,000 parts/);
    const text = tnef(attribute(1, 0x800c, Buffer.alloc(6 * 1024 * 1024, 'x')));
    assert.equal(await warningOf(text, 2), '');
    assert.match(await warningOf(text, 3), /its text is larger than 16 MiB/);
  });

  test('is filtered and left out as other attachments are', async () => {
    const mail = mixed(part('text/plain', 'text'), winmail(whole));
    assert.equal((await split(mail, { attachmentFilter: (name) => !name.endsWith('.pdf') })).parts.length, 1);
    assert.equal((await split(mail, { sendAttachments: false })).parts.length, 1);
  });

  test('has names in its code page', async () => {
    const named = tnef(
      attribute(1, 0x9007, Buffer.concat([uint32(1251), uint32(0)])),
      attribute(2, 0x9002, Buffer.alloc(14)),
      attribute(2, 0x8010, Buffer.from('d1f7e5f22e70646600', 'hex')),
      attribute(2, 0x800f, Buffer.from('x')),
    );
    const unpacked = await unpackTnef(named);
    assert.equal(unpacked?.attachments[0]?.fileName, 'Счет.pdf');
  });

  test('gives its text from whichever property holds it, in the charset that it says', async () => {
    const [plain, html] = [Buffer.from('d1f7e5f2', 'hex'), Buffer.from('3c703ed1f7e5f2', 'hex')];
    const codePage = Buffer.from('0300de3f', 'hex');
    const binary = properties([[0x0102, 0x1013, html]]).subarray(4);
    const bodies: [Buffer, string][] = [
      [attribute(1, 0x800c, plain), body('Счет')],
      [attribute(1, 0x9003, properties([[0x001f, 0x1000, unicode('Счет')]])), body('Счет')],
      [attribute(1, 0x9003, properties([[0x0102, 0x1013, Buffer.from('<p>Счет')]])), htmlBody('<p>Счет')],
      [attribute(1, 0x9003, properties([[0x001f, 0x1013, unicode('<p>Счет')]])), htmlBody('<p>Счет')],
      [attribute(1, 0x9003, Buffer.concat([uint32(2), codePage, uint32(1251), binary])), htmlBody('<p>Счет')],
    ];
    bodies.push([withRtf(rtfOf('{\\rtf1}')), body('')]);
    for (const [attributes, sent] of bodies) {
      const bytes = tnef(attribute(1, 0x9007, Buffer.concat([uint32(1251), uint32(0)])), attributes);
      assert.deepEqual(shown(await split(`${head}${winmail(bytes)}`)), [sent]);
    }
  });

  test('gives an attachment that is a property, beside ones that have names of their own', async () => {
    const [number, value] = [uint32(0), Buffer.concat([uint32(1), uint32(4), Buffer.from('own\0')])];
    const named = (name: Buffer) =>
      Buffer.concat([Buffer.from('1e000080', 'hex'), Buffer.alloc(16), name, value]);
    const own = [
      named(Buffer.concat([number, uint32(0x8554)])),
      named(Buffer.concat([uint32(1), uint32(4), unicode('n')])),
    ];
    const data = properties([
      [0x0102, 0x3701, Buffer.from('PDF')],
      [0x001f, 0x3707, unicode('a.pdf')],
    ]).subarray(4);
    const attached = attribute(2, 0x9005, Buffer.concat([uint32(4), ...own, data]));
    const unpacked = await unpackTnef(tnef(attribute(2, 0x9002, Buffer.alloc(14)), attached));
    assert.deepEqual(
      unpacked?.attachments.map(({ fileName, bytes }) => [fileName, bytes.toString()]),
      [['a.pdf', 'PDF']],
    );
  });

  test('keeps an embedded message as it is', async () => {
    const inner = tnef(file('a.pdf', Buffer.from('x')));
    const outer = tnef(
      attribute(2, 0x9002, Buffer.alloc(14)),
      attribute(
        2,
        0x9005,
        properties([
          [0x000d, 0x3701, Buffer.concat([Buffer.alloc(16), inner])],
          [0x001f, 0x3001, unicode('Re: x')],
        ]),
      ),
    );
    const [attachment] = (await unpackTnef(outer))?.attachments ?? [];
    assert.equal(attachment?.mediaType, 'application/ms-tnef');
    assert.ok(attachment?.bytes.equals(inner));
  });

  test('whatever is wrong with it, is unpacked or not, and never throws', async () => {
    const places = fc.array(fc.record({ at: fc.nat(), byte: fc.nat(255) }), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(places, fc.nat(whole.length), async (changes, length) => {
        const damaged = Buffer.from(whole.subarray(0, length));
        for (const { at, byte } of changes) if (length > 0) damaged[at % length] = byte;
        const found = await unpackTnef(damaged);
        const bytes = found?.attachments.reduce((sum, each) => sum + each.bytes.length, 0) ?? 0;
        assert.ok(bytes <= damaged.length);
      }),
      { numRuns: 5000 },
    );
  });
});

describe('compressed RTF', () => {
  test('is decompressed as its document says', () => {
    // The examples of [MS-OXRTFCP], 3.1.1.
    const simple = Buffer.from(
      '2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c0900206277 05b06c647d0a800fa0'.replaceAll(
        ' ',
        '',
      ),
      'hex',
    );
    assert.equal(decompressRtf(simple)?.toString(), '{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n');
  });

  test('is refused where it is damaged or would grow without bound', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (array) => {
        const bytes = Buffer.concat([
          uint32(array.length + 12),
          uint32(1000),
          Buffer.from('LZFu'),
          uint32(0),
          array,
        ]);
        assert.ok((decompressRtf(bytes)?.length ?? 1000) === 1000);
      }),
    );
    assert.equal(
      decompressRtf(Buffer.concat([uint32(20), uint32(0x7fffffff), Buffer.from('LZFu'), Buffer.alloc(20)])),
      undefined,
    );
  });

  test('gives its text, in any code page', async () => {
    const rtf =
      "{\\rtf1\\ansi\\ansicpg1251{\\fonttbl{\\f0 x;}}\\f0\\'cf\\'f0\\par \\u1090?\\tab{\\*\\hidden y}z}";
    assert.deepEqual(await readRtf(Buffer.from(rtf)), { mediaType: 'text/plain', text: 'Пр\nт\tz' });
    const pairs = "{\\rtf1\\ansicpg932 \\'83\\\\\\'83\\{ \\uc2\\u8364 \\~ab\\u8364\\{\\'80c}";
    assert.equal((await readRtf(Buffer.from(pairs))).text, 'ソボ €b€c');
  });

  for (const [what, filler] of [
    ['letters', 'a'],
    ['pieces of two letters', 'aa\\~'],
    ['groups in each other', '{'],
  ])
    test(`of eight MiB takes little of the heap: ${what}`, async () => {
      const module = JSON.stringify(new URL('../../shared/mail/rtf.ts', import.meta.url).href);
      const script = `
        import { readRtf } from ${module};
        try {
          await readRtf(Buffer.alloc(${8 * 1_048_576}, ${JSON.stringify(filler)}));
        } catch (error) {
          if (!(error instanceof RangeError)) throw error;
        }`;
      const flags = ['--max-old-space-size=64', '--input-type=module', '-e'];
      await promisify(execFile)(process.execPath, [...flags, script]);
    });

  test('lets others have their turn while it is read', async () => {
    const turns = await turnsDuring(() => readRtf(Buffer.alloc(1_048_576, 'aa\\~')));
    assert.ok(turns > 2, `${turns} turns`);
  });
});

/** A BER element with a definite length. */
function ber(tag: number, ...contents: Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const length =
    content.length < 0x80
      ? Buffer.of(content.length)
      : Buffer.of(0x82, content.length >> 8, content.length & 0xff);
  return Buffer.concat([Buffer.of(tag), length, content]);
}

/** As senders that stream write it: without a length, up to the end-of-contents. */
const streamed = (tag: number, ...contents: Buffer[]) =>
  Buffer.concat([Buffer.of(tag, 0x80), ...contents, Buffer.of(0, 0)]);

function signedData(content: Buffer | undefined, element = ber, contentType = '2a864886f70d010701'): Buffer {
  const octets =
    content &&
    (element === ber
      ? ber(0x04, content)
      : element(0x24, ber(0x04, content.subarray(0, 10)), ber(0x04, content.subarray(10))));
  return around(octets, element, contentType);
}

function around(octets: Buffer | undefined, element = ber, contentType = '2a864886f70d010701'): Buffer {
  const encapsulated = element(
    0x30,
    ber(0x06, Buffer.from(contentType, 'hex')),
    ...(octets ? [element(0xa0, octets)] : []),
  );
  const signed = element(0x30, ber(0x02, Buffer.of(1)), ber(0x31), encapsulated, ber(0x31));
  return element(0x30, ber(0x06, Buffer.from('2a864886f70d010702', 'hex')), element(0xa0, signed));
}

describe('a mail that S/MIME signs as a whole', () => {
  const inner = Buffer.from(
    multipart('mixed', part('text/plain', 'signed'), part('application/pdf; name=a.pdf', 'PDF')),
  );
  const smime = (bytes: Buffer, type = 'signed-data') =>
    part(`application/pkcs7-mime; smime-type=${type}; name=smime.p7m`, base64Lines(bytes), inBase64);

  for (const [name, element] of [
    ['in one piece', ber],
    ['streamed', streamed],
  ] as const)
    test(`gives the mail inside, unverified, and says so: ${name}`, async () => {
      const declared = smime(signedData(inner, element));
      const asOctets = declared.replace(/application[^;]*; smime-type[^;]*/, 'application/octet-stream');
      for (const each of [declared, asOctets]) {
        const mail = await split(`${head}${each}`);
        assert.deepEqual(shown(mail), [body('signed'), 'attachment application/pdf a.pdf "PDF"']);
        assert.equal(mail.unverifiedSignature, true);
      }
    });

  test('stays as it is when it is encrypted, has no content, or is damaged', async () => {
    const whole = signedData(inner);
    for (const [bytes, type] of [
      [whole, 'enveloped-data'],
      [signedData(undefined), 'signed-data'],
      [signedData(inner, ber, '2a864886f70d010703'), 'signed-data'],
      [whole.subarray(0, whole.length - 200), 'signed-data'],
      [Buffer.from('no BER'), 'signed-data'],
    ] as const) {
      const mail = await split(`${head}${smime(bytes, type)}`);
      assert.deepEqual(
        seen(mail).map(({ fileName, bytes: sent }) => [fileName, sent.equals(bytes)]),
        [['smime.p7m', true]],
      );
      assert.equal(mail.unverifiedSignature, undefined);
    }
  });

  test('is no signed file: that keeps its bytes and its name, however it is declared', async () => {
    for (const content of [
      '<?xml version="1.0"?>\n<invoice/>\n',
      '%PDF-1.7\n\x00',
      'Dear Sir: no mail.\n\nx',
      '',
    ]) {
      const file = signedData(Buffer.from(content, 'latin1'));
      for (const type of ['application/pkcs7-mime', 'application/pkcs7-mime; smime-type=signed-data']) {
        const more = `${inBase64}Content-Disposition: attachment; filename="invoice.xml.p7m"\r\n`;
        const mail = await split(mixed(part('text/plain', 'see'), part(type, base64Lines(file), more)));
        assert.deepEqual(
          seen(mail).map(({ fileName, bytes }) => [fileName, bytes.equals(file)]),
          [
            ['body.txt', false],
            ['invoice.xml.p7m', true],
          ],
        );
      }
    }
  });

  test('stays as it is when its content comes in more pieces than any signer makes', async () => {
    const pieces = Buffer.alloc(2_000_000, Buffer.from([0x04, 0x00]));
    const octets = (count: number) => streamed(0x24, ber(0x04, inner), pieces.subarray(0, 2 * count));
    assert.equal(openSignedData(around(octets(100_000)))?.equals(inner), true);
    assert.equal(openSignedData(around(octets(1_000_000))), undefined);
  });

  test('a signature in a signature is opened too, and not without end', async () => {
    const whole = shown(await split(`${head}${inner}`));
    let nested = inner;
    for (let depth = 1; depth <= 4; depth++) {
      nested = Buffer.from(smime(signedData(nested)));
      const mail = await split(`${head}${nested}`);
      if (depth <= 3) assert.deepEqual(shown(mail), whole);
      // Each is a copy of the ones within.
      else assert.deepEqual([seen(mail)[0]?.fileName, mail.parts.length], ['smime.p7m', 1]);
    }
  });

  test('never throws, whatever it is', () => {
    const whole = signedData(inner, streamed);
    fc.assert(
      fc.property(fc.nat(whole.length), fc.nat(), fc.nat(255), (length, at, byte) => {
        const damaged = Buffer.from(whole.subarray(0, length));
        if (length > 0) damaged[at % length] = byte;
        openSignedData(damaged);
      }),
      { numRuns: 3000 },
    );
  });
});

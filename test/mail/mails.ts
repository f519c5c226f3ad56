import { base64Lines, encodedWords, extendedParameter, quotedPrintable, windows1251 } from './encode.ts';

/** A mail, and what should come of it when it is split for `text`, with attachments, without inline ones. */
export interface SampleMail {
  readonly name: string;
  readonly source: Buffer;
  readonly expected: {
    readonly body?: string;
    readonly bodyType?: 'text/plain' | 'text/html';
    readonly attachments: readonly SampleAttachment[];
  };
}

export interface SampleAttachment {
  readonly name: string;
  /** The media type, without parameters. */
  readonly type: string;
  readonly bytes: Buffer;
}

/** Numbers from 0 to below 1, the same ones for the same seed (mulberry32). */
export type Random = () => number;

export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * Varied mails, the same ones for the same seed. They pass a mail server unchanged: CRLF, no NUL, and
 * where a mail has LF line ends nothing in it depends on them.
 */
export function sampleMails(count: number, seed: number): SampleMail[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, (_, index) => {
    const make = makers[index % makers.length] ?? plainText;
    return { ...make(random, index), name: `${index}-${make.name}` };
  });
}

type Made = Omit<SampleMail, 'name'>;
type Maker = (random: Random, index: number) => Made;

const words = 'order invoice pallet of the for with delivered Bremen Łódź naïve 42 € 100 – ready'.split(' ');

function between(random: Random, low: number, high: number): number {
  return low + Math.floor(random() * (high - low + 1));
}

function sentence(random: Random, ascii = true): string {
  const from = ascii ? words.filter((word) => /^[\x20-\x7e]+$/.test(word)) : words;
  return Array.from({ length: between(random, 3, 12) }, () => from[between(random, 0, from.length - 1)]).join(
    ' ',
  );
}

function paragraph(random: Random, ascii = true): string {
  return Array.from({ length: between(random, 1, 20) }, () => sentence(random, ascii)).join('\n');
}

export function randomBytes(random: Random, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at++) bytes[at] = Math.floor(random() * 256);
  return bytes;
}

function crlf(text: string): string {
  return text.replaceAll('\n', '\r\n');
}

function mail(index: number, fields: string, body: string | Buffer, subject = `Sample ${index}`): Buffer {
  const head = [
    `From: "Sender ${index}" <sender${index}@example.com>`,
    `To: inbox@example.org, Other <other${index}@example.org>`,
    `Subject: ${subject}`,
    `Message-ID: <sample-${index}@example.com>`,
    `Date: Mon, 02 Nov 2026 ${String(index % 24).padStart(2, '0')}:15:00 +0100`,
    'MIME-Version: 1.0',
    fields,
  ].join('\r\n');
  return Buffer.concat([Buffer.from(`${head}\r\n\r\n`), Buffer.from(body)]);
}

function entity(fields: string, body: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${fields}\r\n\r\n`), Buffer.from(body)]);
}

function multipart(boundary: string, ...parts: Buffer[]): Buffer {
  const pieces = parts.flatMap((part) => [Buffer.from(`--${boundary}\r\n`), part, Buffer.from('\r\n')]);
  return Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)]);
}

const textFields = 'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit';
const htmlFields = 'Content-Type: text/html; charset="UTF-8"\r\nContent-Transfer-Encoding: quoted-printable';

function base64Entity(fields: string, bytes: Buffer, lineLength = 76): Buffer {
  return entity(`${fields}\r\nContent-Transfer-Encoding: base64`, base64Lines(bytes, lineLength));
}

function plain(body: string, attachments: readonly SampleAttachment[] = []): Made['expected'] {
  return { body, bodyType: 'text/plain', attachments };
}

function plainText(random: Random, index: number): Made {
  const text = `${paragraph(random)}\n`;
  return {
    source: mail(index, 'Content-Type: text/plain; charset=us-ascii', crlf(text)),
    expected: plain(text),
  };
}

function noMimeAtAll(random: Random, index: number): Made {
  const text = `${paragraph(random)}\n`;
  const source = Buffer.from(`From: a@example.com\r\nSubject: Old ${index}\r\n\r\n${crlf(text)}`);
  return { source, expected: plain(text) };
}

function latin1Text(_: Random, index: number): Made {
  const text = 'Grüße aus Köln\nÇa va\n';
  const fields = 'Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit';
  return { source: mail(index, fields, Buffer.from(crlf(text), 'latin1')), expected: plain(text) };
}

function latin1QuotedPrintable(random: Random, index: number): Made {
  const text = `Schöne Grüße = gut\n${paragraph(random)}  \nEnde\n`;
  const fields =
    'Content-Type: text/plain; charset=ISO-8859-1\r\nContent-Transfer-Encoding: Quoted-Printable';
  return {
    source: mail(index, fields, quotedPrintable(Buffer.from(crlf(text), 'latin1'))),
    expected: plain(text),
  };
}

function utf8QuotedPrintable(random: Random, index: number): Made {
  const text = `${paragraph(random, false)}\n😀 ${'lang '.repeat(60)}\n`;
  const fields = 'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable';
  return { source: mail(index, fields, quotedPrintable(Buffer.from(crlf(text)))), expected: plain(text) };
}

function utf8Base64(random: Random, index: number): Made {
  const text = `${paragraph(random, false)}\n`;
  const fields = 'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64';
  const source = mail(
    index,
    fields,
    `${base64Lines(Buffer.from(crlf(text)))}\r\n`,
    encodedWords('Größe – 大'),
  );
  return { source, expected: plain(text) };
}

function windows1251Text(_: Random, index: number): Made {
  const text = 'Привет, мир\nСчет готов\n';
  const fields = 'Content-Type: text/plain; charset=windows-1251\r\nContent-Transfer-Encoding: 8bit';
  return { source: mail(index, fields, windows1251(crlf(text))), expected: plain(text) };
}

function gbkBase64(_: Random, index: number): Made {
  const bytes = Buffer.from('c4e3bac3a3accac0bde70d0a', 'hex');
  const fields = 'Content-Type: text/plain; charset=gbk\r\nContent-Transfer-Encoding: base64';
  return { source: mail(index, fields, `${base64Lines(bytes)}\r\n`), expected: plain('你好，世界\n') };
}

function japanese(_: Random, index: number): Made {
  const body = '\x1b$BF|K\\8l%F%9%H\x1b(B ok\r\n';
  const fields = 'Content-Type: text/plain; charset=iso-2022-jp\r\nContent-Transfer-Encoding: 7bit';
  return { source: mail(index, fields, body), expected: plain('日本語テスト ok\n') };
}

function htmlWithoutCharset(_: Random, index: number): Made {
  const html = '<html><head><meta charset="windows-1251"></head><body>Привет</body></html>\n';
  const source = mail(index, 'Content-Type: text/html', windows1251(crlf(html)));
  return { source, expected: { body: html, bodyType: 'text/html', attachments: [] } };
}

function alternative(random: Random, index: number): Made {
  const text = `${paragraph(random, false)}`;
  const parts = multipart(
    `alt_${index}`,
    entity(textFields, crlf(text)),
    entity(htmlFields, quotedPrintable(Buffer.from(`<p class="x">${sentence(random, false)}</p>\r\n`))),
  );
  return {
    source: mail(index, `Content-Type: multipart/alternative; boundary=alt_${index}`, parts),
    expected: plain(text),
  };
}

function relatedImage(random: Random, index: number): Made {
  const html = `<p>Look: <img src="cid:logo${index}@x"></p>`;
  const image = 'Content-Type: image/png; name=logo.png\r\nContent-Disposition: inline; filename=logo.png';
  const parts = multipart(
    `rel-${index}`,
    entity(htmlFields, quotedPrintable(Buffer.from(html))),
    base64Entity(`${image}\r\nContent-ID: <logo${index}@x>`, randomBytes(random, 300)),
  );
  const fields = `Content-Type: multipart/related; type="text/html";\r\n boundary="rel-${index}"`;
  return {
    source: mail(index, fields, parts),
    expected: { body: html, bodyType: 'text/html', attachments: [] },
  };
}

function mixedPdf(random: Random, index: number): Made {
  const text = paragraph(random, false);
  const bytes = randomBytes(random, between(random, 1, 5000));
  const fields = `Content-Type: application/pdf; name="Rechnung ${index}.pdf"`;
  const parts = multipart(
    `=_mix.${index}`,
    entity(textFields, crlf(text)),
    base64Entity(`${fields}\r\nContent-Disposition: attachment; filename="Rechnung ${index}.pdf"`, bytes),
  );
  const source = mail(index, `Content-Type: multipart/mixed; boundary="=_mix.${index}"`, parts);
  return {
    source,
    expected: plain(text, [{ name: `Rechnung ${index}.pdf`, type: 'application/pdf', bytes }]),
  };
}

function nested(random: Random, index: number): Made {
  const text = `${paragraph(random)}\n`;
  const bytes = randomBytes(random, 777);
  const shown = `<b>${sentence(random)}</b><img src="cid:pic@y">`;
  const inner = multipart(
    'inner',
    entity(textFields, crlf(text)),
    entity(
      'Content-Type: multipart/related; boundary="inner-related"',
      multipart(
        'inner-related',
        entity(htmlFields, quotedPrintable(Buffer.from(shown))),
        base64Entity('Content-Type: image/gif\r\nContent-ID: <pic@y>', randomBytes(random, 50)),
      ),
    ),
  );
  const parts = multipart(
    'outer',
    entity('Content-Type: multipart/alternative; boundary="inner"', inner),
    base64Entity(
      'Content-Type: application/zip\r\nContent-Disposition: attachment; filename=a.zip',
      bytes,
      60,
    ),
  );
  const preamble = Buffer.from('This is a multi-part message in MIME format.\r\n');
  const source = mail(
    index,
    'Content-Type: multipart/mixed; boundary=outer',
    Buffer.concat([preamble, parts]),
  );
  return { source, expected: plain(text, [{ name: 'a.zip', type: 'application/zip', bytes }]) };
}

function attachedMail(random: Random, index: number): Made {
  const text = paragraph(random);
  const attached = mail(
    index + 1000,
    'Content-Type: multipart/mixed; boundary=q',
    multipart('q', entity(textFields, 'in')),
  );
  const parts = multipart(
    `fw${index}`,
    entity(textFields, crlf(text)),
    entity('Content-Type: message/rfc822\r\nContent-Disposition: inline', attached),
  );
  const source = mail(index, `Content-Type: multipart/mixed; boundary=fw${index}`, parts);
  const expected = plain(text, [{ name: 'attachment-2.eml', type: 'message/rfc822', bytes: attached }]);
  return { source, expected };
}

function namelessAttachments(random: Random, index: number): Made {
  const jpeg = randomBytes(random, 400);
  const unknown = randomBytes(random, 3);
  const parts = multipart(
    'nn',
    entity(textFields, 'two without a name'),
    base64Entity('Content-Type: image/jpeg', jpeg),
    base64Entity('Content-Disposition: attachment', unknown),
  );
  const attachments = [
    { name: 'attachment-2.jpg', type: 'image/jpeg', bytes: jpeg },
    { name: 'attachment-3.bin', type: 'application/octet-stream', bytes: unknown },
  ];
  const source = mail(index, 'Content-Type: multipart/mixed; boundary="nn"', parts);
  return { source, expected: plain('two without a name', attachments) };
}

function encodedNames(random: Random, index: number): Made {
  const first = randomBytes(random, 100);
  const second = randomBytes(random, 101);
  const long = 'Übersicht über die Bestände im Lager Łódź 大型.xlsx';
  const parts = multipart(
    'names',
    entity(textFields, 'named'),
    base64Entity(
      `Content-Type: application/octet-stream\r\nContent-Disposition: attachment;\r\n ${extendedParameter('filename', long)}`,
      first,
    ),
    base64Entity(`Content-Type: application/msword; name="${encodedWords('Żółć.doc', 'Q')}"`, second),
  );
  const attachments = [
    { name: long, type: 'application/octet-stream', bytes: first },
    { name: 'Żółć.doc', type: 'application/msword', bytes: second },
  ];
  return {
    source: mail(index, 'Content-Type: multipart/mixed; boundary="names"', parts, encodedWords('Прайс', 'Q')),
    expected: plain('named', attachments),
  };
}

function hostileNames(random: Random, index: number): Made {
  const bytes = randomBytes(random, 64);
  const disposition = 'Content-Disposition: attachment; filename="../../etc/passwd"';
  const windows = 'Content-Disposition: attachment; filename="=?utf-8?B?QzpcVGVtcFx4DQoALnR4dA==?="';
  const parts = multipart(
    'hn',
    entity(textFields, 'names'),
    base64Entity(`Content-Type: application/x-thing\r\n${disposition}`, bytes),
    base64Entity(`Content-Type: application/x-thing\r\n${windows}`, bytes),
  );
  const attachments = ['passwd', 'x.txt'].map((name) => ({ name, type: 'application/x-thing', bytes }));
  return {
    source: mail(index, 'Content-Type: multipart/mixed; boundary="hn"', parts),
    expected: plain('names', attachments),
  };
}

function emptyMail(_: Random, index: number): Made {
  return { source: mail(index, 'Content-Type: text/plain', ''), expected: plain('') };
}

function attachmentOnly(random: Random, index: number): Made {
  const bytes = randomBytes(random, 2000);
  const fields = 'Content-Type: image/tiff; name=fax.tif\r\nContent-Transfer-Encoding: base64';
  const source = mail(index, fields, `${base64Lines(bytes)}\r\n`);
  return { source, expected: { attachments: [{ name: 'fax.tif', type: 'image/tiff', bytes }] } };
}

function lfLineEnds(random: Random, index: number): Made {
  const { source, expected } = mixedPdf(random, index);
  return { source: Buffer.from(source.toString('latin1').replaceAll('\r\n', '\n'), 'latin1'), expected };
}

function dotLines(_: Random, index: number): Made {
  const text = '.\n..\n.hidden\n\n.\nend\n';
  return { source: mail(index, textFields, crlf(text)), expected: plain(text) };
}

function longLine(random: Random, index: number): Made {
  const text = `${'x'.repeat(between(random, 1000, 9000))}\n--not a delimiter\n-- \nsignature\n`;
  return { source: mail(index, textFields, crlf(text)), expected: plain(text) };
}

function eightBitAttachment(random: Random, index: number): Made {
  const csv = Buffer.from(`Name;Größe\r\n${sentence(random)};12\r\n--;0\r\n`, 'latin1');
  const fields =
    'Content-Type: text/csv; charset=iso-8859-1; name=liste.csv\r\nContent-Transfer-Encoding: 8bit';
  const parts = multipart(
    'eight',
    entity(textFields, 'csv'),
    entity(`${fields}\r\nContent-Disposition: attachment; filename=liste.csv`, csv),
  );
  const source = mail(index, 'Content-Type: multipart/mixed; boundary=eight', parts);
  return { source, expected: plain('csv', [{ name: 'liste.csv', type: 'text/csv', bytes: csv }]) };
}

function quotedPrintableAttachment(random: Random, index: number): Made {
  const bytes = randomBytes(random, 500);
  const fields = 'Content-Type: application/xml; name=o.xml\r\nContent-Transfer-Encoding: quoted-printable';
  const parts = multipart('qp', entity(textFields, 'qp'), entity(fields, quotedPrintable(bytes, true)));
  const source = mail(index, 'Content-Type: multipart/mixed; boundary=qp', parts);
  return { source, expected: plain('qp', [{ name: 'o.xml', type: 'application/xml', bytes }]) };
}

function largerAttachment(random: Random, index: number): Made {
  const bytes = randomBytes(random, between(random, 70_000, 200_000));
  const fields =
    'Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=data.bin';
  const parts = multipart('big', entity(textFields, 'big'), base64Entity(fields, bytes));
  const source = mail(index, 'Content-Type: multipart/mixed; boundary=big', parts);
  return { source, expected: plain('big', [{ name: 'data.bin', type: 'application/octet-stream', bytes }]) };
}

function signedMail(random: Random, index: number): Made {
  const text = `${paragraph(random)}\n`;
  const signature = '-----BEGIN PGP SIGNATURE-----\r\n\r\niQEz\r\n-----END PGP SIGNATURE-----\r\n';
  const parts = multipart(
    'sig',
    entity(textFields, crlf(text)),
    entity('Content-Type: application/pgp-signature', signature),
  );
  const fields =
    'Content-Type: multipart/signed; micalg=pgp-sha256;\r\n\tprotocol="application/pgp-signature"; boundary=sig';
  const attachments = [
    { name: 'attachment-2.asc', type: 'application/pgp-signature', bytes: Buffer.from(signature) },
  ];
  return { source: mail(index, fields, parts), expected: plain(text, attachments) };
}

const makers: readonly Maker[] = [
  plainText,
  mixedPdf,
  alternative,
  latin1Text,
  relatedImage,
  nested,
  attachedMail,
  namelessAttachments,
  encodedNames,
  utf8QuotedPrintable,
  gbkBase64,
  windows1251Text,
  japanese,
  htmlWithoutCharset,
  latin1QuotedPrintable,
  utf8Base64,
  hostileNames,
  emptyMail,
  attachmentOnly,
  lfLineEnds,
  dotLines,
  longLine,
  eightBitAttachment,
  quotedPrintableAttachment,
  largerAttachment,
  signedMail,
  noMimeAtAll,
];

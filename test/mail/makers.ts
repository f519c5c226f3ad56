/** Makes each kind of sample mail; all that is exported here is one. */
import {
  base64Entity,
  between,
  crlf,
  entity,
  htmlFields,
  type Made,
  mail,
  mixed,
  multipart,
  paragraph,
  plain,
  type Random,
  randomBytes,
  sentence,
  textFields,
} from './build.ts';
import { base64Lines, encodedWords, extendedParameter, quotedPrintable, windows1251 } from './encode.ts';

export function plainText(random: Random, index: number): Made {
  const text = `${paragraph(random)}\n`;
  return {
    source: mail(index, 'Content-Type: text/plain; charset=us-ascii', crlf(text)),
    expected: plain(text),
  };
}

export function noMimeAtAll(random: Random, index: number): Made {
  const text = `${paragraph(random)}\n`;
  const source = Buffer.from(`From: a@example.com\r\nSubject: Old ${index}\r\n\r\n${crlf(text)}`);
  return { source, expected: plain(text) };
}

/** A mail of one text in this charset and encoding. */
function encoded(
  index: number,
  [charset, encoding]: readonly [charset: string, encoding: string],
  body: string | Buffer,
  text: string,
  subject?: string,
): Made {
  const fields = `Content-Type: text/plain; charset=${charset}\r\nContent-Transfer-Encoding: ${encoding}`;
  return { source: mail(index, fields, body, subject), expected: plain(text) };
}

export function latin1Text(_: Random, index: number): Made {
  const text = 'Grüße aus Köln\nÇa va\n';
  return encoded(index, ['iso-8859-1', '8bit'], Buffer.from(crlf(text), 'latin1'), text);
}

export function latin1QuotedPrintable(random: Random, index: number): Made {
  const text = `Schöne Grüße = gut\n${paragraph(random)}  \nEnde\n`;
  const body = quotedPrintable(Buffer.from(crlf(text), 'latin1'));
  return encoded(index, ['ISO-8859-1', 'Quoted-Printable'], body, text);
}

export function utf8QuotedPrintable(random: Random, index: number): Made {
  const text = `${paragraph(random, false)}\n😀 ${'lang '.repeat(60)}\n`;
  return encoded(index, ['utf-8', 'quoted-printable'], quotedPrintable(Buffer.from(crlf(text))), text);
}

export function utf8Base64(random: Random, index: number): Made {
  const text = `${paragraph(random, false)}\n`;
  const body = `${base64Lines(Buffer.from(crlf(text)))}\r\n`;
  return encoded(index, ['utf-8', 'base64'], body, text, encodedWords('Größe – 大'));
}

export function windows1251Text(_: Random, index: number): Made {
  const text = 'Привет, мир\nСчет готов\n';
  return encoded(index, ['windows-1251', '8bit'], windows1251(crlf(text)), text);
}

export function gbkBase64(_: Random, index: number): Made {
  const bytes = Buffer.from('c4e3bac3a3accac0bde70d0a', 'hex');
  return encoded(index, ['gbk', 'base64'], `${base64Lines(bytes)}\r\n`, '你好，世界\n');
}

export function japanese(_: Random, index: number): Made {
  const body = '\x1b$BF|K\\8l%F%9%H\x1b(B ok\r\n';
  return encoded(index, ['iso-2022-jp', '7bit'], body, '日本語テスト ok\n');
}

export function htmlWithoutCharset(_: Random, index: number): Made {
  const html = '<html><head><meta charset="windows-1251"></head><body>Привет</body></html>\n';
  const source = mail(index, 'Content-Type: text/html', windows1251(crlf(html)));
  return { source, expected: { body: html, bodyType: 'text/html', attachments: [] } };
}

export function alternative(random: Random, index: number): Made {
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

export function relatedImage(random: Random, index: number): Made {
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

export function mixedPdf(random: Random, index: number): Made {
  const text = paragraph(random, false);
  const bytes = randomBytes(random, between(random, 1, 5000));
  const name = `Rechnung ${index}.pdf`;
  const fields = `Content-Type: application/pdf; name="${name}"\r\nContent-Disposition: attachment; filename="${name}"`;
  const parts = [base64Entity(fields, bytes)];
  return mixed(index, `=_mix.${index}`, text, parts, [{ name, type: 'application/pdf', bytes }]);
}

export function nested(random: Random, index: number): Made {
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

export function attachedMail(random: Random, index: number): Made {
  const attached = mixed(index + 1000, 'q', 'in', [], []).source;
  const part = entity('Content-Type: message/rfc822\r\nContent-Disposition: inline', attached);
  return mixed(
    index,
    `fw${index}`,
    paragraph(random),
    [part],
    [{ name: 'attachment-2.eml', type: 'message/rfc822', bytes: attached }],
  );
}

export function namelessAttachments(random: Random, index: number): Made {
  const jpeg = randomBytes(random, 400);
  const unknown = randomBytes(random, 3);
  const parts = [
    base64Entity('Content-Type: image/jpeg', jpeg),
    base64Entity('Content-Disposition: attachment', unknown),
  ];
  return mixed(index, 'nn', 'two without a name', parts, [
    { name: 'attachment-2.jpg', type: 'image/jpeg', bytes: jpeg },
    { name: 'attachment-3.bin', type: 'application/octet-stream', bytes: unknown },
  ]);
}

export function encodedNames(random: Random, index: number): Made {
  const first = randomBytes(random, 100);
  const second = randomBytes(random, 101);
  const long = 'Übersicht über die Bestände im Lager Łódź 大型.xlsx';
  const disposition = `Content-Disposition: attachment;\r\n ${extendedParameter('filename', long)}`;
  const parts = [
    base64Entity(`Content-Type: application/octet-stream\r\n${disposition}`, first),
    base64Entity(`Content-Type: application/msword; name="${encodedWords('Żółć.doc', 'Q')}"`, second),
  ];
  const attachments = [
    { name: long, type: 'application/octet-stream', bytes: first },
    { name: 'Żółć.doc', type: 'application/msword', bytes: second },
  ];
  return mixed(index, 'names', 'named', parts, attachments, encodedWords('Прайс', 'Q'));
}

export function hostileNames(random: Random, index: number): Made {
  const bytes = randomBytes(random, 64);
  const parts = ['../../etc/passwd', '=?utf-8?B?QzpcVGVtcFx4DQoALnR4dA==?='].map((name) =>
    base64Entity(
      `Content-Type: application/x-thing\r\nContent-Disposition: attachment; filename="${name}"`,
      bytes,
    ),
  );
  const attachments = ['passwd', 'x.txt'].map((name) => ({ name, type: 'application/x-thing', bytes }));
  return mixed(index, 'hn', 'names', parts, attachments);
}

export function emptyMail(_: Random, index: number): Made {
  return { source: mail(index, 'Content-Type: text/plain', ''), expected: plain('') };
}

export function attachmentOnly(random: Random, index: number): Made {
  const bytes = randomBytes(random, 2000);
  const fields = 'Content-Type: image/tiff; name=fax.tif\r\nContent-Transfer-Encoding: base64';
  const source = mail(index, fields, `${base64Lines(bytes)}\r\n`);
  return { source, expected: { attachments: [{ name: 'fax.tif', type: 'image/tiff', bytes }] } };
}

export function lfLineEnds(random: Random, index: number): Made {
  const { source, expected } = mixedPdf(random, index);
  return { source: Buffer.from(source.toString('latin1').replaceAll('\r\n', '\n'), 'latin1'), expected };
}

export function dotLines(_: Random, index: number): Made {
  const text = '.\n..\n.hidden\n\n.\nend\n';
  return { source: mail(index, textFields, crlf(text)), expected: plain(text) };
}

export function longLine(random: Random, index: number): Made {
  const text = `${'x'.repeat(between(random, 1000, 9000))}\n--not a delimiter\n-- \nsignature\n`;
  return { source: mail(index, textFields, crlf(text)), expected: plain(text) };
}

export function eightBitAttachment(random: Random, index: number): Made {
  const csv = Buffer.from(`Name;Größe\r\n${sentence(random)};12\r\n--;0\r\n`, 'latin1');
  const fields =
    'Content-Type: text/csv; charset=iso-8859-1; name=liste.csv\r\nContent-Transfer-Encoding: 8bit';
  const part = entity(`${fields}\r\nContent-Disposition: attachment; filename=liste.csv`, csv);
  return mixed(index, 'eight', 'csv', [part], [{ name: 'liste.csv', type: 'text/csv', bytes: csv }]);
}

export function quotedPrintableAttachment(random: Random, index: number): Made {
  const bytes = randomBytes(random, 500);
  const fields = 'Content-Type: application/xml; name=o.xml\r\nContent-Transfer-Encoding: quoted-printable';
  const part = entity(fields, quotedPrintable(bytes, true));
  return mixed(index, 'qp', 'qp', [part], [{ name: 'o.xml', type: 'application/xml', bytes }]);
}

export function largerAttachment(random: Random, index: number): Made {
  const bytes = randomBytes(random, between(random, 70_000, 200_000));
  const type = 'application/octet-stream';
  const part = base64Entity(
    `Content-Type: ${type}\r\nContent-Disposition: attachment; filename=data.bin`,
    bytes,
  );
  return mixed(index, 'big', 'big', [part], [{ name: 'data.bin', type, bytes }]);
}

export function signedMail(random: Random, index: number): Made {
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

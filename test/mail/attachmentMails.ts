import {
  base64Entity,
  between,
  crlf,
  entity,
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
import { base64Lines, encodedWords, extendedParameter, quotedPrintable } from './encode.ts';
import { mixedPdf } from './textMails.ts';

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

import { entity, multipart } from '../mail/build.ts';
import {
  base64Lines,
  encodedWords,
  extendedParameter,
  quotedPrintable,
  windows1251,
} from '../mail/encode.ts';

/** Larger than a message on the demo's queue may be, so that it goes by claim check. */
const drawingBytes = 1_500_000;

/** What waits in the IMAP mailbox: seven mails, eleven messages. */
export function orderMails(): Buffer[] {
  return [
    mail('Purchase order 4711', plain('Please deliver 20 pallets to Bremen.\r\n\r\nKind regards\r\n')),
    mail(
      'Größenänderung für Auftrag 12',
      entity(
        'Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable',
        quotedPrintable(Buffer.from('<p>Bitte <b>Größe L</b> statt M.</p>\r\n')),
      ),
    ),
    mail(
      'Lieferschein und Preise',
      mixed(
        plain('Zwei Anlagen.\r\n'),
        attachment('application/pdf', 'filename="Lieferschein 0815.pdf"', pattern('%PDF-1.7\n', 48_000)),
        attachment(
          'text/csv',
          extendedParameter('filename', 'Preise für Köln.csv'),
          Buffer.from('SKU;€\r\n1;2\r\n'),
        ),
      ),
    ),
    mail(
      'Счет готов',
      entity(
        'Content-Type: text/plain; charset=windows-1251\r\nContent-Transfer-Encoding: 8bit',
        windows1251('Добрый день, счет готов.\r\n'),
      ),
    ),
    mail(
      'Fwd: complaint',
      mixed(
        plain('See the attached mail.\r\n'),
        entity('Content-Type: message/rfc822', mail('Complaint', plain('Two boxes were wet.\r\n'))),
      ),
    ),
    mail('(no text)', plain('')),
    mail(
      'Drawing of the new hall',
      mixed(
        plain('Large, so it goes by claim check.\r\n'),
        attachment('image/tiff', 'filename=hall.tif', pattern('II*\0', drawingBytes)),
      ),
    ),
  ];
}

/** What waits in the POP3 mailbox: five mails, seven messages. */
export function faxMails(): Buffer[] {
  const page = 'Content-Type: image/tiff; name=fax-0001.tif\r\nContent-Transfer-Encoding: base64';
  return [
    mail('Fax from +49 421 555 0100', entity(page, `${base64Lines(pattern('II*\0', 30_000))}\r\n`)),
    mail(
      'Zamówienie nr 7 📦',
      entity(
        'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable',
        quotedPrintable(Buffer.from('Proszę o dostawę do Łodzi.\r\n')),
      ),
    ),
    mail(
      'A name that tries to leave its folder',
      mixed(
        plain('The path is dropped.\r\n'),
        attachment('application/octet-stream', 'filename="../../etc/passwd"', Buffer.from('x:0:0\n')),
      ),
    ),
    mail(
      'Newsletter with a logo',
      related('<p><img src="cid:logo@demo"> Hello</p>', pattern('\x89PNG', 900)),
    ),
    // Not to be taken apart: sent whole, as it is.
    mail('A mail that is broken', entity('Content-Type: multipart/mixed', 'Where are my parts?\r\n')),
  ];
}

let sequence = 0;

function mail(subject: string, content: Buffer): Buffer {
  sequence += 1;
  const head = [
    'From: "Sender" <sender@example.com>',
    'To: inbox@example.org',
    `Subject: ${/^[\x20-\x7e]*$/.test(subject) ? subject : encodedWords(subject)}`,
    `Message-ID: <demo-${sequence}@example.com>`,
    `Date: Mon, 02 Nov 2026 08:${String(sequence % 60).padStart(2, '0')}:00 +0100`,
    'MIME-Version: 1.0\r\n',
  ].join('\r\n');
  return Buffer.concat([Buffer.from(head), content]);
}

function plain(text: string): Buffer {
  return entity('Content-Type: text/plain; charset=us-ascii', text);
}

function attachment(type: string, nameParameter: string, bytes: Buffer): Buffer {
  const disposition = `Content-Disposition: attachment;\r\n ${nameParameter}`;
  return entity(
    `Content-Type: ${type}\r\n${disposition}\r\nContent-Transfer-Encoding: base64`,
    `${base64Lines(bytes)}\r\n`,
  );
}

function mixed(...parts: Buffer[]): Buffer {
  return entity('Content-Type: multipart/mixed; boundary="=_demo"', multipart('=_demo', ...parts));
}

function related(html: string, image: Buffer): Buffer {
  const picture = entity(
    'Content-Type: image/png\r\nContent-ID: <logo@demo>\r\nContent-Transfer-Encoding: base64',
    `${base64Lines(image)}\r\n`,
  );
  const page = entity('Content-Type: text/html; charset=us-ascii', html);
  return entity('Content-Type: multipart/related; boundary="=_logo"', multipart('=_logo', page, picture));
}

/** Bytes that begin as a file of its kind does; no file of that kind. */
function pattern(start: string, sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  for (let at = 0; at < sizeBytes; at++) bytes[at] = (at * 31 + (at >> 8)) & 0xff;
  bytes.write(start, 'latin1');
  return bytes;
}

import addressparser from 'nodemailer/lib/addressparser';
import { byteOrderMarkLength } from './bytes.ts';
import { readDate } from './date.ts';
import { decodeWords } from './encodedWord.ts';
import { cutText } from './fileName.ts';
import { type HeaderField, readHeaderBlock, unfoldedValue, withoutComments } from './header.ts';
import type { MailEnvelope } from './mail.ts';

const maxLength = 1024;
/** What is read of a field: enough for 1,024 characters however they are encoded, and bounded. */
const maxFieldLength = 16 * 1024;

/** The envelope (RFC 5322, RFC 2047): values of at most 1,024 UTF-16 units, well-formed, no control characters. */
export function readEnvelope(fields: readonly HeaderField[]): MailEnvelope {
  const values = {
    messageId: readMessageId(readText(fields, 'message-id') ?? ''),
    subject: readText(fields, 'subject'),
    from: readAddresses(fields, 'from'),
    to: readAddresses(fields, 'to'),
    date: readDate(readText(fields, 'date') ?? ''),
  };
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value));
}

/** As far as it can be read from the first bytes of a mail, which may end within its header. */
export function readEnvelopeStart(start: Buffer): MailEnvelope {
  const text = start.toString('latin1', byteOrderMarkLength(start));
  // Old systems end a line in a CR alone.
  const bare = /^[^\r\n]*\r(?!\r*\n)/.test(text) ? text.replace(/\r(?!\n)/g, '\n') : text;
  const header = Buffer.from(bare.replace(/(?<!\r)\r*\n\r*\n.*/s, ''), 'latin1');
  return readEnvelope(readHeaderBlock(header, true).fields);
}

function readText(fields: readonly HeaderField[], key: string): string | undefined {
  const field = fields.find((each) => each.key === key);
  return field && clean(decodeWords(boundedValue(field)));
}

function readAddresses(fields: readonly HeaderField[], key: string): string | undefined {
  const texts: string[] = [];
  let length = 0;
  let read = 0;
  for (const field of fields) {
    if (field.key !== key) continue;
    for (const text of addressTexts(boundedValue(field))) {
      if (text) texts.push(text);
      length += text.length;
      if (length > maxLength) return clean(texts.join(', '));
    }
    read += field.line.length;
    if (read > maxFieldLength) break;
  }
  return clean(texts.join(', '));
}

/** `a@b` and `Name <a@b>`, which most addresses are, and which need no parser. */
const simpleAddress =
  /^(?:("?)([\w =?!#$%&'*+/.-]*)\1\s*<([\w=!#$%&'*+/.-]+@[\w.-]+)>|([\w=!#$%&'*+/.-]+@[\w.-]+))$/;

function* addressTexts(value: string): Generator<string> {
  const simple = value.split(',').map((piece) => simpleAddress.exec(piece.trim()));
  if (simple.every((found) => found !== null)) {
    for (const [, , name, mailbox, bare] of simple)
      yield addressText({ name: name ?? '', address: mailbox ?? bare ?? '' });
  } else {
    for (const address of addressparser(value)) yield addressText(address);
  }
}

type Address = ReturnType<typeof addressparser>[number];

function addressText(address: Address): string {
  const name = decodeWords(address.name ?? '').trim();
  if (address.group) return `${name}: ${address.group.map(addressText).join(', ')};`;
  const mailbox = address.address ?? '';
  if (!name) return mailbox;
  const shown = /[",;:<>@\\]/.test(name) ? `"${name.replace(/["\\]/g, '\\$&')}"` : name;
  return mailbox ? `${shown} <${mailbox}>` : shown;
}

/** The value, cut between words, since half an encoded word can't be decoded. */
export function boundedValue(field: HeaderField): string {
  if (field.line.length <= maxFieldLength) return unfoldedValue(field);
  const cut = field.line.slice(0, maxFieldLength);
  const end = Math.max(cut.lastIndexOf(' '), cut.lastIndexOf(','));
  return unfoldedValue({ key: field.key, line: end > maxFieldLength / 2 ? cut.slice(0, end) : cut });
}

function clean(text: string): string | undefined {
  const safe = text
    .replace(/[\t\r\n\u2028\u2029]+/g, ' ')
    .replace(/\p{Cc}/gu, '')
    .trim()
    .toWellFormed();
  return cutText(safe, maxLength).trimEnd() || undefined;
}

/** RFC 5322, 3.6.4: the id in angle brackets, without comments, and with brackets where they are missing. */
function readMessageId(text: string): string | undefined {
  const bare = withoutComments(text, ' ');
  const id = /<([^<>]+)>/.exec(bare)?.[1] ?? /<([^<>]+)>/.exec(text)?.[1] ?? bare.replace(/^\s*<|>\s*$/g, '');
  const tight = id.replace(/\s+/g, '');
  if (tight === '') return undefined;
  return tight.length > maxLength - 2 ? cutText(tight, maxLength) : `<${tight}>`;
}

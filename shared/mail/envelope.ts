import addressparser from 'nodemailer/lib/addressparser';
import { cutText } from './fileName.ts';
import { decodeWords, type HeaderField, parseHeaderBlock, unfoldedValue } from './headers.ts';
import type { MailEnvelope } from './mail.ts';

const maxLength = 1024;
const minYear = 1900;
/** What is read of a field: enough for 1,024 characters however they are encoded, and bounded. */
const maxFieldLength = 16 * 1024;

/**
 * The envelope from the fields of a mail's header (RFC 5322, RFC 2047). Each value is at most 1,024
 * UTF-16 units long, well-formed and free of control characters, so none can smuggle in another header.
 */
export function readEnvelope(fields: readonly HeaderField[]): MailEnvelope {
  const messageId = readText(fields, 'message-id');
  const subject = readText(fields, 'subject');
  const from = readAddresses(fields, 'from');
  const to = readAddresses(fields, 'to');
  const date = readDate(readText(fields, 'date') ?? '');
  return {
    ...(messageId && { messageId: bracket(messageId) }),
    ...(subject && { subject }),
    ...(from && { from }),
    ...(to && { to }),
    ...(date && { date }),
  };
}

/** As far as it can be read from the first bytes of a mail, which may end within its header. */
export function readEnvelopeStart(start: Buffer): MailEnvelope {
  const end = /\r?\n\r?\n/.exec(start.toString('latin1'));
  return readEnvelope(parseHeaderBlock(start.subarray(0, end?.index ?? start.length)));
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
function boundedValue(field: HeaderField): string {
  if (field.line.length <= maxFieldLength) return unfoldedValue(field);
  const cut = field.line.slice(0, maxFieldLength);
  const end = Math.max(cut.lastIndexOf(' '), cut.lastIndexOf(','));
  return unfoldedValue({ key: field.key, line: end > maxFieldLength / 2 ? cut.slice(0, end) : cut });
}

function clean(text: string): string | undefined {
  if (/^[\x20-\x7e]*$/.test(text)) return text.trim().slice(0, maxLength).trimEnd() || undefined;
  const safe = text
    .replace(/[\t\r\n\u2028\u2029]+/g, ' ')
    .replace(/\p{Cc}/gu, '')
    .trim()
    .toWellFormed();
  return cutText(safe, maxLength).trimEnd() || undefined;
}

function bracket(messageId: string): string {
  if (messageId.length > maxLength - 2) return messageId;
  return `${messageId.startsWith('<') ? '' : '<'}${messageId}${messageId.endsWith('>') ? '' : '>'}`;
}

const months = 'janfebmaraprmayjunjulaugsepoctnovdec';
const zones: Readonly<Record<string, number>> = {
  EST: -5,
  EDT: -4,
  CST: -6,
  CDT: -5,
  MST: -7,
  MDT: -6,
  PST: -8,
  PDT: -7,
};

/**
 * RFC 5322, 3.3 and 4.3, as ISO 8601 in UTC; without a zone it is taken for UTC. Absent when it is no
 * date, or one outside the years 1900 to 9999.
 */
export function readDate(text: string): string | undefined {
  const shape =
    /^(?:\w{2,9},?\s+)?(\d{1,2})[\s-]+([a-z]{3})[a-z]*[\s-]+(\d{2,4})\s+(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?(?:\.\d+)?\s*(?:([+-])(\d{2}):?(\d{2})|([a-z]{1,4}))?\s*(?:\(.*)?$/i;
  const found = shape.exec(text.trim().slice(0, 200));
  if (!found) return readIsoDate(text);
  const [
    ,
    day,
    monthName = '',
    yearText = '',
    hour,
    minute,
    second,
    sign,
    zoneHours,
    zoneMinutes,
    zoneName = '',
  ] = found;
  const month = months.indexOf(monthName.toLowerCase());
  if (month < 0 || month % 3 !== 0) return undefined;
  const time = Date.UTC(
    fullYear(yearText),
    month / 3,
    Number(day),
    Number(hour),
    Number(minute),
    Number(second ?? 0),
  );
  if (Number(day) > 31 || Number(hour) > 23 || Number(minute) > 59 || Number(second ?? 0) > 60)
    return undefined;
  const offset = sign
    ? (sign === '-' ? -1 : 1) * (Number(zoneHours) * 60 + Number(zoneMinutes))
    : (zones[zoneName.toUpperCase()] ?? 0) * 60;
  return toIso(time - offset * 60_000);
}

function readIsoDate(text: string): string | undefined {
  if (!/^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?$/.test(text))
    return undefined;
  return toIso(
    Date.parse(/[T ].*(?:Z|[+-]\d{2}:?\d{2})$/.test(text) || text.length === 10 ? text : `${text}Z`),
  );
}

function toIso(time: number): string | undefined {
  if (Number.isNaN(time)) return undefined;
  const date = new Date(time);
  const year = date.getUTCFullYear();
  return year >= minYear && year <= 9999 ? date.toISOString() : undefined;
}

/** RFC 5322, 4.3: years of two and three digits. */
function fullYear(text: string): number {
  const year = Number(text);
  if (text.length === 2) return year < 50 ? 2000 + year : 1900 + year;
  if (text.length === 3) return 1900 + year;
  return year < minYear ? Number.NaN : year;
}

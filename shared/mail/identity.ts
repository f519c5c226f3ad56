import { createHash } from 'node:crypto';
import { byteOrderMarkLength } from './bytes.ts';

/** How much of a mail `mailFingerprint` looks at. */
export const identityWindowBytes = 65_536;

const identityFields = ['message-id', 'date', 'from', 'subject'] as const;
/** It ends in CRLF, also with a CR too many, or the bare LF or CR of old systems. */
const headerLine = /([^\r\n]*)(?:\r*\n|\r|$)/g;

/**
 * Tells mails apart that a server gives the same number: hex SHA-256 over the first Message-ID, Date, From
 * and Subject fields of the mail's own header (RFC 5322, 3.6), unfolded (2.2.3) and otherwise as they stand,
 * so that no change in how fields are understood makes an old mail a new one. What a server adds to a header
 * (`Status`, `X-UID`) doesn't count, nor does a byte order mark or an mbox line in front of it.
 *
 * `head` is the whole mail or its beginning, at least `identityWindowBytes` of it where it has so many; the
 * result is the same.
 */
export function mailFingerprint(head: Buffer): string {
  const found = new Map<string, string>();
  for (const field of unfoldedFields(head)) {
    const colon = field.indexOf(':');
    const name = field.slice(0, Math.max(colon, 0)).trimEnd().toLowerCase();
    if (!found.has(name)) found.set(name, field.slice(colon + 1));
  }
  const hash = createHash('sha256');
  for (const name of identityFields) {
    const value = found.get(name);
    if (value !== undefined) hash.update(`${name}:${value}\n`, 'latin1');
  }
  return hash.digest('hex');
}

/** The lines of the header, each with what continues it, one character a byte. */
function* unfoldedFields(head: Buffer): Generator<string> {
  const text = head.toString('latin1', byteOrderMarkLength(head), identityWindowBytes);
  let field = '';
  for (const [, line = ''] of text.matchAll(headerLine)) {
    if (line === '') break;
    if (line.startsWith(' ') || line.startsWith('\t')) {
      field += line;
    } else {
      yield field;
      field = line;
    }
  }
  yield field;
}

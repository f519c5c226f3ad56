import { isUtf8 } from 'node:buffer';
import libmime from 'libmime';
import { decode } from 'libmime/lib/charset';

/** How far into an HTML text its `<meta charset>` is looked for (the HTML standard says 1,024 bytes). */
const metaBytes = 1024;
const ESC = 0x1b;

/**
 * Decodes a text body from the charset that the mail declares, by mailparser's names and tables. A body
 * without a known charset is UTF-8 if it can be, else what its HTML says, else windows-1252.
 */
export function decodeText(bytes: Buffer, charset: string | undefined, html: boolean): string {
  const name = charset?.toLowerCase().replace(/[^a-z0-9]+/g, '') ?? '';
  if (name === 'utf8') return bytes.toString('utf8');
  const declared = name !== '' && name !== 'ascii' && name !== 'usascii' ? charset : undefined;
  if (declared !== undefined && isSupported(declared)) return decode(bytes, declared);
  if (isUtf8(bytes) && !(html && bytes.includes(ESC))) return bytes.toString('utf8');
  const meta = html ? metaCharset(bytes) : undefined;
  if (meta !== undefined && isSupported(meta)) return decode(bytes, meta);
  return isUtf8(bytes) ? bytes.toString('utf8') : decode(bytes, 'windows-1252');
}

/** Answers of `isSupported`, since asking for an unknown charset is slow and a mail may do so often. */
const known = new Map<string, boolean>();
const maxKnown = 200;

/** Whether mail in this charset can be decoded; UTF-7, which hides markup, is none of these. */
export function isSupported(charset: string): boolean {
  const answer = known.get(charset);
  if (answer !== undefined) return answer;
  if (known.size >= maxKnown) known.clear();
  const { supported } = libmime.createDecodeStream(charset);
  known.set(charset, supported);
  return supported;
}

function metaCharset(bytes: Buffer): string | undefined {
  const head = bytes.toString('latin1', 0, Math.min(metaBytes, bytes.length));
  const found = /<meta[^>]{1,200}charset\s*=\s*["']?\s*([\w.:-]{1,40})/i.exec(head)?.[1];
  // A text in which an ASCII meta tag can be read is not UTF-16.
  return found === undefined || /^utf-?(?:7|16|32)/i.test(found) ? undefined : found;
}

import libmime from 'libmime';
import { isSupported } from './charset.ts';

/** A header field as it stands in the mail; `line` holds one character a byte, folds included. */
export interface HeaderField {
  /** Lower case; empty for a line that is no header field. */
  readonly key: string;
  readonly line: string;
}

/** A header value with parameters (RFC 2045, RFC 2231): `text/plain; charset=utf-8`. */
export interface StructuredValue {
  readonly value: string;
  readonly params: Readonly<Record<string, string>>;
  /** Parameters that RFC 2231 has decoded already. */
  readonly decodedParams: readonly string[];
}

/** Splits a header block (RFC 5322, 2.2) into its fields. A leading mbox `From ` line is left out. */
export function parseHeaderBlock(block: Buffer): HeaderField[] {
  const lines = block.toString('latin1').split(/\r?\n/);
  const fields: HeaderField[] = [];
  let current: string[] = [];
  const close = () => {
    if (current.length === 0) return;
    const line = current.join('\r\n');
    current = [];
    if (fields.length === 0 && /^(?:From|POST) /i.test(line)) return;
    fields.push({
      key: line
        .slice(0, Math.max(0, line.indexOf(':')))
        .toLowerCase()
        .trim(),
      line,
    });
  };
  for (const line of lines) {
    if (line === '') continue;
    if (current.length > 0 && (line.startsWith(' ') || line.startsWith('\t'))) {
      current.push(line);
    } else {
      close();
      current.push(line);
    }
  }
  close();
  return fields;
}

/** The unfolded value of the first field of that name, or '' without one. */
export function firstValue(fields: readonly HeaderField[], key: string): string {
  const field = fields.find((each) => each.key === key);
  return field === undefined ? '' : unfoldedValue(field);
}

/** The unfolded value; bytes beyond ASCII are read as UTF-8 (RFC 6532), or as Latin-1 if they aren't. */
export function unfoldedValue(field: HeaderField): string {
  const raw = field.line.slice(field.line.indexOf(':') + 1);
  return readBytes(raw.replace(/(?:\r?\n|\r)[ \t]*/g, ' ').trim()).trim();
}

function readBytes(text: string): string {
  if (!/[\x80-\xff]/.test(text)) return text;
  const utf8 = Buffer.from(text, 'latin1').toString('utf8');
  return utf8.includes('\ufffd') ? text : utf8;
}

/**
 * More than a sane field needs with the longest file name. The library takes milliseconds for a few KiB
 * of a hostile one, and a mail may have a thousand parts.
 */
const maxStructuredLength = 4096;

/** Takes a value with parameters apart, comments dropped. */
export function parseStructured(value: string): StructuredValue {
  return libmime.parseHeaderValue(value.slice(0, maxStructuredLength), { stripComments: true });
}

const encodedWord = /=\?([\w*-]+)\?([QqBb])\?([^?]*)\?=/g;

/**
 * Decodes RFC 2047 encoded words. White space between two of them goes, and the bytes of neighbours in the
 * same charset are joined first, since senders cut through characters. As libmime does it, but in time
 * linear to the text.
 */
export function decodeWords(text: string): string {
  if (!text.includes('=?')) return text;
  let decoded = '';
  let end = 0;
  let run: { charset: string; encoding: string; payload: string } | undefined;
  const finish = () => (run ? decodeRun(run.charset, run.encoding, run.payload) : '');
  for (const found of text.matchAll(encodedWord)) {
    const [whole, charset = '', letter = '', payload = ''] = found;
    const encoding = letter.toUpperCase();
    const gap = text.slice(end, found.index);
    end = found.index + whole.length;
    const follows = run !== undefined && gap.trim() === '';
    if (run && follows && run.encoding === encoding && run.charset.toLowerCase() === charset.toLowerCase()) {
      run.payload += payload;
      continue;
    }
    decoded += finish() + (follows ? '' : gap);
    run = { charset, encoding, payload };
  }
  return decoded + finish() + text.slice(end);
}

function decodeRun(charset: string, encoding: string, payload: string): string {
  // RFC 2231, 5: a language may follow the charset.
  const [name = ''] = charset.split('*');
  try {
    return libmime.decodeWord(isSupported(name) ? name : 'utf-8', encoding, payload);
  } catch {
    return payload;
  }
}

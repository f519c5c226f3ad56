import libqp from 'libqp';
import { Base64Decoder } from './base64.ts';
import { join } from './bytes.ts';
import { decodeBytes } from './charsetDecoder.ts';
import { withoutComments } from './header.ts';
import { Unsplittable } from './unsplittable.ts';

/** How a body is encoded (RFC 2045, 6); `unknown` is what nobody can undo. */
export type TransferEncoding = 'identity' | 'base64' | 'quoted-printable' | 'uuencode' | 'unknown';

/** Undoes a content transfer encoding piece by piece. Throws `Unsplittable` where it is not what it says. */
export interface TransferDecoder {
  /** May decode to the beginning of `target`, where that is given. */
  decode(piece: Buffer, target?: Buffer): Buffer;
  /** What was held back. */
  end(target?: Buffer): Buffer;
  /** There is nothing to undo. */
  readonly isIdentity?: boolean;
  /** There was more behind its end, which is no part of it. */
  readonly hasTrailer?: boolean;
}

const LF = 0x0a;
const maxLineBytes = 1024 * 1024;
const noBytes = Buffer.alloc(0);

const spellings: readonly [RegExp, TransferEncoding][] = [
  [/^(?:|[78]bits?|binary)$/, 'identity'],
  [/^base64$/, 'base64'],
  [/^quotedprintable$/, 'quoted-printable'],
  [/^x?uue(?:ncode)?$/, 'uuencode'],
];

/** The encoding that a Content-Transfer-Encoding names, however it is spelled: `base-64`, `"base64";`. */
export function readTransferEncoding(value: string): TransferEncoding {
  const bare = withoutComments(value)
    .replace(/[;,].*$/s, '')
    .trim()
    .toLowerCase();
  for (const spelled of [bare, bare.replace(/\s.*$/s, '')]) {
    const name = spelled.replace(/[^a-z0-9]/g, '');
    const found = spellings.find(([spelling]) => spelling.test(name));
    if (found) return found[1];
  }
  return 'unknown';
}

export function createTransferDecoder(encoding: TransferEncoding): TransferDecoder {
  if (encoding === 'base64') return new Base64Decoder();
  if (encoding === 'quoted-printable') return new QuotedPrintableDecoder();
  if (encoding === 'uuencode') return new UuDecoder();
  return { isIdentity: true, decode: (piece) => piece, end: () => noBytes };
}

/** Gives whole lines to what decodes them, and holds the beginning of a line whose end has not come yet. */
class WholeLines {
  #held: Buffer[] = [];
  #heldBytes = 0;

  take(piece: Buffer): Buffer {
    const lines = piece.lastIndexOf(LF) + 1;
    const whole = lines === 0 ? noBytes : join([...this.#held, piece.subarray(0, lines)]);
    if (lines > 0) {
      this.#held = [];
      this.#heldBytes = 0;
    }
    if (lines < piece.length) {
      this.#held.push(piece.subarray(lines));
      this.#heldBytes += piece.length - lines;
      if (this.#heldBytes > maxLineBytes) throw new Unsplittable('a line of it is longer than 1 MiB');
    }
    return whole;
  }

  rest(): Buffer {
    return join(this.#held);
  }
}

/** An escape at the end of lines that soft breaks cut into two or three. */
const cutEscape = /[ \t=]*=(?:(?:=[ \t]*\r*\n)*[0-9A-Fa-f])?(?:=[ \t]*\r*\n)+$/;
const maxCutEscape = 1024;

/** RFC 2045, 6.7, by libqp, which is tolerant as mailparser is. A line of more than 1 MiB is refused. */
class QuotedPrintableDecoder implements TransferDecoder {
  readonly #lines = new WholeLines();
  #escape = '';

  decode(piece: Buffer): Buffer {
    const lines = this.#escape + tidySoftBreaks(this.#lines.take(piece));
    if (lines === '') return noBytes;
    this.#escape = cutEscape.exec(lines.slice(-maxCutEscape))?.[0] ?? '';
    return libqp.decode(lines.slice(0, lines.length - this.#escape.length));
  }

  end(): Buffer {
    return libqp.decode(this.#escape + tidySoftBreaks(this.#lines.rest()));
  }
}

/** libqp knows soft breaks with one CR at most. */
function tidySoftBreaks(lines: Buffer): string {
  const text = lines.toString('latin1');
  return text.includes('\r\r') ? text.replace(/=[ \t]*\r+\n/g, '=\n') : text;
}

const uuBegin = /^\s*begin [0-7]{3,4} ([^\r\n]*)/;

/** What uuencoded data calls itself. */
export function readUuName(encoded: string): string | undefined {
  const name = uuBegin.exec(encoded)?.[1];
  return name && decodeBytes(Buffer.from(name, 'latin1'), undefined);
}

/** POSIX uuencode: what stands between `begin` and `end`. Text or another file beside it is refused. */
class UuDecoder implements TransferDecoder {
  readonly #lines = new WholeLines();
  #state: 'before' | 'within' | 'behind' = 'before';

  decode(piece: Buffer): Buffer {
    return this.#decodeLines(this.#lines.take(piece));
  }

  end(): Buffer {
    const decoded = this.#decodeLines(this.#lines.rest());
    if (this.#state === 'before') throw new Unsplittable('a part of it is declared uuencoded and is not');
    return decoded;
  }

  #decodeLines(text: Buffer): Buffer {
    const lines: string[] = [];
    for (const line of text.toString('latin1').split(/(?<!\r)\r*\n/)) {
      if (this.#state === 'within') {
        if (/^end\s*$/.test(line)) this.#state = 'behind';
        else if (line !== '') lines.push(line);
      } else if (this.#state === 'before' && uuBegin.test(line)) {
        this.#state = 'within';
      } else if (line.trim() !== '') {
        throw new Unsplittable('in a part of it more stands beside its uuencoded data');
      }
    }
    const decoded = Buffer.allocUnsafe(lines.reduce((bytes, line) => bytes + uuLength(line), 3));
    let length = 0;
    for (const line of lines) length = decodeUuLine(line, decoded, length);
    return decoded.subarray(0, length);
  }
}

function uuLength(line: string): number {
  return (line.charCodeAt(0) - 0x20) & 0x3f;
}

/** Writes what a line holds; blanks at its end, which are zeros, may have got lost. Gives the place reached. */
function decodeUuLine(line: string, target: Buffer, start: number): number {
  const end = start + uuLength(line);
  const value = (at: number) => (at < line.length ? (line.charCodeAt(at) - 0x20) & 0x3f : 0);
  for (let at = 1, to = start; to < end; at += 4, to += 3) {
    const [a, b, c, d] = [value(at), value(at + 1), value(at + 2), value(at + 3)];
    target[to] = (a << 2) | (b >> 4);
    target[to + 1] = (b << 4) | (c >> 2);
    target[to + 2] = (c << 6) | d;
  }
  return end;
}

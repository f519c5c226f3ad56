import { Unsplittable } from './refusal.ts';

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const EQUALS = 0x3d;
const maxLineBytes = 1024 * 1024;

/** Undoes quoted-printable as `QuotedPrintableDecoder` does, for a body that is whole in memory. */
export function decodeQuotedPrintable(body: Buffer): Buffer {
  const joined = Buffer.allocUnsafe(body.length);
  const length = joinLines(body, joined, 0);
  return joined.subarray(0, decodeEscapes(joined, length).length);
}

/**
 * Undoes quoted-printable (RFC 2045, 6.7) piece by piece, as tolerant as mailparser: white space at the
 * end of a line goes, and what is no escape stays as it is. Refuses a line of more than 1 MiB.
 */
export class QuotedPrintableDecoder {
  /** The beginning of a line whose end has not come yet. */
  #line: Buffer[] = [];
  #lineBytes = 0;
  /** The beginning of an escape, which the next line may end. */
  #escape: Buffer = Buffer.alloc(0);

  decode(piece: Buffer): Buffer {
    const lines = piece.lastIndexOf(LF) + 1;
    if (lines === 0) {
      this.#hold(piece);
      return Buffer.alloc(0);
    }
    const whole = Buffer.concat([...this.#line, piece.subarray(0, lines)]);
    this.#line = [];
    this.#lineBytes = 0;
    this.#hold(piece.subarray(lines));
    return this.#decodeLines(whole, false);
  }

  end(): Buffer {
    return this.#decodeLines(Buffer.concat(this.#line), true);
  }

  #hold(piece: Buffer): void {
    this.#line.push(piece);
    this.#lineBytes += piece.length;
    if (this.#lineBytes > maxLineBytes) throw new Unsplittable('a line of it is longer than 1 MiB');
  }

  #decodeLines(lines: Buffer, final: boolean): Buffer {
    const joined = Buffer.allocUnsafe(this.#escape.length + lines.length);
    const start = this.#escape.copy(joined);
    const length = joinLines(lines, joined, start);
    const { length: decoded, cutOff } = decodeEscapes(joined, length);
    if (final) return joined.subarray(0, decoded);
    this.#escape = Buffer.from(joined.subarray(decoded - cutOff, decoded));
    return joined.subarray(0, decoded - cutOff);
  }
}

/** Copies lines without white space at their ends and without soft breaks; gives the length reached. */
function joinLines(lines: Buffer, target: Buffer, start: number): number {
  const end = lines.length;
  let to = start;
  let at = 0;
  while (at < end) {
    const byte = lines[at] ?? 0;
    if (byte === SPACE || byte === TAB) {
      const next = skipSpace(lines, at);
      if (!endsLine(lines, next)) to += lines.copy(target, to, at, next);
      at = next;
    } else if (byte === EQUALS) {
      const next = softBreakEnd(lines, at + 1);
      if (next < 0) target[to++] = byte;
      at = next < 0 ? at + 1 : next;
    } else {
      target[to++] = byte;
      at++;
    }
  }
  return to;
}

function skipSpace(lines: Buffer, from: number): number {
  let at = from;
  while (lines[at] === SPACE || lines[at] === TAB) at++;
  return at;
}

function endsLine(lines: Buffer, at: number): boolean {
  return at === lines.length || lines[at] === LF || lines[at] === CR;
}

/** Where the line behind a soft break starts, given the place behind the `=`; -1 if it is none. */
function softBreakEnd(lines: Buffer, from: number): number {
  const at = skipSpace(lines, from);
  if (at === lines.length) return at;
  if (lines[at] === LF) return at + 1;
  const behindCr = lines[at] === CR ? skipSpace(lines, at + 1) : at;
  return lines[behindCr] === LF ? behindCr + 1 : -1;
}

/** Decodes in place. `cutOff` is how many bytes at the end are an escape that was cut off. */
function decodeEscapes(bytes: Buffer, end: number): { length: number; cutOff: number } {
  let at = bytes.subarray(0, end).indexOf(EQUALS);
  if (at < 0) return { length: end, cutOff: 0 };
  let to = at;
  let cutOff = 0;
  while (at < end) {
    const byte = bytes[at] ?? 0;
    if (byte === EQUALS) {
      const high = hexValue(bytes[at + 1] ?? 0);
      const low = hexValue(bytes[at + 2] ?? 0);
      if (at + 2 < end && high >= 0 && low >= 0) {
        bytes[to++] = high * 16 + low;
        at += 3;
        continue;
      }
      if (at + 1 === end || (at + 2 === end && high >= 0)) cutOff = end - at;
    }
    bytes[to++] = byte;
    at++;
  }
  return { length: to, cutOff };
}

function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

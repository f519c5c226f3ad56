import { Unsplittable } from './unsplittable.ts';

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const TAB = 0x09;
const EQUALS = 0x3d;
const none = 64;

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
/** The value of each base64 character; 64 for what is none. */
const sextets = new Uint8Array(256).fill(none);
for (let value = 0; value < none; value++) sextets[alphabet.charCodeAt(value)] = value;

/** One foreign character in so many is noise on the way; more of them are text. */
const charactersPerForeign = 20;
/** Behind padding a shorter line without padding of its own may as well be a word. */
const minLineBehindPadding = 32;
const maxLineBehindPadding = 1024;
/** The footer of a list is shorter; what is longer is something that got there by damage. */
const maxTrailerBytes = 2048;
const partField = /^content-(?:type|disposition|transfer-encoding)[ \t]*:/i;
const damaged = 'in a part of it more stands behind the end of its base64';

/**
 * Undoes base64 (RFC 2045, 6.8) piece by piece. A stray character is skipped; a line that is text throws
 * `Unsplittable`, since decoding it would make noise of what somebody wrote. After a `=` the quartets are counted
 * anew, for senders that join encoded pieces; what is none of those is no part of the data. Equal whole lines,
 * which mails are made of, go through Node's own decoder, which is several times faster.
 */
export class Base64Decoder {
  /** Something that is not base64 stood behind the padding. */
  hasTrailer = false;
  #trailerBytes = 0;
  /** An unfinished quartet, and how many characters of it there are. */
  #quartet = 0;
  #held = 0;
  /** Of the line that is being read. */
  #lineCharacters = 0;
  #lineForeign = 0;
  #lineHasGap = false;
  #lineInGap = false;
  /** Since padding: the line that is looked at before it is decoded. */
  #behindPadding: number[] | undefined;
  readonly #skipsText: boolean;

  constructor({ skipsText = false } = {}) {
    this.#skipsText = skipsText;
  }

  /** Bytes that `decode` may write for a piece, and `end` after it. */
  static maxDecodedBytes(pieceBytes: number): number {
    return Math.ceil(((pieceBytes + maxLineBehindPadding) * 3) / 4) + 6;
  }

  /** Decodes to the beginning of `target`, which must have room for so much, and gives that beginning. */
  decode(piece: Buffer, target = Buffer.allocUnsafe(Base64Decoder.maxDecodedBytes(piece.length))): Buffer {
    const line = piece.indexOf(LF) + 1;
    let length = this.#decodeByHand(piece.subarray(0, line), target, 0);
    let rest = piece.subarray(line);
    if (this.#held === 0 && this.#behindPadding === undefined && !this.hasTrailer) {
      const { read, written } = decodeEqualLines(rest, target, length);
      rest = rest.subarray(read);
      length += written;
    }
    return target.subarray(0, this.#decodeByHand(rest, target, length));
  }

  end(target = Buffer.allocUnsafe(Base64Decoder.maxDecodedBytes(0))): Buffer {
    const length = this.#behindPadding === undefined ? 0 : this.#endLineBehindPadding(target, 0);
    this.#endLine();
    return target.subarray(0, this.#endQuartet(target, length));
  }

  #endQuartet(target: Buffer, start: number): number {
    let at = start;
    const bits = this.#quartet << (6 * (4 - this.#held));
    if (this.#held >= 2) target[at++] = bits >> 16;
    if (this.#held >= 3) target[at++] = bits >> 8;
    this.#quartet = 0;
    this.#held = 0;
    return at;
  }

  #decodeByHand(piece: Buffer, target: Buffer, start: number): number {
    let at = start;
    for (let i = 0; i < piece.length; i++) {
      const byte = piece[i] ?? 0;
      if (this.#behindPadding !== undefined) {
        if (byte === LF) at = this.#endLineBehindPadding(target, at);
        else if (this.#behindPadding.length < maxLineBehindPadding) this.#behindPadding.push(byte);
        continue;
      }
      const value = sextets[byte] ?? none;
      if (value !== none) {
        if (this.#lineInGap) this.#lineHasGap = true;
        this.#lineCharacters++;
        this.#quartet = (this.#quartet << 6) | value;
        if (++this.#held === 4) {
          target[at++] = this.#quartet >> 16;
          target[at++] = this.#quartet >> 8;
          target[at++] = this.#quartet;
          this.#quartet = 0;
          this.#held = 0;
        }
      } else if (byte === EQUALS) {
        // Three characters are padded by one `=`, two by two, of which the second stands behind the first.
        this.#behindPadding = [];
        at = this.#endQuartet(target, at);
      } else if (byte === LF) {
        this.#endLine();
      } else if (byte === SPACE || byte === TAB) {
        this.#lineInGap = this.#lineCharacters + this.#lineForeign > 0;
      } else if (byte !== CR) {
        if (this.#lineInGap) this.#lineHasGap = true;
        this.#lineForeign++;
      }
    }
    return at;
  }

  #endLine(): void {
    const isText = this.#lineForeign * charactersPerForeign > this.#lineCharacters;
    if (!this.#skipsText && (this.#lineHasGap || isText))
      throw new Unsplittable('a part of it is declared base64 and is text');
    this.#lineCharacters = 0;
    this.#lineForeign = 0;
    this.#lineHasGap = false;
    this.#lineInGap = false;
  }

  /** Decodes a line, or the rest of one, behind padding if it is base64 again. */
  #endLineBehindPadding(target: Buffer, start: number): number {
    const line = Buffer.from(this.#behindPadding ?? []).toString('latin1');
    const bare = line.replace(/^=*\s*/, '').trimEnd();
    this.#behindPadding = [];
    if (bare === '') return start;
    // What is beyond ASCII in data got there by damage.
    const ascii = bare.replace(/[\x80-\xff]+/g, '');
    const isBase64 = /^[A-Za-z0-9+/=]+$/.test(ascii) && line.length < maxLineBehindPadding;
    const isData = ascii.length >= minLineBehindPadding;
    if (this.hasTrailer || !isBase64 || ascii !== bare) {
      this.#trailerBytes += line.length;
      const hides = (isBase64 && (isData || ascii.endsWith('='))) || partField.test(bare);
      if (!this.#skipsText && (hides || this.#trailerBytes > maxTrailerBytes))
        throw new Unsplittable(damaged);
      this.hasTrailer = true;
      return start;
    }
    const isPadded = /^(?:[A-Za-z0-9+/]{2,}={1,2})+$/.test(bare);
    if (!isPadded && !(isData && bare.length % 4 === 0) && !this.#skipsText) throw new Unsplittable(damaged);
    let at = start;
    for (const segment of bare.match(/[A-Za-z0-9+/]+={0,2}/g) ?? [])
      at += target.write(segment, at, 'base64');
    if (!isPadded) this.#behindPadding = undefined;
    return at;
  }
}

/** Has Node decode the first lines, as far as they are of one length and of whole quartets and nothing else. */
function decodeEqualLines(piece: Buffer, target: Buffer, start: number): { read: number; written: number } {
  const nothing = { read: 0, written: 0 };
  const lineLength = piece.indexOf(LF) + 1;
  const lineEnd = piece[lineLength - 2] === CR ? 2 : 1;
  const characters = lineLength - lineEnd;
  if (characters <= 0 || characters % 4 !== 0) return nothing;
  let read = lineLength;
  while (piece[read + lineLength - 1] === LF && (lineEnd === 1 || piece[read + lineLength - 2] === CR)) {
    read += lineLength;
  }
  const lines = piece.subarray(0, read);
  // Node takes these for data, which in mail they are not.
  if (lines.includes(0x2d) || lines.includes(0x5f)) return nothing;
  const written = target.write(lines.toString('latin1'), start, 'base64');
  // It is shorter where something else stands in them.
  return written === (read / lineLength) * characters * 0.75 ? { read, written } : nothing;
}

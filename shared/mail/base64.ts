const LF = 0x0a;
const CR = 0x0d;
const EQUALS = 0x3d;
const none = 64;

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
/** The value of each base64 character; 64 for what is none. */
const sextets = new Uint8Array(256).fill(none);
for (let value = 0; value < none; value++) sextets[alphabet.charCodeAt(value)] = value;

/** So much is handed to Node at a time: as a string it stays cheap. */
const sliceBytes = 64 * 1024;

/** Undoes base64 as `Base64Decoder` does, for a body that is whole in memory. */
export function decodeBase64(body: Buffer): Buffer {
  const decoder = new Base64Decoder();
  const decoded = Buffer.allocUnsafe(maxDecodedBytes(body));
  let length = 0;
  for (let at = 0; at < body.length; at += sliceBytes) {
    length = decoder.decodeInto(body.subarray(at, at + sliceBytes), decoded, length);
  }
  return decoded.subarray(0, decoder.endInto(decoded, length));
}

function maxDecodedBytes(piece: Buffer): number {
  return Math.ceil((piece.length * 3) / 4) + 3;
}

/**
 * Undoes base64 (RFC 2045, 6.8) piece by piece, as tolerant as mailparser: what is no base64 character
 * is skipped, and after a `=` the quartets are counted anew. Equal whole lines, which mails are made of,
 * go through Node's own decoder, which is several times faster.
 */
export class Base64Decoder {
  /** An unfinished quartet, and how many characters of it there are. */
  #quartet = 0;
  #held = 0;

  decode(piece: Buffer): Buffer {
    const decoded = Buffer.allocUnsafe(maxDecodedBytes(piece));
    return decoded.subarray(0, this.decodeInto(piece, decoded, 0));
  }

  end(): Buffer {
    const decoded = Buffer.alloc(2);
    return decoded.subarray(0, this.endInto(decoded, 0));
  }

  /** Writes what it decodes to `target`, from `start` on; gives the place reached. */
  decodeInto(piece: Buffer, target: Buffer, start: number): number {
    const line = piece.indexOf(LF) + 1;
    let length = this.#decodeByHand(piece.subarray(0, line), target, start);
    let rest = piece.subarray(line);
    if (this.#held === 0) {
      const { read, written } = decodeEqualLines(rest, target, length);
      rest = rest.subarray(read);
      length += written;
    }
    length = this.#decodeByHand(rest, target, length);
    return length;
  }

  /** As `decodeInto`, for what an unfinished quartet holds. */
  endInto(target: Buffer, start: number): number {
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
      const value = sextets[byte] ?? none;
      if (value !== none) {
        this.#quartet = (this.#quartet << 6) | value;
        if (++this.#held === 4) {
          target[at++] = this.#quartet >> 16;
          target[at++] = this.#quartet >> 8;
          target[at++] = this.#quartet;
          this.#quartet = 0;
          this.#held = 0;
        }
      } else if (byte === EQUALS) {
        at = this.endInto(target, at);
      }
    }
    return at;
  }
}

/**
 * Has Node decode the first lines as far as they are all of one length and of whole quartets. Reads
 * nothing when there is anything else in them: then what Node makes of them is shorter than it should be.
 */
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
  const expected = (read / lineLength) * characters * 0.75;
  return target.write(lines.toString('latin1'), start, 'base64') === expected
    ? { read, written: expected }
    : nothing;
}

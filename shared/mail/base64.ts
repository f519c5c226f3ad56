const EQUALS = 0x3d;
const none = 64;

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
/** The value of each base64 character; 64 for what is none. */
const sextets = new Uint8Array(256).fill(none);
for (let value = 0; value < none; value++) sextets[alphabet.charCodeAt(value)] = value;

/** Added up over a piece, these give the number of its base64 characters, or a huge number. */
const weights = new Uint32Array(256);
for (let byte = 0; byte < 256; byte++) weights[byte] = sextets[byte] === none ? 0 : 1;
const needsCare = 2 ** 31;
/** Node takes `-` and `_` for data, which in mail they are not, and ends at the first `=`. */
for (const character of '=-_') weights[character.charCodeAt(0)] = needsCare;

/** Undoes base64 as `Base64Decoder` does, for a body that is whole in memory. */
export function decodeBase64(body: Buffer): Buffer {
  if (nodeDecodesRight(body)) return Buffer.from(body.toString('latin1'), 'base64');
  const decoder = new Base64Decoder();
  return Buffer.concat([decoder.decode(body), decoder.end()]);
}

function nodeDecodesRight(body: Buffer): boolean {
  if (body.includes(0x2d) || body.includes(0x5f)) return false;
  const padding = body.indexOf(EQUALS);
  if (padding < 0) return true;
  if (body.length - padding > 1024) return false;
  return body.subarray(padding).every((byte) => sextets[byte] === none);
}

/**
 * Undoes base64 (RFC 2045, 6.8) piece by piece, as tolerant as mailparser: what is no base64 character
 * is skipped, and after a `=` the quartets are counted anew. Clean input goes through Node's own decoder.
 */
export class Base64Decoder {
  /** An unfinished quartet, and how many characters of it there are. */
  #quartet = 0;
  #held = 0;

  decode(piece: Buffer): Buffer {
    let characters = 0;
    for (let i = 0; i < piece.length; i++) characters += weights[piece[i] ?? 0] ?? 0;
    const clean = characters < needsCare;
    const decoded = Buffer.allocUnsafe(Math.ceil(((clean ? characters : piece.length) * 3) / 4) + 3);
    if (!clean || characters < 8) return decoded.subarray(0, this.#decodeByHand(piece, decoded, 0));

    const head = skipCharacters(piece, (4 - this.#held) % 4);
    const aligned = characters - ((4 - this.#held) % 4);
    const tail = skipCharactersBack(piece, aligned % 4);
    let length = this.#decodeByHand(piece.subarray(0, head), decoded, 0);
    length += decoded.write(piece.toString('latin1', head, tail), length, 'base64');
    length = this.#decodeByHand(piece.subarray(tail), decoded, length);
    return decoded.subarray(0, length);
  }

  end(): Buffer {
    const decoded = Buffer.alloc(2);
    return decoded.subarray(0, this.#flush(decoded, 0));
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
        at = this.#flush(target, at);
      }
    }
    return at;
  }

  #flush(target: Buffer, start: number): number {
    let at = start;
    const bits = this.#quartet << (6 * (4 - this.#held));
    if (this.#held >= 2) target[at++] = bits >> 16;
    if (this.#held >= 3) target[at++] = bits >> 8;
    this.#quartet = 0;
    this.#held = 0;
    return at;
  }
}

/** The place behind the first `count` base64 characters. */
function skipCharacters(piece: Buffer, count: number): number {
  let at = 0;
  for (let left = count; left > 0; at++) if (weights[piece[at] ?? 0] === 1) left--;
  return at;
}

/** The place before the last `count` base64 characters. */
function skipCharactersBack(piece: Buffer, count: number): number {
  let at = piece.length;
  for (let left = count; left > 0; at--) if (weights[piece[at - 1] ?? 0] === 1) left--;
  return at;
}

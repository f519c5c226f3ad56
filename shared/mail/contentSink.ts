import { Base64Decoder } from './base64.ts';
import { isBlank, join } from './bytes.ts';
import { giveWay } from './eventLoop.ts';
import type { Content, ContentStore, ContentWriter } from './mail.ts';
import { createTransferDecoder, type TransferDecoder, type TransferEncoding } from './transferEncoding.ts';
import { Unsplittable } from './unsplittable.ts';

/** So much is decoded at a time: a turn of the event loop stays short, and a string made of it cheap. */
const sliceBytes = 64 * 1024;
const smallBytes = 16 * 1024;
const noBytes = Buffer.alloc(0);

/** Decodes the body of one part into the store: in one go when it comes as one piece, piece by piece otherwise. */
export class ContentSink {
  readonly #store: ContentStore;
  readonly #decoder: TransferDecoder;
  #first: Buffer | undefined;
  #writer: ContentWriter | undefined;

  constructor(store: ContentStore, encoding: TransferEncoding) {
    this.#store = store;
    this.#decoder = createTransferDecoder(encoding);
  }

  /** There was more behind the end of its encoding, which was not taken. */
  get hasTrailer(): boolean {
    return this.#decoder.hasTrailer === true;
  }

  async write(piece: Buffer): Promise<void> {
    if (!this.#writer && !this.#first) {
      this.#first = piece;
      return;
    }
    this.#writer ??= this.#store.begin();
    const first = this.#first;
    this.#first = undefined;
    if (first) await this.#pass(this.#writer, first);
    await this.#pass(this.#writer, piece);
  }

  async #pass(writer: ContentWriter, piece: Buffer): Promise<void> {
    for (const slice of slicesOf([piece])) {
      await writer.write(this.#decoder.decode(slice));
      await giveWay();
    }
  }

  async end(): Promise<Content> {
    if (!this.#writer) return this.#store.put(await decodeWhole(this.#decoder, [this.#first ?? noBytes]));
    const rest = this.#decoder.end();
    if (rest.length > 0) await this.#writer.write(rest);
    return this.#writer.end();
  }

  /** Forgets what was written; to be called instead of `end`, and throws where that would: damage hides something. */
  async discard(): Promise<void> {
    if (this.#writer) this.#decoder.end();
    else await decodeWhole(this.#decoder, [this.#first ?? noBytes]);
    await this.#writer?.abort();
  }
}

/** The body of a leaf that is held in memory, encoded as it stands in the mail, until its end. */
export class HeldBody {
  encodedBytes = 0;
  isBlank = true;
  readonly #encoded: Buffer[] = [];
  readonly #decoder: TransferDecoder;

  constructor(encoding: TransferEncoding) {
    this.#decoder = createTransferDecoder(encoding);
  }

  get hasTrailer(): boolean {
    return this.#decoder.hasTrailer === true;
  }

  write(bytes: Buffer): void {
    this.encodedBytes += bytes.length;
    this.isBlank &&= isBlank(bytes);
    // A small slice must not keep the large block alive that it is one of.
    const isSmall = bytes.length <= smallBytes || bytes.length < bytes.buffer.byteLength / 8;
    this.#encoded.push(this.#encoded.length > 0 || isSmall ? Buffer.from(bytes) : bytes);
  }

  /** So many bytes of it at most, as they stand in the mail, one character a byte. */
  encodedStart(maxBytes: number): string {
    return Buffer.concat(this.#encoded, Math.min(this.encodedBytes, maxBytes)).toString('latin1');
  }

  takeEncoded(): Buffer[] {
    return this.#encoded.splice(0);
  }

  end(): Promise<Buffer> {
    return decodeWhole(this.#decoder, this.takeEncoded());
  }
}

/** Undoes the encoding of a body that is whole in memory; one that is not encoded and in one piece is not copied. */
async function decodeWhole(decoder: TransferDecoder, pieces: readonly Buffer[]): Promise<Buffer> {
  if (decoder.isIdentity) return join(pieces);
  const [first = noBytes] = pieces;
  if (pieces.length <= 1 && first.length <= sliceBytes)
    return join([decoder.decode(first), decoder.end()].filter(({ length }) => length > 0));
  const encodedBytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const isBase64 = decoder instanceof Base64Decoder;
  const whole = Buffer.allocUnsafe(
    isBase64 ? Base64Decoder.maxDecodedBytes(encodedBytes) : encodedBytes + sliceBytes,
  );
  let length = 0;
  const add = (decoded: Buffer) => {
    if (length + decoded.length > whole.length)
      throw new Unsplittable('a part of it grows when it is decoded');
    length += isBase64 ? decoded.length : decoded.copy(whole, length);
  };
  for (const slice of slicesOf(pieces)) {
    add(decoder.decode(slice, whole.subarray(length)));
    await giveWay();
  }
  add(decoder.end(whole.subarray(length)));
  return whole.subarray(0, length);
}

function* slicesOf(pieces: readonly Buffer[]): Generator<Buffer> {
  for (const piece of pieces)
    for (let at = 0; at < piece.length; at += sliceBytes) yield piece.subarray(at, at + sliceBytes);
}

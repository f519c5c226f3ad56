import { Base64Decoder } from './base64.ts';
import { EventLoopTurn } from './eventLoop.ts';
import type { Content, ContentStore, ContentWriter } from './mail.ts';
import { createTransferDecoder, type TransferDecoder, type TransferEncoding } from './transferEncoding.ts';
import { Unsplittable } from './unsplittable.ts';

/** So much is decoded at a time: a turn of the event loop stays short, and a string made of it cheap. */
const sliceBytes = 64 * 1024;

/**
 * Takes the encoded body of one part in pieces and puts its decoded bytes into the store: in one go
 * when all of it comes as one piece, piece by piece otherwise.
 */
export class ContentSink {
  readonly #store: ContentStore;
  readonly #encoding: TransferEncoding;
  readonly #decoder: TransferDecoder;
  #first: Buffer | undefined;
  #writer: ContentWriter | undefined;

  constructor(store: ContentStore, encoding: TransferEncoding) {
    this.#store = store;
    this.#encoding = encoding;
    this.#decoder = createTransferDecoder(encoding);
  }

  /** There was more behind the end of its encoding, which was not taken. */
  get hasTrailer(): boolean {
    return this.#decoder.hasTrailer;
  }

  write(piece: Buffer): Promise<void> | void {
    if (this.#writer) return this.#pass(this.#writer, piece);
    if (!this.#first) {
      this.#first = piece;
      return;
    }
    const writer = this.#store.begin();
    const first = this.#first;
    this.#writer = writer;
    this.#first = undefined;
    return this.#passBoth(writer, first, piece);
  }

  async #passBoth(writer: ContentWriter, first: Buffer, second: Buffer): Promise<void> {
    await this.#pass(writer, first);
    await this.#pass(writer, second);
  }

  #pass(writer: ContentWriter, piece: Buffer): Promise<void> | void {
    if (this.#encoding === 'identity' || piece.length <= sliceBytes)
      return writer.write(this.#decoder.decode(piece));
    return this.#passSlices(writer, piece);
  }

  async #passSlices(writer: ContentWriter, piece: Buffer): Promise<void> {
    const turn = new EventLoopTurn();
    for (let at = 0; at < piece.length; at += sliceBytes) {
      await writer.write(this.#decoder.decode(piece.subarray(at, at + sliceBytes)));
      await turn.giveWay();
    }
  }

  async end(): Promise<Content> {
    if (!this.#writer)
      return this.#store.put(
        await decodeWhole(this.#decoder, this.#encoding, this.#first ? [this.#first] : []),
      );
    const rest = this.#decoder.end();
    if (rest.length > 0) await this.#writer.write(rest);
    return this.#writer.end();
  }

  /** Forgets what was written; to be called instead of `end`. */
  async discard(): Promise<void> {
    this.#first = undefined;
    await this.#writer?.abort();
  }
}

/** Undoes the encoding of a body that is whole in memory; one that is not encoded and in one piece is not copied. */
export async function decodeWhole(
  decoder: TransferDecoder,
  encoding: TransferEncoding,
  pieces: readonly Buffer[],
): Promise<Buffer> {
  const [first = Buffer.alloc(0)] = pieces;
  if (encoding === 'identity' || encoding === 'unknown')
    return pieces.length > 1 ? Buffer.concat(pieces) : first;
  const turn = new EventLoopTurn();
  const encodedBytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
  if (decoder instanceof Base64Decoder) {
    const whole = Buffer.allocUnsafe(Base64Decoder.maxDecodedBytes(encodedBytes));
    let length = 0;
    for (const slice of slicesOf(pieces)) {
      length = decoder.decodeInto(slice, whole, length);
      if (encodedBytes > sliceBytes) await turn.giveWay();
    }
    return whole.subarray(0, decoder.endInto(whole, length));
  }
  if (pieces.length <= 1 && first.length <= sliceBytes) {
    const decoded = decoder.decode(first);
    const rest = decoder.end();
    return rest.length === 0 ? decoded : Buffer.concat([decoded, rest]);
  }
  const whole = Buffer.allocUnsafe(encodedBytes + sliceBytes);
  let length = 0;
  const add = (decoded: Buffer) => {
    if (length + decoded.length > whole.length)
      throw new Unsplittable('a part of it grows when it is decoded');
    length += decoded.copy(whole, length);
  };
  for (const slice of slicesOf(pieces)) {
    add(decoder.decode(slice));
    await turn.giveWay();
  }
  add(decoder.end());
  return whole.subarray(0, length);
}

function* slicesOf(pieces: readonly Buffer[]): Generator<Buffer> {
  for (const piece of pieces)
    for (let at = 0; at < piece.length; at += sliceBytes) yield piece.subarray(at, at + sliceBytes);
}

import type { Entity } from './entity.ts';
import type { Content, ContentStore, ContentWriter } from './mail.ts';
import { createTransferDecoder, decodeTransfer, type TransferDecoder } from './transferEncoding.ts';

/**
 * Takes the encoded body of one part in pieces and puts its decoded bytes into the store: in one go
 * when all of it comes as one piece, piece by piece otherwise.
 */
export class ContentSink {
  readonly #store: ContentStore;
  readonly #encoding: Entity['encoding'];
  #first: Buffer | undefined;
  #stream: { readonly writer: ContentWriter; readonly decoder: TransferDecoder } | undefined;

  constructor(store: ContentStore, encoding: Entity['encoding']) {
    this.#store = store;
    this.#encoding = encoding;
  }

  write(piece: Buffer): Promise<void> | void {
    if (this.#stream) return this.#stream.writer.write(this.#stream.decoder.decode(piece));
    if (!this.#first) {
      this.#first = piece;
      return;
    }
    return this.#begin(this.#first, piece);
  }

  async #begin(first: Buffer, second: Buffer): Promise<void> {
    const decoder = createTransferDecoder(this.#encoding);
    const writer = this.#store.begin();
    this.#stream = { writer, decoder };
    this.#first = undefined;
    await writer.write(decoder.decode(first));
    await writer.write(decoder.decode(second));
  }

  async end(): Promise<Content> {
    if (!this.#stream) return this.#store.put(decodeTransfer(this.#encoding, this.#first ?? Buffer.alloc(0)));
    const { writer, decoder } = this.#stream;
    const rest = decoder.end();
    if (rest.length > 0) await writer.write(rest);
    return writer.end();
  }
}

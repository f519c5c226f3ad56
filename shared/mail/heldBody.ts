import { decodeWhole } from './contentSink.ts';
import type { Entity } from './entity.ts';
import { isBlank } from './multipart.ts';
import { createTransferDecoder, type TransferDecoder } from './transferEncoding.ts';

const smallBytes = 16 * 1024;

/** The body of a leaf that is held in memory, encoded as it stands in the mail, until its end. */
export class HeldBody {
  encodedBytes = 0;
  isBlank = true;
  readonly #encoding: Entity['encoding'];
  readonly #encoded: Buffer[] = [];
  readonly #decoder: TransferDecoder;

  constructor({ encoding }: Entity) {
    this.#encoding = encoding;
    this.#decoder = createTransferDecoder(encoding);
  }

  get hasTrailer(): boolean {
    return this.#decoder.hasTrailer;
  }

  write(bytes: Buffer): void {
    this.encodedBytes += bytes.length;
    this.isBlank &&= isBlank(bytes);
    // A small slice must not keep the large block alive that it is one of.
    const isSmall = bytes.length <= smallBytes || bytes.length < bytes.buffer.byteLength / 8;
    this.#encoded.push(this.#encoded.length > 0 || isSmall ? Buffer.from(bytes) : bytes);
  }

  /** One character a byte. */
  encodedText(): string {
    return this.#encoded.map((piece) => piece.toString('latin1')).join('');
  }

  takeEncoded(): Buffer[] {
    return this.#encoded.splice(0);
  }

  async end(): Promise<Buffer> {
    return decodeWhole(this.#decoder, this.#encoding, this.takeEncoded());
  }
}

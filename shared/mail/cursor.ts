/** Reads numbers, little-endian, and slices from the beginning on; beyond the end it throws a RangeError. */
export class Cursor {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** Whether these bytes come next; they are taken if so. */
  takeIf(expected: Buffer): boolean {
    const isNext = this.#bytes.subarray(this.#at, this.#at + expected.length).equals(expected);
    if (isNext) this.#at += expected.length;
    return isNext;
  }

  take(length: number): Buffer {
    if (length > this.left) throw new RangeError('its end is missing');
    const taken = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return taken;
  }

  takePadded(length: number): Buffer {
    const taken = this.take(length);
    this.#at = Math.min(this.#at + ((4 - (length % 4)) % 4), this.#bytes.length);
    return taken;
  }

  uint8(): number {
    return this.take(1).readUInt8();
  }

  uint16(): number {
    return this.take(2).readUInt16LE();
  }

  uint32(): number {
    return this.take(4).readUInt32LE();
  }
}

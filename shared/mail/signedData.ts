import { join } from './bytes.ts';

const signedDataOid = '2a864886f70d010702';
const dataOid = '2a864886f70d010701';
const tags = { integer: 0x02, octetString: 0x04, oid: 0x06, sequence: 0x30, set: 0x31, explicit0: 0xa0 };
const constructed = 0x20;
const maxDepth = 16;

interface Element {
  readonly tag: number;
  readonly start: number;
  /** Undefined where an end-of-contents closes it. */
  readonly end: number | undefined;
}

/**
 * The content of a CMS signed-data (RFC 5652, 3 and 5): the MIME entity of an opaque-signed S/MIME mail (RFC 8551,
 * 3.5.2). Nothing is verified. Undefined for a detached signature, other content, damage.
 */
export function openSignedData(message: Buffer): Buffer | undefined {
  try {
    return new BerReader(message).readContent();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Reads just as much BER (X.690) as leads to the content; whatever is not as expected throws a RangeError. */
class BerReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  readContent(): Buffer {
    this.#enter(tags.sequence);
    this.#expectOid(signedDataOid);
    this.#enter(tags.explicit0);
    this.#enter(tags.sequence);
    this.#skip(this.#enter(tags.integer), 0);
    this.#skip(this.#enter(tags.set), 0);
    this.#enter(tags.sequence);
    this.#expectOid(dataOid);
    this.#enter(tags.explicit0);
    const pieces: Buffer[] = [];
    this.#readOctets(this.#next(), pieces, 0);
    return join(pieces);
  }

  #next(): Element {
    const tag = this.#byte();
    if ((tag & 0x1f) === 0x1f) throw new RangeError('long tags are in no signed-data');
    const length = this.#byte();
    if (length === 0x80) {
      if ((tag & constructed) === 0) throw new RangeError('a primitive value has a length');
      return { tag, start: this.#at, end: undefined };
    }
    let bytes = length;
    if (length > 0x80) {
      if (length > 0x84) throw new RangeError('longer than any mail');
      bytes = 0;
      for (let digits = length & 0x7f; digits > 0; digits--) bytes = bytes * 256 + this.#byte();
    }
    if (this.#at + bytes > this.#bytes.length) throw new RangeError('its end is missing');
    return { tag, start: this.#at, end: this.#at + bytes };
  }

  #enter(tag: number): Element {
    const element = this.#next();
    if (element.tag !== tag) throw new RangeError('something else was expected');
    return element;
  }

  #expectOid(oid: string): void {
    const { start, end = start } = this.#enter(tags.oid);
    if (this.#bytes.toString('hex', start, end) !== oid) throw new RangeError('something else was expected');
    this.#at = end;
  }

  #skip({ end }: Element, depth: number): void {
    if (depth > maxDepth) throw new RangeError('too deep');
    if (end !== undefined) {
      this.#at = end;
      return;
    }
    while (!this.#atEndOfContents()) this.#skip(this.#next(), depth + 1);
  }

  #readOctets({ tag, start, end }: Element, pieces: Buffer[], depth: number): void {
    if (tag === tags.octetString && end !== undefined) {
      pieces.push(this.#bytes.subarray(start, end));
      this.#at = end;
      return;
    }
    if (tag !== (tags.octetString | constructed) || depth > maxDepth) throw new RangeError('no octets');
    while (end === undefined ? !this.#atEndOfContents() : this.#at < end)
      this.#readOctets(this.#next(), pieces, depth + 1);
  }

  #atEndOfContents(): boolean {
    if (this.#bytes[this.#at] !== 0 || this.#bytes[this.#at + 1] !== 0) return false;
    this.#at += 2;
    return true;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new RangeError('its end is missing');
    return byte;
  }
}

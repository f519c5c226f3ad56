import { join } from './bytes.ts';
import { Cursor } from './cursor.ts';

const signedDataOid = '2a864886f70d010702';
const dataOid = '2a864886f70d010701';
const tags = { integer: 0x02, octetString: 0x04, oid: 0x06, sequence: 0x30, set: 0x31, explicit0: 0xa0 };
const constructed = 0x20;
const endOfContents = Buffer.alloc(2);
const maxDepth = 16;
/** A signer that streams makes one of some hundred bytes; of empty ones each would take memory and time all the same. */
const maxElements = 200_000;

interface Element {
  readonly tag: number;
  /** How many bytes it holds; undefined where an end-of-contents closes it. */
  readonly bytes: number | undefined;
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
class BerReader extends Cursor {
  #elements = 0;

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
    return join([...this.#readOctets(this.#next(), 0)]);
  }

  #next(): Element {
    if (++this.#elements > maxElements) throw new RangeError('it is cut into too many pieces');
    const tag = this.uint8();
    if ((tag & 0x1f) === 0x1f) throw new RangeError('long tags are in no signed-data');
    const length = this.uint8();
    if (length === 0x80) {
      if ((tag & constructed) === 0) throw new RangeError('a primitive value has a length');
      return { tag, bytes: undefined };
    }
    let bytes = length;
    if (length > 0x80) {
      if (length > 0x84) throw new RangeError('longer than any mail');
      bytes = 0;
      for (let digits = length & 0x7f; digits > 0; digits--) bytes = bytes * 256 + this.uint8();
    }
    if (bytes > this.left) throw new RangeError('its end is missing');
    return { tag, bytes };
  }

  #enter(tag: number): Element {
    const element = this.#next();
    if (element.tag !== tag) throw new RangeError('something else was expected');
    return element;
  }

  #expectOid(oid: string): void {
    const { bytes = 0 } = this.#enter(tags.oid);
    if (this.take(bytes).toString('hex') !== oid) throw new RangeError('something else was expected');
  }

  #skip({ bytes }: Element, depth: number): void {
    if (depth > maxDepth) throw new RangeError('too deep');
    if (bytes !== undefined) this.take(bytes);
    else while (!this.takeIf(endOfContents)) this.#skip(this.#next(), depth + 1);
  }

  *#readOctets({ tag, bytes }: Element, depth: number): Generator<Buffer> {
    if (tag === tags.octetString && bytes !== undefined) {
      yield this.take(bytes);
      return;
    }
    if (tag !== (tags.octetString | constructed) || depth > maxDepth) throw new RangeError('no octets');
    const left = this.left - (bytes ?? 0);
    while (bytes === undefined ? !this.takeIf(endOfContents) : this.left > left)
      yield* this.#readOctets(this.#next(), depth + 1);
  }
}

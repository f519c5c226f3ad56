import { Base64Decoder, decodeBase64 } from './base64.ts';
import type { Entity } from './entity.ts';
import { decodeQuotedPrintable, QuotedPrintableDecoder } from './quotedPrintable.ts';

/** Undoes a content transfer encoding piece by piece. */
export interface TransferDecoder {
  decode(piece: Buffer): Buffer;
  /** What was held back. */
  end(): Buffer;
}

/** A decoder for a body that comes in pieces. */
export function createTransferDecoder(encoding: Entity['encoding']): TransferDecoder {
  if (encoding === 'base64') return new Base64Decoder();
  if (encoding === 'quoted-printable') return new QuotedPrintableDecoder();
  return { decode: (piece) => piece, end: () => Buffer.alloc(0) };
}

/** Undoes the encoding of a body that is whole in memory; 7bit, 8bit and binary are not copied. */
export function decodeTransfer(encoding: Entity['encoding'], body: Buffer): Buffer {
  if (encoding === 'base64') return decodeBase64(body);
  if (encoding === 'quoted-printable') return decodeQuotedPrintable(body);
  return body;
}

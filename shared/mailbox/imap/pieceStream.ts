import { Readable } from 'node:stream';

/**
 * A mail as a stream of pieces, the next one fetched while the last is consumed; `first` is there already.
 *
 * A piece ends a mail only when it is shorter than was asked for and the server's size is reached. Else
 * the next piece is asked for, and only an empty one proves the end: a stream never ends short in silence,
 * and a size that errs does no harm. `fetchPiece` rejects when the mail can't be read on.
 */
export function streamPieces(
  first: Buffer,
  sizeBytes: number,
  pieceBytes: number,
  fetchPiece: (offset: number) => Promise<Buffer>,
): Readable {
  return Readable.from(readPieces(first, sizeBytes, pieceBytes, fetchPiece), {
    objectMode: false,
    highWaterMark: 1,
  });
}

async function* readPieces(
  first: Buffer,
  sizeBytes: number,
  pieceBytes: number,
  fetchPiece: (offset: number) => Promise<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  let piece = first;
  let offset = 0;
  while (piece.length > 0) {
    offset += piece.length;
    const isLast = piece.length !== pieceBytes && offset >= sizeBytes;
    const next = isLast ? undefined : fetchPiece(offset);
    // It may fail while the consumer is busy, and is awaited only after.
    next?.catch(() => {});
    yield piece;
    if (next === undefined) return;
    piece = await next;
  }
}

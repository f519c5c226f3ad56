import { Failure } from '../../failure/failure.ts';
import { Limit } from '../../wait/parallel.ts';
import type { NoMail } from '../mailbox.ts';

export type MailPieces = ReturnType<typeof mailPieces>;

/** The pieces of one mail, one on the wire at a time. */
export function mailPieces(fetchPiece: (offset: number) => Promise<Buffer | NoMail>) {
  const wire = new Limit(1);
  let unread: Promise<Buffer | NoMail> | undefined;
  let isOver = false;

  const fetch = async (offset: number): Promise<Buffer | NoMail> => {
    if (isOver) {
      throw new Failure('internal', 'A mail was read on after the fetch had gone on to the next one.');
    }
    const first = unread;
    unread = undefined;
    if (offset === 0 && first !== undefined) return await first;
    return await wire.run(() => fetchPiece(offset));
  };

  return {
    fetch,
    /** Fetches the first piece, which says whether there is a mail at all; the first reader then gets it. */
    begin: async (): Promise<Buffer | NoMail> => {
      unread = fetch(0);
      return await unread;
    },
    /** Resolves when none is on the wire, and none will be. */
    end: async (): Promise<void> => {
      isOver = true;
      unread = undefined;
      await wire.run(async () => {});
    },
  };
}

/**
 * Joins the pieces of a mail, the next one fetched while the last is consumed. A short piece that reaches just the size
 * that the server gave proves the end, and an empty one where the last was short, or such a size was reached: so a size
 * that errs does no harm. Short is what is less than was asked for, and than the shortest piece that was not the last:
 * some servers always give less. An empty piece behind a full one is what a server gives that can't read on: rejects then.
 */
export async function* joinPieces(
  sizeBytes: number,
  pieceBytes: number,
  fetchPiece: (offset: number) => Promise<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  let offset = 0;
  let lastBytes = pieceBytes;
  let fullBytes = pieceBytes;
  for (let coming = fetchPiece(0); ; ) {
    const piece = await coming;
    if (piece.length === 0) {
      if (lastBytes < fullBytes || offset >= sizeBytes) return;
      throw new Failure(
        'mail',
        `The mail server sent ${offset} of the ${sizeBytes} bytes of a mail, and no more.`,
      );
    }
    offset += piece.length;
    fullBytes = Math.min(fullBytes, lastBytes);
    lastBytes = piece.length;
    const isLast = lastBytes < fullBytes && offset === sizeBytes;
    if (!isLast) {
      coming = fetchPiece(offset);
      // It may fail while the consumer is busy, and is awaited only after.
      coming.catch(() => {});
    }
    yield piece;
    if (isLast) return;
  }
}

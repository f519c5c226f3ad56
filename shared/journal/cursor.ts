import type { Place, Portion } from './scan.ts';

/** Where a search goes on: what `next` stands for. */
export interface Cursor extends Pick<Portion, 'day' | 'first' | 'last'> {
  /** Only what comes after this in the portion; absent: the whole portion. */
  readonly key?: string;
}

export function writeCursor({ day, first, last, key }: Cursor): string {
  const parts = [day, first.owner, first.piece, last.owner, last.piece, key ?? ''];
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/** Undefined for what is no `next` of an answer. */
export function readCursor(text: string): Cursor | undefined {
  try {
    const parts: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
    if (!Array.isArray(parts)) return undefined;
    const [day, firstOwner, firstPiece, lastOwner, lastPiece, key] = parts as unknown[];
    if (typeof day !== 'string' || !/^\d{4}-\d\d-\d\d$/.test(day) || typeof key !== 'string')
      return undefined;
    const [first, last] = [readPlace(firstOwner, firstPiece), readPlace(lastOwner, lastPiece)];
    if (first === undefined || last === undefined) return undefined;
    return { day, first, last, ...(key === '' ? {} : { key }) };
  } catch {
    return undefined;
  }
}

function readPlace(owner: unknown, piece: unknown): Place | undefined {
  return typeof owner === 'string' && Number.isSafeInteger(piece)
    ? { owner, piece: Number(piece) }
    : undefined;
}

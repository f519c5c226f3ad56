import type { Place } from './scan.ts';

/** Where a search goes on: what `next` stands for. */
export interface Cursor {
  readonly day: string;
  readonly first: Place;
  readonly last: Place;
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
    const isRight =
      typeof day === 'string' &&
      /^\d{4}-\d\d-\d\d$/.test(day) &&
      typeof firstOwner === 'string' &&
      Number.isSafeInteger(firstPiece) &&
      typeof lastOwner === 'string' &&
      Number.isSafeInteger(lastPiece) &&
      typeof key === 'string';
    if (!isRight) return undefined;
    return {
      day,
      first: { owner: firstOwner, piece: Number(firstPiece) },
      last: { owner: lastOwner, piece: Number(lastPiece) },
      ...(key === '' ? {} : { key }),
    };
  } catch {
    return undefined;
  }
}

import type { ContainerClient } from '@azure/storage-blob';
import { type ConnectionKey, nameOf } from '../connection/connectionStore.ts';
import { codeOf } from '../storage/storageFailure.ts';
import { forEachOf } from '../wait/parallel.ts';
import { type JournalFile, parseFileName } from './files.ts';
import { maxLineBytes } from './lines.ts';

/** What is read for one portion: a day of 100,000 mails and more. */
export const maxPortionBytes = 192 * 1_024 * 1_024;
const maxPortionFiles = 10_000;
const filesAtOnce = 32;
const newline = 10;

/** Bytes of one file. */
export interface Span {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly sizeBytes: number;
}

/** A piece's place in its day: connections in the order of their names, the newest piece of each first. */
export interface Place {
  readonly owner: string;
  readonly piece: number;
}

/** One connection's day, or a piece of it where it is larger than a portion may be: number 0 is the oldest. */
interface Piece extends Place {
  readonly spans: readonly Span[];
}

/** As much of a day as is read at a time, so that memory and time are bounded whatever the day holds. */
export interface Portion {
  readonly day: string;
  readonly first: Place;
  readonly last: Place;
  readonly spans: readonly Span[];
  /** What was written behind it of the same connections: there may be later outcomes of its mails. */
  readonly newer: readonly Span[];
}

/** The days that have a folder, newest first, from `from` to `to`; each `yyyy-mm-dd`. */
export async function listDays(container: ContainerClient, from: string, to: string): Promise<string[]> {
  const days: string[] = [];
  try {
    for await (const item of container.listBlobsByHierarchy('/')) {
      const day = item.name.slice(0, 10);
      if (item.kind === 'prefix' && item.name.length === 11 && day >= from && day <= to) days.push(day);
    }
  } catch (error) {
    if (codeOf(error) !== 'ContainerNotFound') throw error;
  }
  return days.sort().reverse();
}

/** A day's portions from `start` on (or from its first); one that ends at `last` ends there again. */
export async function listPortions(
  container: ContainerClient,
  day: string,
  filter: Partial<ConnectionKey>,
  portionBytes: number,
  start?: { readonly first: Place; readonly last: Place },
): Promise<Portion[]> {
  const pieces = await listPieces(container, day, filter, portionBytes);
  const portions: (Portion & { last: Place; readonly spans: Span[] })[] = [];
  let roomBytes = 0;
  for (const piece of pieces) {
    if (start !== undefined && comparePlaces(piece, start.first) < 0) continue;
    const open = portions.at(-1);
    roomBytes -= bytesOf(piece.spans);
    const isFull = open && (roomBytes < 0 || open.spans.length + piece.spans.length > maxPortionFiles);
    const isPastEnd = portions.length === 1 && start !== undefined && comparePlaces(start.last, piece) < 0;
    if (open && !isFull && !isPastEnd) {
      open.last = piece;
      open.spans.push(...piece.spans);
      continue;
    }
    roomBytes = portionBytes - bytesOf(piece.spans);
    // Only its first connection can have begun in a portion before.
    const newer = pieces
      .filter(({ owner, piece: number }) => owner === piece.owner && number > piece.piece)
      .flatMap(({ spans }) => spans);
    portions.push({ day, first: piece, last: piece, spans: [...piece.spans], newer });
  }
  return portions;
}

/**
 * Gives each line of these spans to `take`, as bytes that are good until it returns and without the line end.
 * Files are read side by side, so the order is theirs only within a file.
 */
export async function scanLines(
  container: ContainerClient,
  spans: readonly Span[],
  take: (line: Buffer, name: string) => void,
  abortSignal: AbortSignal,
): Promise<void> {
  await forEachOf(spans, filesAtOnce, (span) => scanSpan(container, span, take, abortSignal));
}

export function bytesOf(spans: readonly Span[]): number {
  return spans.reduce((sum, { from, to }) => sum + to - from, 0);
}

async function listPieces(
  container: ContainerClient,
  day: string,
  { customer, connection }: Partial<ConnectionKey>,
  portionBytes: number,
): Promise<Piece[]> {
  const files: (JournalFile & { readonly name: string; readonly sizeBytes: number })[] = [];
  const prefix = `${day}/${customer === undefined ? '' : `${customer}/${connection ?? ''}`}`;
  for await (const { name, properties } of container.listBlobsFlat({ prefix })) {
    const file = parseFileName(name);
    const isMeant =
      (customer === undefined || file?.customer === customer) &&
      (connection === undefined || file?.connection === connection);
    if (file && isMeant) files.push({ ...file, name, sizeBytes: properties.contentLength ?? 0 });
  }
  return [...Map.groupBy(files, nameOf)]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([owner, ofOwner]) => {
      const inOrder = ofOwner.sort((a, b) => a.number - b.number);
      return piecesOf(owner, inOrder, portionBytes).reverse();
    });
}

/** Cuts a connection's files, taken as one after the other, at multiples of what a portion may have. */
function piecesOf(
  owner: string,
  files: readonly { name: string; sizeBytes: number }[],
  portionBytes: number,
): Piece[] {
  const pieces = new Map<number, Span[]>();
  let before = 0;
  for (const { name, sizeBytes } of files) {
    for (let from = 0; from < sizeBytes; ) {
      const number = Math.floor((before + from) / portionBytes);
      const to = Math.min(sizeBytes, (number + 1) * portionBytes - before);
      pieces.set(number, [...(pieces.get(number) ?? []), { name, from, to, sizeBytes }]);
      from = to;
    }
    before += sizeBytes;
  }
  return [...pieces].map(([piece, spans]) => ({ owner, piece, spans }));
}

/** Below 0 where `a` comes before `b`. */
export function comparePlaces(a: Place, b: Place): number {
  return a.owner === b.owner ? b.piece - a.piece : a.owner < b.owner ? -1 : 1;
}

/** The lines that begin within the span; the last of them may end behind it. */
async function scanSpan(
  container: ContainerClient,
  { name, from, to, sizeBytes }: Span,
  take: (line: Buffer, name: string) => void,
  abortSignal: AbortSignal,
): Promise<void> {
  // The byte before tells whether a line begins at `from`.
  const offset = Math.max(from - 1, 0);
  const end = Math.min(sizeBytes, to === sizeBytes ? to : to + maxLineBytes);
  let stream: NodeJS.ReadableStream | undefined;
  try {
    const answer = await container.getBlobClient(name).download(offset, end - offset, { abortSignal });
    stream = answer.readableStreamBody;
  } catch (error) {
    // Its time was over, and it was deleted.
    if (codeOf(error) === 'BlobNotFound') return;
    throw error;
  }
  let rest: Buffer[] = [];
  let restBytes = 0;
  let isSkipping = from > 0;
  let position = offset;
  for await (const chunk of stream ?? []) {
    const piece = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    let start = 0;
    for (let at = piece.indexOf(newline); at >= 0; at = piece.indexOf(newline, start)) {
      const begin = position + start - restBytes;
      const line = piece.subarray(start, at);
      if (begin >= to) return;
      if (isSkipping) isSkipping = false;
      else if (restBytes + line.length <= maxLineBytes) {
        take(restBytes === 0 ? line : Buffer.concat([...rest, line]), name);
      }
      rest = [];
      restBytes = 0;
      start = at + 1;
    }
    const tail = piece.subarray(start);
    restBytes += tail.length;
    // What is longer than any line of the journal is none, and is not held.
    if (restBytes <= maxLineBytes) rest.push(tail);
    else rest = [];
    position += piece.length;
  }
}

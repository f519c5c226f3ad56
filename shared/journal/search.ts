import type { ContainerClient } from '@azure/storage-blob';
import type { ConnectionKey } from '../connection/connectionStore.ts';
import { fold } from '../connection/patterns.ts';
import { Failure } from '../failure/failure.ts';
import { storageFailure } from '../storage/storageFailure.ts';
import { Limit } from '../wait/parallel.ts';
import { readCursor, writeCursor } from './cursor.ts';
import { journalDay, parseFileName } from './files.ts';
import type { FoundMail, FoundRun, JournalPage } from './found.ts';
import { hashedMessageId } from './lines.ts';
import { type Candidate, Newest } from './newest.ts';
import { type Later, readLaterLine, readMailLine, readRunLine } from './readLine.ts';
import {
  bytesOf,
  comparePlaces,
  listDays,
  listPortions,
  maxPortionBytes,
  type Portion,
  scanLines,
} from './scan.ts';

/** What is looked for; both times are inclusive. */
export interface JournalQuery extends Partial<ConnectionKey> {
  readonly from: Date;
  readonly to: Date;
  readonly limit: number;
  /** `next` of the page before. */
  readonly after?: string;
  /** How much of a day is read at a time; absent: a day of well over 100,000 mails. */
  readonly portionBytes?: number;
}

/** Another portion is begun no later than this. */
const goOnMs = 4_000;
const goOnPortions = 1.5;
const timeoutMs = 60_000;
/** Later outcomes that are remembered while a portion is read. */
const maxLaters = 200_000;
const laterMark = Buffer.from('{"kind":"later","at":"');
/** Each reads much; more of them wait in line. */
const searches = new Limit(4);

/**
 * The mails that left the unread ones in a window of time, each with its latest outcome. `q` is looked for in
 * Message-ID, subject, addresses and file names, without regard to case; with a journal of ids, which has but
 * the hash of a Message-ID, it must be a whole one. Rejects with a `Failure` of reason `storage`.
 */
export async function findMails(
  container: ContainerClient,
  query: JournalQuery & { readonly q?: string },
): Promise<JournalPage<FoundMail>> {
  return await search(container, query, {
    kind: 'mail',
    matches: query.q ? mentioning(query.q) : () => true,
    read: readMailLine,
  });
}

/** The runs that moved mail or failed. Rejects with a `Failure` of reason `storage`. */
export async function findRuns(
  container: ContainerClient,
  query: JournalQuery & { readonly status?: string },
): Promise<JournalPage<FoundRun>> {
  const { status } = query;
  const mark = Buffer.from(`"status":${JSON.stringify(status)}`);
  return await search(container, query, {
    kind: 'run',
    matches: status === undefined ? () => true : (line) => line.includes(mark),
    read: (line, _later, name) => readRunLine(line, parseFileName(name)),
  });
}

interface Sought<T> {
  readonly kind: 'mail' | 'run';
  /** A look at the bytes alone. */
  readonly matches: (line: Buffer) => boolean;
  readonly read: (line: string, later: Later | undefined, name: string) => T | undefined;
}

type Scan = (spans: Portion['spans'], take: (line: Buffer, name: string) => void) => Promise<void>;

async function search<T>(
  container: ContainerClient,
  query: JournalQuery,
  sought: Sought<T>,
): Promise<JournalPage<T>> {
  return await searches.run(async () => {
    const abortSignal = AbortSignal.timeout(timeoutMs);
    try {
      return await searchDays(container, query, sought, (spans, take) =>
        scanLines(container, spans, take, abortSignal),
      );
    } catch (error) {
      if (!abortSignal.aborted) throw storageFailure(error, 'reading the journal, container email-journal');
      const sentence =
        'The journal could not be read in time. Ask for less: a connection, or a shorter time.';
      throw new Failure('storage', sentence);
    }
  });
}

async function searchDays<T>(
  container: ContainerClient,
  query: JournalQuery,
  sought: Sought<T>,
  scan: Scan,
): Promise<JournalPage<T>> {
  const { portionBytes = maxPortionBytes } = query;
  const cursor = query.after === undefined ? undefined : readCursor(query.after);
  const newest = journalDay(query.to);
  const to = cursor !== undefined && cursor.day < newest ? cursor.day : newest;
  const startMs = performance.now();
  const found: T[] = [];
  let readBytes = 0;
  for (const day of await listDays(container, journalDay(query.from), to)) {
    const start = cursor?.day === day ? cursor : undefined;
    for (const portion of await listPortions(container, day, query, portionBytes, start)) {
      const here = { day, first: portion.first, last: portion.last };
      const sizeBytes = bytesOf(portion.spans);
      const isTooMuch =
        readBytes + sizeBytes > goOnPortions * portionBytes || performance.now() - startMs > goOnMs;
      if (readBytes > 0 && isTooMuch) return { found, next: writeCursor(here), incomplete: untilNow(day) };
      const isResumed = start !== undefined && comparePlaces(start.first, portion.first) === 0;
      const page = new Newest(query.limit - found.length, isResumed ? start.key : undefined);
      const laters = await fill(portion, query, sought, page, scan);
      readBytes += sizeBytes;
      const candidates = page.take();
      await addNewerLaters(portion, candidates, laters, scan);
      for (const { line, id, name } of candidates) {
        const read = sought.read(line, laters.get(id), name);
        if (read !== undefined) found.push(read);
      }
      if (page.lastKey !== undefined && (page.hasMore || found.length >= query.limit)) {
        return { found, next: writeCursor({ ...here, key: page.lastKey }) };
      }
    }
  }
  return { found };
}

/** Of a connection's day that is read in several portions, what became later of a mail stands in a newer one. */
async function addNewerLaters(
  { newer }: Portion,
  candidates: readonly Candidate[],
  laters: Map<string, Later>,
  scan: Scan,
): Promise<void> {
  const undelivered = '"outcome":"undelivered"';
  const ids = new Set(candidates.filter(({ line }) => line.includes(undelivered)).map(({ id }) => id));
  if (newer.length === 0 || ids.size === 0) return;
  await scan(newer, (line) => {
    const later = readLater(line);
    if (later !== undefined && ids.has(later.interchangeId)) laters.set(later.interchangeId, later);
  });
}

/** Puts the portion's newest lines into `page`, and gives what became later of mails, by interchangeId. */
async function fill<T>(
  portion: Portion,
  { from, to }: JournalQuery,
  { kind, matches }: Sought<T>,
  page: Newest,
  scan: Scan,
): Promise<Map<string, Later>> {
  const laters = new Map<string, Later>();
  // One iterator for all: a new one passes over everything that was deleted before.
  const oldest = laters.keys();
  const mark = Buffer.from(`{"kind":"${kind}","at":"`);
  const idMark = Buffer.from(kind === 'mail' ? '"interchangeId":"' : '"runId":"');
  const [earliest, latest] = [from.toISOString(), to.toISOString()];
  await scan(portion.spans, (line, name) => {
    if (begins(line, mark)) {
      const at = line.toString('latin1', mark.length, mark.length + 24);
      if (at < earliest || at > latest || !page.wants(at) || !matches(line)) return;
      const idAt = line.indexOf(idMark, mark.length) + idMark.length;
      const id = line.toString('latin1', idAt, Math.max(line.indexOf('"', idAt), idAt));
      page.add(`${at} ${id}`, line, id, name);
    } else if (kind === 'mail') {
      const later = readLater(line);
      if (later !== undefined) laters.set(later.interchangeId, later);
      if (laters.size > maxLaters) laters.delete(oldest.next().value ?? '');
    }
  });
  return laters;
}

function readLater(line: Buffer): Later | undefined {
  return begins(line, laterMark) ? readLaterLine(line.toString('utf8')) : undefined;
}

/** Whether the line has that at its begin, and a time behind it. */
function begins(line: Buffer, mark: Buffer): boolean {
  return line.length > mark.length + 24 && mark.compare(line, 0, mark.length) === 0;
}

/** Whether a mail's line mentions `q`: looked for in the text first, as it stands in JSON or as a hash. */
function mentioning(q: string): (line: Buffer) => boolean {
  const text = fold(q);
  const json = fold(JSON.stringify(q).slice(1, -1));
  const hashed = hashedMessageId(q);
  return (line) => {
    const whole = line.toString('utf8');
    const folded = fold(whole);
    if (!folded.includes(json) && !folded.includes(hashed ?? json)) return false;
    const mail = readMailLine(whole);
    if (mail === undefined) return false;
    const { emailMessageId, emailSubject, emailFrom, emailTo, parts } = mail;
    if (emailMessageId !== undefined && emailMessageId === hashed) return true;
    const fileNames = parts.map((part) => part.inboundFileName);
    return [emailMessageId, emailSubject, emailFrom, emailTo, ...fileNames].some(
      (field) => field !== undefined && fold(field).includes(text),
    );
  };
}

function untilNow(day: string): string {
  return `This is not all: ${day} and what is older was not read whole, since it is too much for one answer. Go on with next, or ask for a connection or a shorter time.`;
}

import type { ImapFlow } from 'imapflow';
import { nilSource, type Row } from './fetchResponse.ts';
import type { FetchTap, RowSink } from './fetchTap.ts';

/** What to ask for about each mail, besides its UID. */
export interface RowQuery {
  readonly flags?: boolean;
  readonly size?: boolean;
  readonly internalDate?: boolean;
  /** The mail, whole or a piece of it. */
  readonly source?: boolean | { readonly start: number; readonly maxLength: number };
}

/** The rows of a FETCH, as they come. */
export interface Rows {
  /** Those that came since the last call, at least one; none at the end. Rejects as the command does. */
  take(): Promise<readonly Row[]>;
}

interface Attribute {
  readonly type: 'ATOM';
  readonly value: string;
  readonly section?: readonly [];
  readonly partial?: readonly number[];
}

/**
 * What is read from the wire ahead of who takes the rows, in bytes; a larger mail alone may be more. With 1 MiB a
 * drain takes 6 % longer: a mail that waits is no longer in the cache when it is taken apart.
 */
const aheadBytes = 192 * 1024;
/** What a row takes on the wire beside its mail, about. */
const rowBytes = 512;

/**
 * UID FETCH in place of imapflow's own, which makes up an MD5 id for each row and compiles each attribute's
 * name anew. The rows come by the tap; those that it leaves to imapflow come from there. A server's wish to
 * slow down is a refusal.
 */
export function fetchRows(client: ImapFlow, tap: FetchTap | undefined, uids: string, query: RowQuery): Rows {
  const rows = new QueuedRows();
  const detach = tap?.attach(rows);
  execute(client, uids, query, rows)
    .then(
      () => rows.end(),
      (error: unknown) => rows.fail(error),
    )
    .finally(detach);
  return rows;
}

async function execute(client: ImapFlow, uids: string, query: RowQuery, rows: QueuedRows): Promise<void> {
  const exec: unknown = Reflect.get(client, 'exec');
  if (typeof exec !== 'function') throw new TypeError('This version of imapflow has no exec');
  const onFetch = async (untagged: unknown): Promise<void> => {
    const row = readRow(untagged);
    rows.add(row, rowBytes + (row.source?.length ?? 0));
    if (rows.isFull) await new Promise<void>((resume) => rows.whenRoom(resume));
  };
  const args = [{ type: 'SEQUENCE', value: uids }, attributesOf(query)];
  const response: unknown = await exec.call(client, 'UID FETCH', args, { untagged: { FETCH: onFetch } });
  // Until then imapflow reads nothing more.
  const next = member(response, 'next');
  if (typeof next === 'function') next();
}

/** Between the wire and who takes the rows; holds the wire back when it is full. */
class QueuedRows implements Rows, RowSink {
  #rows: Row[] = [];
  #bytes = 0;
  #ended: { readonly error?: unknown } | undefined;
  #wake: () => void = () => undefined;
  #resume: () => void = () => undefined;

  get isFull(): boolean {
    return this.#bytes >= aheadBytes;
  }

  add(row: Row, sizeBytes: number): void {
    this.#rows.push(row);
    this.#bytes += sizeBytes;
    this.#wake();
  }

  whenRoom(resume: () => void): void {
    this.#resume = resume;
  }

  end(): void {
    this.#ended ??= {};
    this.#wake();
  }

  fail(error: unknown): void {
    this.#ended ??= { error };
    this.#wake();
  }

  async take(): Promise<readonly Row[]> {
    if (this.#rows.length === 0 && this.#ended === undefined) {
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
    }
    const taken = this.#rows;
    if (taken.length === 0 && this.#ended !== undefined && 'error' in this.#ended) throw this.#ended.error;
    this.#rows = [];
    this.#bytes = 0;
    const resume = this.#resume;
    this.#resume = () => undefined;
    resume();
    return taken;
  }
}

function attributesOf({ flags, size, internalDate, source }: RowQuery): readonly Attribute[] {
  const named = (value: string, wanted: unknown): readonly Attribute[] =>
    wanted ? [{ type: 'ATOM', value }] : [];
  return [
    ...named('UID', true),
    ...named('FLAGS', flags),
    ...named('INTERNALDATE', internalDate),
    ...named('RFC822.SIZE', size),
    ...(source ? [bodyOf(source)] : []),
  ];
}

/** PEEK leaves \Seen alone. */
function bodyOf(source: NonNullable<RowQuery['source']>): Attribute {
  const body = { type: 'ATOM', value: 'BODY.PEEK', section: [] } as const;
  return typeof source === 'object' ? { ...body, partial: [source.start, source.maxLength] } : body;
}

/** A FETCH response as imapflow parsed it. */
function readRow(untagged: unknown): Row {
  let row: Row = { uid: 0 };
  const items = member(member(untagged, 'attributes'), 1);
  if (!Array.isArray(items)) return row;
  for (let index = 0; index + 1 < items.length; index += 2) {
    const key = member(items[index], 'value');
    if (typeof key === 'string')
      row = { ...row, ...readItem(key.toUpperCase(), items[index], items[index + 1]) };
  }
  return row;
}

function readItem(key: string, name: unknown, value: unknown): Partial<Row> {
  const content = member(value, 'value');
  if (key === 'UID') return { uid: numberIn(content) };
  if (key === 'FLAGS') return { flags: new Set(namesIn(value)) };
  if (key === 'RFC822.SIZE') return { sizeBytes: numberIn(content) };
  if (key === 'INTERNALDATE' && typeof content === 'string') return { internalDate: content };
  if (key === 'BODY' && isEmpty(member(name, 'section'))) return { source: bytesIn(content) };
  return {};
}

function bytesIn(content: unknown): Buffer {
  if (Buffer.isBuffer(content)) return content;
  return typeof content === 'string' ? Buffer.from(content) : nilSource;
}

function namesIn(list: unknown): readonly string[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((one) => {
    const name = member(one, 'value');
    return typeof name === 'string' ? [name] : [];
  });
}

function numberIn(content: unknown): number {
  const text = Buffer.isBuffer(content) ? content.toString('latin1') : content;
  return typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : 0;
}

function isEmpty(section: unknown): boolean {
  return Array.isArray(section) && section.length === 0;
}

function member(value: unknown, name: string | number): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

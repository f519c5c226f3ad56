import type { Folders, SteppedOutcome } from '../../http/testOutcome.ts';
import type { FoundMail, FoundPart, FoundRun } from '../../journal/found.ts';
import type { ColumnError, Connection, JournalPage, Key, Undelivered } from './model.ts';

/** An answer that says what is wrong, or that there was none. */
export class ApiError extends Error {
  /** 0 where no answer came. */
  readonly status: number;
  /** What is wrong with single columns, where that is the trouble. */
  readonly columns: readonly ColumnError[];

  constructor(status: number, message: string, columns: readonly ColumnError[] = []) {
    super(message);
    this.status = status;
    this.columns = columns;
  }
}

export interface Tagged {
  readonly connection: Connection;
  readonly etag: string;
}

/** In steps, as far as the config could be read. */
export type TestOutcome =
  | SteppedOutcome
  | (Folders & { readonly ok: false; readonly error: string; readonly steps?: never });

interface Call {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly key?: string;
}

const usualTimeoutMs = 30_000;
/** What is asked for again and again must say soon that nobody answers. */
const listTimeoutMs = 9_000;
/** A search reads what may be much. */
const searchTimeoutMs = 75_000;
/** The app gives a test up after a minute. */
const testTimeoutMs = 75_000;
const keyName = 'functionKey';
const base = location.pathname.replace(/ui\/?$/, '');

/** How much the server's clock is ahead of this one. */
let clockAheadMs = 0;

export function serverNow(): number {
  return Date.now() + clockAheadMs;
}

export function hasKey(): boolean {
  return sessionStorage.getItem(keyName) !== null;
}

export function forgetKey(): void {
  sessionStorage.removeItem(keyName);
}

/** Keeps the function key for this browser session once the API has taken it; rejects where it doesn't. */
export async function useKey(key: string): Promise<void> {
  await call('GET', 'connections?limit=1', { key });
  sessionStorage.setItem(keyName, key);
}

export interface Listed {
  readonly connections: readonly Connection[];
  /** What `since` is for the next time. */
  readonly asOf: string;
}

export function hasStatus(error: unknown, status: number): boolean {
  return error instanceof ApiError && error.status === status;
}

/** All connections, page by page, or just those that were changed since an answer. */
export async function listConnections(since?: string): Promise<Listed> {
  const all: Connection[] = [];
  let asOf = '';
  for (let next: string | undefined = ''; next !== undefined; ) {
    const query = queryOf({ limit: '1000', since, after: next });
    const page = await get<{ connections: Connection[]; asOf: string; next?: string }>(
      `connections${query}`,
      listTimeoutMs,
    );
    all.push(...page.connections);
    asOf ||= page.asOf;
    next = page.next;
  }
  return { connections: all, asOf };
}

export async function readConnection(key: Key): Promise<Tagged> {
  return tagged(await call('GET', path(key)));
}

/** Only if it is still the version `etag`, or, without one, only if there is none of that name yet. */
export async function saveConnection(key: Key, body: unknown, etag: string | undefined): Promise<Tagged> {
  const headers: Record<string, string> =
    etag === undefined ? { 'if-none-match': '*' } : { 'if-match': etag };
  return tagged(await call('PUT', path(key), { body, headers }));
}

export async function deleteConnection(key: Key, etag: string): Promise<void> {
  await call('DELETE', path(key), { headers: { 'if-match': etag } });
}

/** The state after a run that was begun by it, or undefined where it has not ended within `waitSeconds`. */
export async function poll(key: Key, waitSeconds: 0 | 60): Promise<Connection['state'] | undefined> {
  const query = waitSeconds === 0 ? '' : `?wait=${waitSeconds}`;
  const { json } = await call('POST', `${path(key)}/poll${query}`, { timeoutMs: 75_000 });
  return (json as { state?: Connection['state'] }).state;
}

/** What a list is asked for by: parameters of the query, those that are empty left out. */
export interface ListFilter {
  readonly customer?: string | undefined;
  readonly connection?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly q?: string | undefined;
  readonly limit?: string | undefined;
  readonly after?: string | undefined;
}

type Answered<T, Name extends string> = Omit<JournalPage<T>, 'found'> & Readonly<Record<Name, readonly T[]>>;

export async function findMails(filter: ListFilter): Promise<JournalPage<FoundMail>> {
  const path = `mails${queryOf({ ...filter })}`;
  const { mails, ...rest } = await get<Answered<FoundMail, 'mails'>>(path, searchTimeoutMs);
  return { found: mails, ...rest };
}

export async function findRuns(filter: ListFilter): Promise<JournalPage<FoundRun>> {
  const path = `runs${queryOf({ ...filter })}`;
  const { runs, ...rest } = await get<Answered<FoundRun, 'runs'>>(path, searchTimeoutMs);
  return { found: runs, ...rest };
}

/** The version of the app that answers. */
export async function readVersion(): Promise<string> {
  return (await get<{ info: { version: string } }>('openapi.json')).info.version;
}

export async function testConnection(key: Key, body: unknown): Promise<TestOutcome> {
  const { json } = await call('POST', `${path(key)}/test?steps=true`, { body, timeoutMs: testTimeoutMs });
  return json as TestOutcome;
}

export interface UndeliveredPage {
  readonly undelivered: readonly Undelivered[];
  readonly next?: string;
}

/** A page of records, newest first. */
export async function listUndelivered(filter: ListFilter = {}, limit = 100): Promise<UndeliveredPage> {
  return await get(`undelivered${queryOf({ ...filter, limit: String(limit) })}`, listTimeoutMs);
}

/** Every record of a filter, page by page; `most` bounds them. */
export async function allUndelivered(filter: ListFilter, most: number): Promise<Undelivered[]> {
  const all: Undelivered[] = [];
  for (let after: string | undefined = ''; after !== undefined && all.length < most; ) {
    const page: UndeliveredPage = await listUndelivered({ ...filter, after }, 1_000);
    all.push(...page.undelivered);
    after = page.next;
  }
  return all;
}

/** With its parts. */
export async function readUndelivered(
  id: string,
): Promise<Undelivered & { readonly parts: readonly FoundPart[] }> {
  return await get(`undelivered/${encodeURIComponent(id)}`);
}

/** Resolves also when it is gone already. */
export async function giveUpUndelivered(id: string): Promise<void> {
  await call('DELETE', `undelivered/${encodeURIComponent(id)}`).catch(unlessGone);
}

/** Resolves also when the mail has been delivered meanwhile. */
export async function resendUndelivered(id: string): Promise<void> {
  await call('POST', `undelivered/${encodeURIComponent(id)}/resend`).catch(unlessGone);
}

function unlessGone(error: unknown): void {
  if (!hasStatus(error, 404)) throw error;
}

function queryOf(values: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value) query.set(name, value);
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
}

function path({ customer, connection }: Key): string {
  return `connections/${encodeURIComponent(customer)}/${encodeURIComponent(connection)}`;
}

function tagged({ json, etag }: Answer): Tagged {
  return { connection: json as Connection, etag };
}

interface Answer {
  readonly json: unknown;
  readonly etag: string;
}

async function get<T>(target: string, timeoutMs?: number): Promise<T> {
  return (await call('GET', target, timeoutMs === undefined ? {} : { timeoutMs })).json as T;
}

async function call(method: string, target: string, options: Call = {}): Promise<Answer> {
  const { body, headers, timeoutMs = usualTimeoutMs } = options;
  const key = options.key ?? sessionStorage.getItem(keyName);
  let response: Response;
  let text: string;
  try {
    response = await fetch(`${base}${target}`, {
      method,
      headers: {
        ...headers,
        ...(key === null ? {} : { 'x-functions-key': key }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      signal: AbortSignal.timeout(timeoutMs),
      // A sign-in page of another host is not to be fetched.
      redirect: 'manual',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    text = await response.text();
  } catch (error) {
    const isLate = error instanceof DOMException && error.name === 'TimeoutError';
    throw new ApiError(0, isLate ? 'The app took too long to answer.' : 'The app can’t be reached.');
  }
  if (response.type === 'opaqueredirect') {
    throw new ApiError(0, 'The sign-in has run out. Sign in again in another tab, or reload this page.');
  }
  setClock(response.headers.get('date'));
  const json = parse(text);
  if (!response.ok) throw refusal(response.status, json);
  if (response.status !== 204 && Object(json) !== json) {
    throw new ApiError(0, `The app’s answer can’t be read: ${unreadable}`);
  }
  return { json, etag: response.headers.get('etag') ?? '' };
}

const unreadable =
  'it is cut short, or comes from something in between, such as a sign-in. Reload the page, or try again in a minute.';
/** What an answer says that has no sentence: it comes from the platform, or from what stands before the app. */
const refusals: Readonly<Record<number, string>> = {
  401: 'A function key is needed.',
  403: 'Access is refused (403): this account or network may not use the app. Ask who runs it.',
  ...Object.fromEntries(
    [429, 502, 503, 504].map((status) => [
      status,
      `The app answered ${status}: it may be starting, or have too much to do. Try again in a minute.`,
    ]),
  ),
};

function refusal(status: number, json: unknown): ApiError {
  const { error, errors } = Object(json) as { error?: unknown; errors?: unknown };
  if (Array.isArray(errors))
    return new ApiError(status, 'Some fields are not right.', errors as ColumnError[]);
  if (typeof error === 'string') return new ApiError(status, error);
  return new ApiError(status, refusals[status] ?? `The app answered ${status}.`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The header has whole seconds, so small differences mean nothing. */
function setClock(date: string | null): void {
  const ahead = Date.parse(date ?? '') + 500 - Date.now();
  if (!Number.isNaN(ahead)) clockAheadMs = Math.abs(ahead) < 2_000 ? 0 : ahead;
}

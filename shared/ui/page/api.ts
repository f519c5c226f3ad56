import type { ColumnError, Connection, Key, Undelivered } from './model.ts';

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

export type TestOutcome =
  | { readonly ok: true; readonly mails: number }
  | { readonly ok: false; readonly error: string };

interface Call {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  readonly key?: string;
}

const usualTimeoutMs = 30_000;
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

/** All connections, page by page. */
export async function listConnections(): Promise<Connection[]> {
  const all: Connection[] = [];
  for (let after = ''; ; ) {
    const { json } = await call('GET', `connections?limit=1000${after}`);
    const page = json as { connections: Connection[]; next?: string };
    all.push(...page.connections);
    if (page.next === undefined) return all;
    after = `&after=${encodeURIComponent(page.next)}`;
  }
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

export async function orderPoll(key: Key): Promise<void> {
  await call('POST', `${path(key)}/poll`);
}

export async function testConnection(key: Key, body: unknown): Promise<TestOutcome> {
  const { json } = await call('POST', `${path(key)}/test`, { body, timeoutMs: testTimeoutMs });
  return json as TestOutcome;
}

export const maxUndelivered = 1_000;

/** The newest records, newest first. */
export async function listUndelivered(): Promise<readonly Undelivered[]> {
  const { json } = await call('GET', `undelivered?limit=${maxUndelivered}`);
  return (json as { undelivered: readonly Undelivered[] }).undelivered;
}

/** Resolves also when the mail has been delivered meanwhile. */
export async function resendUndelivered(id: string): Promise<void> {
  try {
    await call('POST', `undelivered/${encodeURIComponent(id)}/resend`);
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
  }
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
    throw new ApiError(0, 'The sign-in has run out. Reload the page to sign in again.');
  }
  setClock(response.headers.get('date'));
  const json = parse(text);
  if (response.ok) return { json, etag: response.headers.get('etag') ?? '' };
  throw refusal(response.status, json);
}

function refusal(status: number, json: unknown): ApiError {
  const { error, errors } = Object(json) as { error?: unknown; errors?: unknown };
  if (Array.isArray(errors))
    return new ApiError(status, 'Some fields are not right.', errors as ColumnError[]);
  if (typeof error === 'string') return new ApiError(status, error);
  return new ApiError(status, status === 401 ? 'A function key is needed.' : `The app answered ${status}.`);
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

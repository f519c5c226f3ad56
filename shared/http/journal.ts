import { readCursor } from '../journal/cursor.ts';
import { findMails, findRuns, type JournalQuery } from '../journal/search.ts';
import { type Answer, refuse } from './answer.ts';
import type { HttpDependencies } from './dependencies.ts';
import { queryText, readChoice, readPage, readTime } from './query.ts';
import type { ApiRequest } from './request.ts';

const usualWindowMs = 2 * 86_400_000;
const maxSearchCharacters = 256;

export const mailsQuery = ['customer', 'connection', 'from', 'to', 'q', 'limit', 'after'] as const;
export const runsQuery = ['customer', 'connection', 'from', 'to', 'status', 'limit', 'after'] as const;

/** Of runs that have a line. */
export const runLineStatuses = ['ok', 'failed', 'skipped'] as const;

/** `GET /api/mails`: what left the unread ones in a window of time, newest first. */
export async function listMails(request: ApiRequest, dependencies: HttpDependencies): Promise<Answer> {
  const window = readWindow(request, dependencies);
  const q = queryText(request, 'q')?.trim();
  if (q !== undefined && q.length > maxSearchCharacters) {
    refuse(400, `q must have at most ${maxSearchCharacters} characters.`);
  }
  const container = await dependencies.journal.container();
  const { found, ...rest } = await findMails(container, { ...window, ...(q ? { q } : {}) });
  return { status: 200, json: { mails: found, ...rest, journal: dependencies.journal.mode } };
}

/** `GET /api/runs`: those that moved mail or failed, newest first. */
export async function listRuns(request: ApiRequest, dependencies: HttpDependencies): Promise<Answer> {
  const window = readWindow(request, dependencies);
  const status = readChoice(request, 'status', runLineStatuses);
  const container = await dependencies.journal.container();
  const { found, ...rest } = await findRuns(container, { ...window, ...(status ? { status } : {}) });
  return { status: 200, json: { runs: found, ...rest, journal: dependencies.journal.mode } };
}

function readWindow(request: ApiRequest, { now }: HttpDependencies): JournalQuery {
  const page = readPage(request);
  const to = readTime(request, 'to', 'end') ?? now();
  const from = readTime(request, 'from') ?? new Date(to.getTime() - usualWindowMs);
  if (from > to) refuse(400, 'from must not be later than to.');
  if (page.after !== undefined && readCursor(page.after) === undefined) {
    refuse(400, 'after must be the next of an answer before.');
  }
  return { ...page, from, to };
}

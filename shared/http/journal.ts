import type { JournalQuery } from '../journal/search.ts';
import { type Answer, problem } from './answer.ts';
import type { HttpDependencies } from './dependencies.ts';
import { queryText, readChoice, readLimit, readTime } from './query.ts';
import type { ApiRequest } from './request.ts';

const usualWindowMs = 2 * 86_400_000;
const maxSearchCharacters = 256;

export const mailsQuery = ['customer', 'connection', 'from', 'to', 'q', 'limit', 'after'] as const;
export const runsQuery = ['customer', 'connection', 'from', 'to', 'status', 'limit', 'after'] as const;

/** Of runs that have a line. */
export const runLineStatuses = ['ok', 'failed', 'skipped'] as const;

/** `GET /api/mails`: what left the unread ones in a window of time, newest first. */
export async function listMails(request: ApiRequest, dependencies: HttpDependencies): Promise<Answer> {
  const window = await readWindow(request, dependencies);
  if (!window.ok) return window.answer;
  const q = queryText(request, 'q')?.trim();
  if (q !== undefined && q.length > maxSearchCharacters) {
    return problem(400, `q must have at most ${maxSearchCharacters} characters.`);
  }
  const [{ findMails }, container] = await Promise.all([
    import('../journal/search.ts'),
    dependencies.journal.container(),
  ]);
  const { found, ...rest } = await findMails(container, { ...window.query, ...(q ? { q } : {}) });
  return { status: 200, json: { mails: found, ...rest, journal: dependencies.journal.mode } };
}

/** `GET /api/runs`: those that moved mail or failed, newest first. */
export async function listRuns(request: ApiRequest, dependencies: HttpDependencies): Promise<Answer> {
  const window = await readWindow(request, dependencies);
  if (!window.ok) return window.answer;
  const status = readChoice(request, 'status', runLineStatuses);
  if (!status.ok) return status.answer;
  const [{ findRuns }, container] = await Promise.all([
    import('../journal/search.ts'),
    dependencies.journal.container(),
  ]);
  const query = { ...window.query, ...(status.value === undefined ? {} : { status: status.value }) };
  const { found, ...rest } = await findRuns(container, query);
  return { status: 200, json: { runs: found, ...rest, journal: dependencies.journal.mode } };
}

async function readWindow(
  request: ApiRequest,
  { now }: HttpDependencies,
): Promise<{ ok: true; query: JournalQuery } | { ok: false; answer: Answer }> {
  const limit = readLimit(request, { usual: 100, most: 1_000 });
  if (!limit.ok) return limit;
  const to = readTime(request, 'to', now());
  if (!to.ok) return to;
  const from = readTime(request, 'from', new Date(to.value.getTime() - usualWindowMs));
  if (!from.ok) return from;
  if (from.value > to.value) return { ok: false, answer: problem(400, 'from must not be later than to.') };
  const after = queryText(request, 'after');
  if (after !== undefined) {
    const { readCursor } = await import('../journal/cursor.ts');
    if (readCursor(after) === undefined) {
      return { ok: false, answer: problem(400, 'after must be the next of an answer before.') };
    }
  }
  const [customer, connection] = [queryText(request, 'customer'), queryText(request, 'connection')];
  return {
    ok: true,
    query: {
      from: from.value,
      to: to.value,
      limit: limit.value,
      ...(customer === undefined ? {} : { customer }),
      ...(connection === undefined ? {} : { connection }),
      ...(after === undefined ? {} : { after }),
    },
  };
}

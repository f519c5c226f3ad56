import { type Answer, problem } from './answer.ts';
import type { ApiRequest } from './request.ts';

/** The Functions key may stand in any address. */
const always = ['code'];

/**
 * Refuses query parameters that a call does not have: one that is misspelt would otherwise be a filter that
 * filters nothing.
 */
export function refuseUnknownQuery(
  { query }: Pick<ApiRequest, 'query'>,
  known: readonly string[],
): Answer | undefined {
  const unknown = [...query.keys()].find((name) => !known.includes(name) && !always.includes(name));
  if (unknown === undefined) return undefined;
  const possible = known.length === 0 ? 'there is none here' : `possible are ${known.join(', ')}`;
  return problem(400, `There is no query parameter ${JSON.stringify(unknown.slice(0, 64))}; ${possible}.`);
}

/** A value of the query; undefined where it is empty. */
export function queryText({ query }: Pick<ApiRequest, 'query'>, name: string): string | undefined {
  return query.get(name) || undefined;
}

export type Read<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly answer: Answer };

/** The query's `limit`. */
export function readLimit(
  request: Pick<ApiRequest, 'query'>,
  { usual, most }: { readonly usual: number; readonly most: number },
): Read<number> {
  const text = queryText(request, 'limit');
  if (text === undefined) return { ok: true, value: usual };
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= most) return { ok: true, value: limit };
  return { ok: false, answer: problem(400, `limit must be a whole number from 1 to ${most}.`) };
}

/** A point in time, ISO 8601 with its zone (a day alone is its begin in UTC); `otherwise` where it is absent. */
export function readTime(request: Pick<ApiRequest, 'query'>, name: string, otherwise: Date): Read<Date> {
  const text = queryText(request, name);
  if (text === undefined) return { ok: true, value: otherwise };
  const isTime = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,7})?)?(Z|[+ -]\d\d:?\d\d))?$/.test(text);
  // An unescaped + is a blank by now.
  const time = new Date(isTime ? text.replace(' ', '+') : Number.NaN);
  if (!Number.isNaN(time.getTime())) return { ok: true, value: time };
  const sentence = `${name} must be a time such as 2026-11-27T08:00:00Z.`;
  return { ok: false, answer: problem(400, sentence) };
}

/** One of several words. */
export function readChoice<T extends string>(
  request: Pick<ApiRequest, 'query'>,
  name: string,
  choices: readonly T[],
): Read<T | undefined> {
  const text = queryText(request, name);
  const value = choices.find((choice) => choice === text);
  if (text === undefined || value !== undefined) return { ok: true, value };
  return { ok: false, answer: problem(400, `${name} must be one of ${choices.join(', ')}.`) };
}

import type { ConnectionKey } from '../connection/connectionStore.ts';
import { refuse } from './answer.ts';
import type { ApiRequest } from './request.ts';

type Query = Pick<ApiRequest, 'query'>;

export interface PageQuery extends Partial<ConnectionKey> {
  readonly limit: number;
  /** `next` of the page before. */
  readonly after?: string;
}

export const maxLimit = 1_000;
/** The Functions key may stand in any address. */
const always = ['code'];

/**
 * Refuses query parameters that a call does not have: one that is misspelt would filter nothing. One that is given
 * twice has both values, joined by the host with a comma, and would find nothing.
 */
export function refuseUnknownQuery({ url }: Pick<ApiRequest, 'url'>, known: readonly string[]): void {
  const names = [...new URL(url).searchParams.keys()];
  const unknown = names.find((name) => !known.includes(name) && !always.includes(name));
  if (unknown !== undefined) {
    const possible = known.length === 0 ? 'there is none here' : `possible are ${known.join(', ')}`;
    refuse(400, `There is no query parameter ${JSON.stringify(unknown.slice(0, 64))}; ${possible}.`);
  }
  const repeated = names.find((name, index) => names.indexOf(name) < index);
  if (repeated) refuse(400, `The query parameter ${repeated} is given twice; give it once.`);
}

/** A value of the query; undefined where it is empty. */
export function queryText({ query }: Query, name: string): string | undefined {
  return query.get(name) || undefined;
}

/** A whole number. */
export function readWhole(request: Query, name: string, usual: number, min: number, max: number): number {
  const text = queryText(request, name) ?? String(usual);
  const whole = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (whole >= min && whole <= max) return whole;
  return refuse(400, `${name} must be a whole number from ${min} to ${max}.`);
}

/** Which page of a list is asked for, and whose mails. */
export function readPage(request: Query): PageQuery {
  const texts = ['customer', 'connection', 'after'].map((name) => [name, queryText(request, name)]);
  const given = texts.filter(([, text]) => text !== undefined);
  return { limit: readWhole(request, 'limit', 100, 1, maxLimit), ...Object.fromEntries(given) };
}

/** A point in time, ISO 8601 with its zone; of a day alone its begin in UTC, or its end. */
export function readTime(request: Query, name: string, ofDay: 'begin' | 'end' = 'begin'): Date | undefined {
  const text = queryText(request, name);
  if (text === undefined) return undefined;
  const isTime = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,7})?)?(Z|[+ -]\d\d:?\d\d))?$/.test(text);
  const day = text.slice(0, 10);
  // Of 30 February the parser makes 2 March.
  const isDay = new Date(day).toJSON()?.startsWith(day) === true;
  const whole = text === day && ofDay === 'end' ? `${day}T23:59:59.999Z` : text;
  // An unescaped + is a blank by now.
  const time = new Date(isTime && isDay ? whole.replace(' ', '+') : Number.NaN);
  // Years beyond four digits are written with a sign.
  if (/^\d/.test(time.toJSON() ?? '')) return time;
  return refuse(400, `${name} must be a time such as 2026-11-27T08:00:00Z.`);
}

/** One of several words. */
export function readChoice<T extends string>(
  request: Query,
  name: string,
  choices: readonly T[],
): T | undefined {
  const text = queryText(request, name);
  const value = choices.find((choice) => choice === text);
  if (text === undefined || value !== undefined) return value;
  return refuse(400, `${name} must be one of ${choices.join(', ')}.`);
}

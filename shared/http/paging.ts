import type { ApiRequest } from './request.ts';

/** The query's `limit`; undefined where it is no whole number from 1 to `most`. */
export function readLimit(
  { query }: Pick<ApiRequest, 'query'>,
  { usual, most }: { readonly usual: number; readonly most: number },
): number | undefined {
  const text = query.get('limit');
  if (text === null || text === '') return usual;
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  return limit >= 1 && limit <= most ? limit : undefined;
}

import type { ApiRequest } from './request.ts';

/**
 * Whether a change may be made by `If-Match` and `If-None-Match` (RFC 9110 section 13). `current` is the
 * ETag of what is there, undefined where nothing is.
 */
export function mayChange({ headers }: Pick<ApiRequest, 'headers'>, current: string | undefined): boolean {
  const ifMatch = headers.get('if-match');
  if (ifMatch !== null && !matches(ifMatch, current)) return false;
  const ifNoneMatch = headers.get('if-none-match');
  return ifNoneMatch === null || !matches(ifNoneMatch.replaceAll('W/', ''), current);
}

/** Strong comparison: a weak tag is equal to none. */
function matches(header: string, current: string | undefined): boolean {
  if (current === undefined) return false;
  if (header.trim() === '*') return true;
  return header.split(',').some((tag) => tag.trim() === current);
}

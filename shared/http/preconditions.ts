import type { ApiRequest } from './request.ts';

/**
 * Whether a change may be made by `If-Match` and `If-None-Match` (RFC 9110 section 13). `current` is the
 * ETag of what is there, undefined where nothing is. Tags are taken as proxies rewrite them: `W/"…"`, and
 * `"…-gzip"` for what they have compressed. The tag is made of the content, so that is the same content.
 */
export function mayChange({ headers }: Pick<ApiRequest, 'headers'>, current: string | undefined): boolean {
  const ifMatch = headers.get('if-match');
  if (ifMatch !== null && !matches(ifMatch, current)) return false;
  const ifNoneMatch = headers.get('if-none-match');
  return ifNoneMatch === null || !matches(ifNoneMatch, current);
}

function matches(header: string, current: string | undefined): boolean {
  if (current === undefined) return false;
  if (header.trim() === '*') return true;
  return header.split(',').some((text) => {
    const tag = text.trim().replace(/^W\//, '');
    const opened = current.slice(0, -1);
    return tag === current || (tag.startsWith(opened) && compressed.test(tag.slice(opened.length)));
  });
}

/** What Apache, Jetty and others put behind a tag. */
const compressed = /^(?:--?|;)(?:gzip|br|deflate|zstd)"$/;

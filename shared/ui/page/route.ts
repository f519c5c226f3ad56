import { useEffect, useState } from 'preact/hooks';
import type { Key } from './model.ts';

export type Route =
  | { readonly page: 'list' }
  | { readonly page: 'undelivered' }
  | { readonly page: 'new' }
  | { readonly page: 'copy'; readonly key: Key }
  | { readonly page: 'edit'; readonly key: Key };

/** Where the page is, told by the address's fragment; Back and links work. */
export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const follow = () => setHash(location.hash);
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  return parseRoute(hash);
}

export function parseRoute(hash: string): Route {
  const [page, customer, connection] = hash.replace(/^#\/?/, '').split('/').map(decode);
  if (page === 'new' || page === 'undelivered') return { page };
  if ((page === 'edit' || page === 'copy') && customer && connection) {
    return { page, key: { customer, connection } };
  }
  return { page: 'list' };
}

export function hrefOf(page: 'edit' | 'copy', { customer, connection }: Key): string {
  return `#/${page}/${encodeURIComponent(customer)}/${encodeURIComponent(connection)}`;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return '';
  }
}

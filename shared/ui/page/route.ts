import { useLayoutEffect, useState } from 'preact/hooks';
import type { Key } from './model.ts';

/** Where the page is; `query` is what stands behind the `?` of the fragment: filters, search, page. */
export type Route = { readonly query: URLSearchParams } & (
  | { readonly page: 'list' | 'mails' | 'undelivered' | 'new' | 'import' }
  | { readonly page: 'show' | 'edit' | 'copy' | 'take'; readonly key: Key }
);

type KeyPage = Extract<Route, { key: Key }>['page'];

const plainPages = ['mails', 'undelivered', 'new', 'import'] as const;
const keyPages = ['show', 'edit', 'copy', 'take'] as const;
const changed = 'routechange';

/** Asked before the page is left; gives whether it may be. */
let mayLeave: () => boolean = () => true;

/** Told by the address's fragment, so that Back, links and bookmarks work. */
export function useRoute(): Route {
  const [hash, setHash] = useState(location.hash);
  // Before the frame is drawn: an address that changes meanwhile is followed.
  useLayoutEffect(() => {
    let shown = location.hash;
    let at = 0;
    // The entries of the history are numbered; one that is new is not yet.
    const readNumber = (unnumbered: number) => {
      const { state }: { state: unknown } = history;
      return typeof state === 'number' ? state : unnumbered;
    };
    const mark = (number: number) => {
      at = number;
      history.replaceState(number, '');
    };
    mark(readNumber(0));
    const follow = () => {
      const isOtherPage = pathOf(location.hash) !== pathOf(shown);
      const to = readNumber(at + 1);
      if (isOtherPage && !mayLeave()) {
        history.go(at - to);
        return;
      }
      mark(to);
      shown = location.hash;
      setHash(shown);
    };
    const over = new AbortController();
    addEventListener('hashchange', follow, over);
    addEventListener(changed, follow, over);
    return () => over.abort();
  }, []);
  return parseRoute(hash);
}

/** While `isOn`, leaving the page asks `question` first. */
export function useLeaveGuard(isOn: boolean, question: string): void {
  useLayoutEffect(() => {
    if (!isOn) return undefined;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    mayLeave = () => confirm(question);
    addEventListener('beforeunload', ask);
    return () => {
      mayLeave = () => true;
      removeEventListener('beforeunload', ask);
    };
  }, [isOn, question]);
}

/** Goes on without asking, once what was changed is saved. */
export function leaveTo(hash: string): void {
  mayLeave = () => true;
  location.hash = hash;
}

/** Writes what has changed of the query into the address; what is empty goes. No step in the history. */
export function setQuery(changes: Readonly<Record<string, string>>): void {
  const [path, query] = location.hash.replace(/^#?/, '').split('?');
  const params = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) {
    if (value === '') params.delete(name);
    else params.set(name, value);
  }
  const text = params.toString();
  history.replaceState(history.state, '', `#${path || '/'}${text === '' ? '' : `?${text}`}`);
  dispatchEvent(new Event(changed));
}

export function parseRoute(hash: string): Route {
  const [path = '', text] = hash.replace(/^#?\/?/, '').split('?');
  const query = new URLSearchParams(text);
  const [name, customer, connection] = path.split('/').map(decode);
  const plain = plainPages.find((page) => page === name);
  if (plain !== undefined) return { page: plain, query };
  const page = keyPages.find((each) => each === name);
  if (page !== undefined && customer && connection) return { page, key: { customer, connection }, query };
  return { page: 'list', query };
}

export function hrefOf(page: KeyPage, { customer, connection }: Key): string {
  return `#/${page}/${encodeURIComponent(customer)}/${encodeURIComponent(connection)}`;
}

export function hrefWith(page: string, query: Readonly<Record<string, string>>): string {
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== '')).toString();
  return `#/${page}${text === '' ? '' : `?${text}`}`;
}

function pathOf(hash: string): string {
  return hash.replace(/^#?\/?/, '').split('?', 1)[0] ?? '';
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return '';
  }
}

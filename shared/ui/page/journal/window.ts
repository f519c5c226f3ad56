import { serverNow } from '../api.ts';

const hourMs = 3_600_000;
const minuteMs = 60_000;

/** The spans of time that a search may be about. */
export const windows = [
  { name: '', words: 'Last two days' },
  { name: 'hour', words: 'Last hour', ms: hourMs },
  { name: 'today', words: 'Today' },
  { name: 'week', words: 'Last 7 days', ms: 7 * 24 * hourMs },
  { name: 'month', words: 'Last 30 days', ms: 30 * 24 * hourMs },
  { name: 'between', words: 'Between two times' },
] as const satisfies readonly Window[];

export interface Window {
  readonly name: string;
  readonly words: string;
  readonly ms?: number;
}

/** The window that the address tells. */
export function readWindow(query: URLSearchParams): Window {
  return windows.find((each) => each.name === query.get('window')) ?? windows[0];
}

/** The window's times by the clock as it stands, as the API takes them; absent: its own. */
export function timesOf(query: URLSearchParams): { readonly from?: string; readonly to?: string } {
  const { name, ms } = readWindow(query);
  if (ms !== undefined) return { from: new Date(serverNow() - ms).toISOString() };
  if (name === 'today') return { from: new Date(new Date().setHours(0, 0, 0, 0)).toISOString() };
  if (name !== 'between') return {};
  const [a, b] = [Date.parse(query.get('from') ?? ''), Date.parse(query.get('to') ?? '')];
  const [fromMs, toMs] = a > b ? [b, a] : [a, b];
  // The field has whole minutes, and the last one is meant as well.
  return { ...isoOf('from', fromMs), ...isoOf('to', toMs + minuteMs - 1) };
}

function isoOf(name: string, ms: number): Readonly<Record<string, string>> {
  return Number.isNaN(ms) ? {} : { [name]: new Date(ms).toISOString() };
}

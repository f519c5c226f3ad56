/** The spans of time that a search may be about. */
export const windows = [
  { name: '', words: 'Last two days', hours: undefined },
  { name: 'hour', words: 'Last hour', hours: 1 },
  { name: 'today', words: 'Today', hours: undefined },
  { name: 'week', words: 'Last 7 days', hours: 7 * 24 },
  { name: 'month', words: 'Last 30 days', hours: 30 * 24 },
  { name: 'between', words: 'Between two times', hours: undefined },
] as const;

const hourMs = 3_600_000;

export interface Window {
  readonly name: string;
  readonly words: string;
  /** As the API takes them; absent: its own. Whole minutes, so that a search is the same for a while. */
  readonly times: { readonly from?: string; readonly to?: string };
}

/** The window that the address tells. */
export function readWindow(query: URLSearchParams): Window {
  const { name, words, hours } = windows.find((each) => each.name === query.get('window')) ?? windows[0];
  if (name === 'today')
    return { name, words, times: { from: new Date(new Date().setHours(0, 0, 0, 0)).toISOString() } };
  if (name === 'between') {
    const [from, to] = [isoOf(query.get('from')), isoOf(query.get('to'))];
    const isTurned = from !== undefined && to !== undefined && from > to;
    const times = isTurned ? { from: to, to: from } : { ...(from && { from }), ...(to && { to }) };
    return { name, words, times };
  }
  if (hours === undefined) return { name, words, times: {} };
  const fromMs = Math.floor((Date.now() - hours * hourMs) / hourMs) * hourMs;
  return {
    name,
    words,
    times: { from: new Date(hours === 1 ? minuteOf(Date.now() - hourMs) : fromMs).toISOString() },
  };
}

function minuteOf(ms: number): number {
  return Math.floor(ms / 60_000) * 60_000;
}

/** A local time as the browser's field has it. */
function isoOf(text: string | null): string | undefined {
  const date = new Date(text ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}

import { nameOf, textOf } from '../model.ts';
import type { Row } from '../status.ts';

/** Why connections fail, taken together: those that say the same but for their own names fail for one cause. */
export interface Cause {
  /** What the sentences have in common. */
  readonly key: string;
  /** The first connection's sentence, in full where it is the only one. */
  readonly sentence: string;
  readonly rows: readonly Row[];
  /** About when the first of them began to fail: a connection that fails is tried each minute. */
  readonly sinceMs: number;
}

const minuteMs = 60_000;

/** The causes, those of most connections first. */
export function causesOf(rows: readonly Row[]): readonly Cause[] {
  const groups = Map.groupBy(
    rows.filter(({ status }) => status.isFailing),
    causeOf,
  );
  return [...groups]
    .map(([key, ofCause]) => {
      const [first] = ofCause;
      const sentence = ofCause.length === 1 ? (first?.status.error ?? key) : key;
      return { key, sentence, rows: ofCause, sinceMs: Math.min(...ofCause.map(failingSinceMs)) };
    })
    .sort((a, b) => b.rows.length - a.rows.length || (a.key < b.key ? -1 : 1));
}

/** The sentence without what is the connection's own: its name, its user and figures of the moment. */
export function causeOf({ connection, status }: Row): string {
  let sentence = status.error;
  for (const name of [nameOf(connection), textOf(connection, 'username')]) {
    // A user's name may also be part of a host's.
    if (name !== '')
      sentence = sentence.replace(new RegExp(`(?<![\\w.@-])${escaped(name)}(?![\\w@-]|\\.\\w)`, 'g'), '…');
  }
  return sentence
    .replace(/\([\d.+ ]+secs\)/g, '')
    .replace(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, '…')
    .replace(/\s+/g, ' ')
    .trim();
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');
}

function failingSinceMs({ connection: { state } }: Row): number {
  const lastMs = Date.parse(state.lastRunStartedAt ?? state.lastRunEndedAt ?? '');
  return lastMs - Math.max((state.consecutiveFailures ?? 1) - 1, 0) * minuteMs;
}

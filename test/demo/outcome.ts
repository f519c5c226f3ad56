import type { ConnectionRow } from './stage.ts';
import { countText, printable } from './terminal.ts';

/** What a poll wrote into its connection's row. */
export interface PollOutcome {
  readonly ok: boolean;
  readonly mails: number;
  readonly messages: number;
  readonly sentence: string;
}

export function readOutcome(connection: string, row: ConnectionRow): PollOutcome {
  const status = String(row.lastStatus ?? 'not polled');
  const mails = Number(row.lastMailCount ?? 0);
  const messages = Number(row.lastMessageCount ?? 0);
  const error = printable(String(row.lastError ?? ''));
  const counts = `${countText(mails, 'mail')}, ${countText(messages, 'message')}`;
  const next = String(row.nextRunAt ?? '').slice(11, 16);
  return {
    ok: status === 'ok',
    mails,
    messages,
    sentence: `${connection}: ${status}, ${counts}${next === '' ? '' : `, next poll at ${next} UTC`}${error === '' ? '' : `. ${error}`}`,
  };
}

export function sumOf(outcomes: readonly PollOutcome[], field: 'mails' | 'messages'): number {
  return outcomes.reduce((sum, outcome) => sum + outcome[field], 0);
}

import type { ConnectionConfig } from '../connection/config.ts';
import type { Journal } from '../journal/journal.ts';
import type { Log } from '../telemetry/log.ts';
import type { PollTrace } from '../telemetry/telemetry.ts';
import type { RunLimits } from './runLimits.ts';
import type { SettledMails } from './settledMails.ts';
import type { FetchTries, RiskTries } from './tries.ts';

/** What a run has by the time that its lease is held and its config is decoded. */
export interface RunStart {
  readonly runId: string;
  readonly config: ConnectionConfig;
  readonly limits: RunLimits;
  readonly tries: FetchTries;
  readonly risks: RiskTries;
  readonly settled: SettledMails;
  /** The hash of the mailbox that the last run left with nothing to settle. */
  readonly cleanMailbox: string | undefined;
  /** Another run, fenced off by now, may still be ending: what it leaves is the next one's to look for. */
  readonly isBesideAnother: boolean;
  /** How far the last run's sessions have looked with their filter. */
  readonly lookedAt: string | undefined;
  /**
   * Writes that the run is at work and may leave something to settle; before its first fetch. Tells whether another
   * run has written since the row was read, so that `cleanMailbox` is out of date.
   */
  readonly begin: () => Promise<{ readonly isAfterAnother: boolean }>;
  readonly journal: Journal;
  /** What was recorded since then has its line in the journal, where an earlier run recorded it. */
  readonly journaledSince: Date | undefined;
  readonly trace: PollTrace;
  readonly log: Log;
}

import type { ContainerClient } from '@azure/storage-blob';
import type { ConnectionConfig } from '../connection/config.ts';
import type { QueueSender } from '../destination/destination.ts';
import type { Journal } from '../journal/journal.ts';
import type { Holding, MailboxSession } from '../mailbox/mailbox.ts';
import type { Log } from '../telemetry/log.ts';
import type { PollTrace } from '../telemetry/telemetry.ts';
import type { UndeliveredStore } from '../undelivered/undeliveredStore.ts';
import type { KnownMails } from './knownMails.ts';
import type { ProcessHolding, RunMemory } from './memory.ts';
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

/** One run on one mailbox, with what its process gives it. */
export interface Run extends RunStart {
  readonly queueName: string;
  readonly memory: RunMemory;
  readonly openSession: (lookedAt: string | undefined) => Promise<MailboxSession>;
  readonly openKnown: (mailboxId: string) => KnownMails;
  /** Proves that the queue can be reached. Rejects with a `Failure` that names it. */
  readonly openSender: () => Promise<QueueSender>;
  readonly openPayloads: () => Promise<ContainerClient>;
  readonly openUndelivered: () => Promise<UndeliveredStore>;
  readonly streamMemory: () => ProcessHolding;
  /** Before a streamed mail holds much text: a turn, or the promise of one. */
  readonly takeTextTurn: () => Holding | Promise<Holding>;
  readonly maxMailBytes: number;
  readonly temporaryFolder: string;
  /** One line for a mail that needs a person's eye; bounded by whoever logs it. */
  readonly warn: (sentence: string) => void;
}

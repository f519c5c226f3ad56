import type { Claims } from '../claim/claims.ts';
import type { ConnectionConfig } from '../connection/config.ts';
import type { Failure } from '../failure/failure.ts';
import type { Lease } from '../lease/lease.ts';
import type { MailSource } from '../mail/mail.ts';
import type { MailRef } from '../mailbox/mailbox.ts';
import type { PollTrace } from '../telemetry/telemetry.ts';
import type { Heartbeat } from './heartbeat.ts';
import type { Troubles } from './troubles.ts';

/** One run on one mailbox: what it works on and what limits it. */
export interface Run {
  readonly runId: string;
  readonly config: ConnectionConfig;
  readonly startedAt: Date;
  readonly lease: Lease;
  readonly heartbeat: Heartbeat;
  readonly troubles: Troubles;
  readonly trace: PollTrace;
  /** Whether the run's time budget is spent, so that it takes no new mail. */
  readonly isOverBudget: () => boolean;
}

/** What a run has done, whether it failed in the end or not. */
export interface RunResult {
  /** Mails that are safe elsewhere: pushed, or stored for the catastrophic retry. */
  readonly mails: number;
  /** Messages that Service Bus accepted. */
  readonly messages: number;
  /** Of those mails, as the server counts. */
  readonly bytes: number;
  readonly failure?: Failure;
  /** Mail was left for the next run, which is due at the next minute. */
  readonly unfinished: boolean;
}

/** A mail taken apart, ready to be sent. What it holds is freed by `push`, which must follow. */
export interface PreparedMail {
  readonly warning?: string;
  /** Whether any of its content lies in the memory of `source`, and not in a copy of it. */
  sharesMemory(source: Buffer): boolean;
  /** Gets every part away. Never rejects. */
  push(): Promise<MailOutcome>;
}

/** What became of a prepared mail. */
export type MailOutcome =
  | { readonly kind: 'pushed'; readonly messages: number }
  /** Its unsent parts lie in the undelivered store. */
  | { readonly kind: 'stored'; readonly messages: number; readonly failure: Failure }
  /** They could not be stored either: it stays on the server. */
  | { readonly kind: 'left'; readonly failure: Failure };

/** Where a run's mails go: the destination queue and, when that fails, the undelivered store. */
export interface Outlet {
  /** Takes a mail apart. Rejects when `source` can't be read, or with reason `storage` when a large part can't be kept. */
  prepare(mail: MailRef, source: MailSource): Promise<PreparedMail>;
  /** Whether the undelivered store has this mail from a run that died before it could say so. */
  isStored(mail: MailRef): Promise<boolean>;
  close(): Promise<void>;
}

/** Opens a run's outlet, which proves that the queue can be reached. Rejects with a `Failure` that names it. */
export type OpenOutlet = (config: ConnectionConfig, endpoint: string, trace: PollTrace) => Promise<Outlet>;

export type OpenRunClaims = (run: Run) => Claims;

import { type Failure, toFailure } from '../failure/failure.ts';
import type { Log } from './log.ts';

/** The dimensions of every metric; `unknown` where a config doesn't say. */
export interface ConnectionLabels {
  readonly customer: string;
  readonly connection: string;
  readonly protocol: 'imap' | 'pop3' | 'unknown';
}

/** What a poll is made of, as the spans below its own. */
export type PollStep = 'connect' | 'list' | 'fetch' | 'parse' | 'push' | 'settle';

/** A step under way. */
export interface Step {
  /** W3C Trace Context of this step, for those who go on from here; absent when nothing is traced. */
  readonly traceparent?: string;
  /** With a failure the step has failed. Never throws. */
  end(failure?: Failure): void;
}

/** What a poll came to. */
export interface PollOutcome {
  readonly mails: number;
  readonly messages: number;
  readonly bytes: number;
  readonly durationMs: number;
  readonly failure?: Failure;
}

/** One poll as it is watched. Nothing here throws or waits. */
export interface PollTrace {
  startStep(step: PollStep): Step;
  /** The run has begun to pick up mail, the oldest of which the server received then; only the first call counts. */
  pickUp(oldestReceivedAt: Date): void;
  end(outcome: PollOutcome): void;
}

/** One call of a function by the host. */
export interface Invocation {
  /** Logs to the host, and to where telemetry goes. */
  readonly log: Log;
  startPoll(labels: ConnectionLabels, runId: string): PollTrace;
  /** A poll that did not take place, since another run holds the lease. */
  skipPoll(labels: ConnectionLabels): void;
  /** Absent where nobody listens, so that nobody counts in vain. */
  reportBacklog?(backlog: Backlog): void;
}

/** How much waits for a person or for a retry. */
export interface Backlog {
  readonly undelivered: readonly UndeliveredCount[];
  /** Orders that the host has given up. */
  readonly poisonedOrders: number;
}

export interface UndeliveredCount {
  readonly labels: ConnectionLabels;
  readonly status: 'waiting' | 'abandoned';
  readonly mails: number;
}

/** Where the process says how it fares. */
export interface Telemetry {
  /** `traceparent` is the host's, W3C Trace Context. */
  follow(log: Log, traceparent: string | undefined): Invocation;
  /** Sends what is still here and stops. Resolves after `timeoutMs` at the latest; never rejects. */
  shutdown(timeoutMs: number): Promise<void>;
}

const noStep: Step = { end() {} };

/** A poll that nobody watches. */
const noTrace: PollTrace = { startStep: () => noStep, pickUp() {}, end() {} };

/** Without Application Insights: costs nothing, the host has the log. */
export const noTelemetry: Telemetry = {
  follow: (log) => ({ log, startPoll: () => noTrace, skipPoll() {} }),
  shutdown: async () => undefined,
};

/** Does `work` as a step of the poll; it has failed when `work` rejects, which goes on to the caller. */
export async function traced<T>(trace: PollTrace, name: PollStep, work: () => Promise<T>): Promise<T> {
  const step = trace.startStep(name);
  try {
    const done = await work();
    step.end();
    return done;
  } catch (error) {
    step.end(toFailure(error, name));
    throw error;
  }
}

/** `hostType` as it stands in the table, undecoded. */
export function protocolLabel(hostType: unknown): ConnectionLabels['protocol'] {
  const lower = typeof hostType === 'string' ? hostType.trim().toLowerCase() : '';
  return lower === 'imap' || lower === 'pop3' ? lower : 'unknown';
}

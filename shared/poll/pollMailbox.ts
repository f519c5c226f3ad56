import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { keyPattern } from '../connection/columns.ts';
import { type ConnectionConfig, type Decoded, summarizeErrors } from '../connection/config.ts';
import type { ConnectionEntity, ConnectionKey, ConnectionStore } from '../connection/connectionStore.ts';
import { addRun } from '../connection/history.ts';
import { type ConnectionState, readState } from '../connection/state.ts';
import { Failure, toFailure } from '../failure/failure.ts';
import type { Journal } from '../journal/journal.ts';
import type { RunLine } from '../journal/lines.ts';
import type { Lease, TakeLease } from '../lease/lease.ts';
import { hasLiveRun, isEnabled, readNextRunAt } from '../schedule/due.ts';
import { readOrder } from '../schedule/orderQueue.ts';
import { asLogged } from '../telemetry/failures.ts';
import type { Log } from '../telemetry/log.ts';
import {
  type ConnectionLabels,
  type Invocation,
  type PollOutcome,
  protocolLabel,
} from '../telemetry/telemetry.ts';
import { leaseEndsAt, nextMinute, nextRunAt } from '../time/nextTime.ts';
import { readTime } from '../time/time.ts';
import type { RunResult } from './run.ts';
import { RunLimits } from './runLimits.ts';
import type { RunStart } from './runStart.ts';
import { RunState } from './runState.ts';
import { SettledMails } from './settledMails.ts';
import { FetchTries, RiskTries } from './tries.ts';

export interface PollDependencies {
  readonly connections: ConnectionStore;
  readonly takeLease: TakeLease;
  readonly decode: (entity: ConnectionEntity) => Decoded;
  readonly run: (start: RunStart) => Promise<RunResult>;
  readonly openJournal: (key: ConnectionKey, runId: string) => Journal;
  /** Logs and watches. */
  readonly invocation: Invocation;
  readonly pollTimeBudgetMs: number;
  /** Fires when the process is told to go. */
  readonly told: AbortSignal;
}

/** So long ago a run has just ended, also by another instance's clock; and how long its lease's release may take. */
const justEndedMs = 10_000;
const releaseMs = 500;
/** How long a lease may be found taken, with nobody at work, before the connection counts as failing. */
const heldTooLongMs = 600_000;

/**
 * Carries out one order to poll: takes the lease, polls, writes the outcome. A failed mailbox is an
 * outcome; rejects only when storage can't be read or the outcome can't be written.
 */
export async function pollMailbox(order: unknown, dependencies: PollDependencies): Promise<void> {
  const { connections, invocation, told } = dependencies;
  const { log } = invocation;
  const key = readOrder(order);
  if (!key) return log.warn('Dropped an order to poll that is not {"customer": "…", "connection": "…"}.');
  // The connection is still due at the next tick, for an instance that stays.
  if (told.aborted) return log.info('Dropped an order to poll, since the process was told to go.');
  const name = `${key.customer}/${key.connection}`;

  const [reading, leasing] = await readAndLease(key, dependencies);
  const lease =
    leasing.status === 'fulfilled' && typeof leasing.value === 'object' ? leasing.value : undefined;
  try {
    if (reading.status === 'rejected') throw reading.reason;
    const entity = reading.value;
    if (!entity) return log.info(`Connection ${name} is gone; its order to poll was dropped.`);
    if (!isEnabled(entity.columns))
      return log.info(`Connection ${name} is disabled; its order to poll was dropped.`);
    if (leasing.status === 'fulfilled' && leasing.value === 'taken') return await skip(entity, dependencies);
    await watch(entity, dependencies, async (watched) => {
      const { runId } = watched;
      const held = lease ?? { isHeld: () => false };
      const state = new RunState({ store: connections, entity, runId, lease: held });
      const start =
        leasing.status === 'rejected' ? leasing.reason : startOf(dependencies.decode(entity), lease);
      if (!(start instanceof Error))
        return await carryOut({ ...watched, ...start, state }, entity, dependencies);
      const failure = toFailure(start, 'beginning a poll');
      await watched.writeJournal({ ...nothing, failure });
      // Whoever is at work holds the lease that could not be asked for.
      const isAtWork = leasing.status === 'rejected' && hasLiveRun(entity.columns, new Date());
      if (isAtWork) return { ...nothing, failure };
      return await refuse(state, entity, failure);
    });
  } finally {
    await lease?.release();
  }
}

/** A run that has written its outcome gives its lease back within a moment: then it is asked for once more. */
async function readAndLease(key: ConnectionKey, dependencies: PollDependencies, isRepeat = false) {
  const both = await Promise.allSettled([dependencies.connections.read(key), takeLease(key, dependencies)]);
  const [reading, leasing] = both;
  const isTaken = leasing.status === 'fulfilled' && leasing.value === 'taken';
  if (isRepeat || !isTaken || reading.status === 'rejected') return both;
  const { lastRunEndedAt } = readState(reading.value?.columns ?? {});
  if (Date.now() - (lastRunEndedAt?.getTime() ?? 0) > justEndedMs) return both;
  await delay(releaseMs);
  return await readAndLease(key, dependencies, true);
}

function startOf(
  decoded: Decoded,
  lease: Lease | undefined,
): Failure | { config: ConnectionConfig; lease: Lease } {
  if (!decoded.ok) return new Failure('config', summarizeErrors(decoded.errors));
  if (lease) return { config: decoded.config, lease };
  return new Failure('config', 'The keys of this connection are not valid.');
}

/** Keys that could name another's blob take no lease: such a connection is refused by its config anyway. */
async function takeLease(
  { customer, connection }: ConnectionKey,
  dependencies: PollDependencies,
): Promise<Lease | 'taken' | undefined> {
  if (!keyPattern.test(customer) || !keyPattern.test(connection)) return undefined;
  return await dependencies.takeLease(customer, connection);
}

/** Another run has the lease: nothing is consumed, and the columns of a live run are left to it. */
async function skip(entity: ConnectionEntity, dependencies: PollDependencies): Promise<void> {
  const { connections, invocation } = dependencies;
  const { customer, connection } = entity.key;
  invocation.skipPoll({ ...entity.key, protocol: protocolLabel(entity.columns.hostType) });
  invocation.log.info(`Poll of ${customer}/${connection} skipped: another run holds its lease.`);
  const now = new Date();
  if (hasLiveRun(entity.columns, now)) return;
  const { skippedSince, consecutiveFailures = 0 } = readState(entity.columns);
  const known = readTime(skippedSince);
  const since = known !== undefined && known <= now ? known : now;
  const isHeldTooLong = now.getTime() - since.getTime() >= heldTooLongMs;
  const sentence = `The lease of blob email-leases/${customer}/${connection} has been held since ${since.toISOString()} by no run that is at work. If nobody polls this mailbox otherwise, break it: az storage blob lease break --container-name email-leases --blob-name ${customer}/${connection}`;
  if (isHeldTooLong) invocation.log.error(sentence, { customer, connection, reason: 'storage' });
  await connections.merge(
    entity.key,
    {
      lastStatus: 'skipped',
      nextRunAt: nextMinute(now).toISOString(),
      skippedSince: since.toISOString(),
      ...(isHeldTooLong ? { lastError: sentence, consecutiveFailures: consecutiveFailures + 1 } : {}),
    },
    entity.etag,
  );
}

/** A run that could not even begin. */
async function refuse(state: RunState, entity: ConnectionEntity, failure: Failure): Promise<RunResult> {
  const startedAt = new Date();
  const result: RunResult = { ...nothing, failure };
  await state.write({
    lastRunStartedAt: startedAt,
    heartbeatAt: startedAt,
    ...outcomeOf(result, entity, startedAt),
  });
  return result;
}

const nothing = { mails: 0, messages: 0, bytes: 0, unfinished: false } as const;

/** Reports what `poll` comes to, in the log and as telemetry; an outcome that can't be written is a failed poll. */
async function watch(
  entity: ConnectionEntity,
  { invocation, openJournal }: PollDependencies,
  poll: (watched: Watched) => Promise<RunResult>,
): Promise<void> {
  const startedAtMs = performance.now();
  const runId = randomUUID();
  const labels: ConnectionLabels = { ...entity.key, protocol: protocolLabel(entity.columns.hostType) };
  const trace = invocation.startPoll(labels, runId);
  const journal = openJournal(entity.key, runId);
  const timed = (result: RunResult): PollOutcome => ({
    ...result,
    durationMs: Math.round(performance.now() - startedAtMs),
  });
  const writeJournal = async (result: RunResult): Promise<void> => {
    const warning = await journal.end(runLine(timed(result), new Date()));
    if (warning !== undefined) invocation.log.warn(warning, { ...labels, runId });
  };
  const end = (result: RunResult): void => {
    const outcome = timed(result);
    report(labels, runId, outcome, invocation.log);
    trace.end(outcome);
  };
  try {
    end(await poll({ runId, trace, journal, writeJournal }));
  } catch (error) {
    end({ ...nothing, failure: toFailure(error, 'polling a mailbox') });
    throw asLogged(error);
  }
}

/** What every poll has, from the moment that its connection was read. */
interface Watched extends Pick<RunStart, 'runId' | 'trace' | 'journal'> {
  /** Ends the journal of the run; to be done before the outcome is written, which says that all is there. */
  writeJournal(result: RunResult): Promise<void>;
}

interface Begun extends Watched, Pick<RunStart, 'config'> {
  readonly lease: Lease;
  readonly state: RunState;
}

async function carryOut(
  { runId, trace, config, journal, writeJournal, lease, state }: Begun,
  entity: ConnectionEntity,
  { run, pollTimeBudgetMs, told, invocation }: PollDependencies,
): Promise<RunResult> {
  const { schedule, useProcessLock } = config;
  const startedAt = new Date();
  const before = readState(entity.columns);
  const dueAt = readNextRunAt(entity.columns, startedAt);
  const next = await nextRunAt(schedule, startedAt, before.scheduleAnchor, dueAt);
  const first = {
    lastStatus: 'running',
    lastRunStartedAt: startedAt,
    heartbeatAt: startedAt,
    nextRunAt: next.nextRunAt,
    scheduleAnchor: next.anchor,
    // From its first fetch on the run may leave something to settle.
    cleanMailbox: '',
  } as const;
  const tries = new FetchTries(before.unfetchable, startedAt);
  const risks = new RiskTries(before.riskyMails, (riskyMails) => state.write({ riskyMails }));
  const settled = new SettledMails(before.settledMails);
  const limits = new RunLimits({
    lease,
    told,
    budgetMs: pollTimeBudgetMs,
    ownTimeEndsAt: async (firstFetchAt) =>
      useProcessLock ? undefined : await leaseEndsAt(schedule, firstFetchAt),
  });
  const over = new AbortController();
  void state.sayAtWork(first, over.signal);
  const hasOutcome = before.lastStatus === 'ok' || before.lastStatus === 'failed';
  const result = await run({
    ...{ runId, trace, config, journal, limits, tries, risks, settled },
    begin: async () => {
      await state.begin(first);
      return state;
    },
    // The last run's, which has written its journal before its outcome.
    journaledSince: hasOutcome ? before.lastRunStartedAt : undefined,
    cleanMailbox: before.cleanMailbox,
    isBesideAnother: hasLiveRun(entity.columns, startedAt),
    lookedAt: before.lookedAt || undefined,
    log: invocation.log,
  });
  over.abort();
  limits.end();
  await writeJournal(result);
  await state.write({
    ...(state.hasBegun ? {} : first),
    ...outcomeOf(result, entity, new Date()),
    ...{ unfetchable: tries.toColumn(), lookedAt: result.lookedAt ?? '' },
    ...(risks.changedColumn === undefined ? {} : { riskyMails: risks.changedColumn }),
    ...(settled.toColumn() === undefined ? {} : { settledMails: settled.toColumn() }),
    ...(state.isAfterAnother || result.cleanMailbox === undefined
      ? {}
      : { cleanMailbox: result.cleanMailbox }),
  });
  return result;
}

function outcomeOf(result: RunResult, entity: ConnectionEntity, now: Date): Partial<ConnectionState> {
  const { consecutiveFailures: failures = 0, history: before } = readState(entity.columns);
  const { failure } = result;
  const history = addRun(before, { mails: result.mails, failed: failure !== undefined }, now);
  return {
    lastStatus: failure ? 'failed' : 'ok',
    lastError: failure?.message ?? '',
    consecutiveFailures: failure ? failures + 1 : 0,
    lastMailCount: result.mails,
    lastMessageCount: result.messages,
    lastRunEndedAt: now,
    // A mail of which nothing went out was stored, and is delivered later.
    ...(result.messages > 0 ? { lastMailAt: now } : {}),
    // Also what an order that was skipped meanwhile has written.
    skippedSince: '',
    ...(failure || result.unfinished ? { nextRunAt: nextMinute(now) } : {}),
    ...(history === undefined ? {} : { history }),
  };
}

/** An idle run leaves none. */
function runLine(
  { mails, messages, bytes, durationMs, failure }: PollOutcome,
  at: Date,
): RunLine | undefined {
  if (mails === 0 && !failure) return undefined;
  const status = failure ? 'failed' : 'ok';
  return { at, mails, messages, bytes, durationMs, status, error: failure?.message };
}

/** The one line that a run leaves in the log. */
function report(labels: ConnectionLabels, runId: string, outcome: PollOutcome, log: Log): void {
  const { mails, messages, bytes, durationMs, failure } = outcome;
  const fields = { ...labels, runId, mails, messages, bytes, durationMs };
  const name = `${labels.customer}/${labels.connection}`;
  if (failure) log.error(`Poll of ${name} failed: ${failure.message}`, { ...fields, reason: failure.reason });
  else
    log.info(
      `Poll of ${name}: ${counted(mails, 'mail')}, ${counted(messages, 'message')} in ${durationMs} ms.`,
      fields,
    );
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

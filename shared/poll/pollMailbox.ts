import { keyPattern } from '../connection/columns.ts';
import { type ConnectionConfig, type Decoded, summarizeErrors } from '../connection/config.ts';
import type { ConnectionEntity, ConnectionKey, ConnectionStore } from '../connection/connectionStore.ts';
import { addRun } from '../connection/history.ts';
import { readState } from '../connection/state.ts';
import { Failure, toFailure } from '../failure/failure.ts';
import type { Lease, TakeLease } from '../lease/lease.ts';
import { isEnabled, staleHeartbeatMs } from '../schedule/due.ts';
import { leaseEndsAt, nextMinute, nextRunAt } from '../schedule/nextTime.ts';
import { readOrder } from '../schedule/orderQueue.ts';
import type { Log } from '../telemetry/log.ts';
import {
  type ConnectionLabels,
  type Invocation,
  type PollOutcome,
  type PollTrace,
  protocolLabel,
} from '../telemetry/telemetry.ts';
import { startHeartbeat } from './heartbeat.ts';
import type { Run, RunResult } from './run.ts';
import { RunState, type StateChange } from './runState.ts';
import { Troubles } from './troubles.ts';

export interface PollDependencies {
  readonly connections: ConnectionStore;
  readonly takeLease: TakeLease;
  readonly decode: (entity: ConnectionEntity) => Promise<Decoded>;
  readonly drain: (run: Run) => Promise<RunResult>;
  /** Logs and watches. */
  readonly invocation: Invocation;
  readonly now: () => Date;
  readonly newRunId: () => string;
  readonly pollTimeBudgetMs: number;
  readonly heartbeatMs: number;
}

/** A beat that fails for this long: soon, others may take the run for dead. */
const heartbeatFailingMs = staleHeartbeatMs - 30_000;

/**
 * Carries out one order to poll: takes the lease, polls, writes the outcome. A failed mailbox is an
 * outcome; rejects only when storage can't be read or the outcome can't be written.
 */
export async function pollMailbox(order: unknown, dependencies: PollDependencies): Promise<void> {
  const { connections, invocation } = dependencies;
  const { log } = invocation;
  const key = readOrder(order);
  if (!key) return log.warn('Dropped an order to poll that is not {"customer": "…", "connection": "…"}.');
  const name = `${key.customer}/${key.connection}`;

  const [reading, leasing] = await Promise.allSettled([connections.read(key), takeLease(key, dependencies)]);
  const lease =
    leasing.status === 'fulfilled' && typeof leasing.value === 'object' ? leasing.value : undefined;
  try {
    if (reading.status === 'rejected') throw reading.reason;
    const entity = reading.value;
    if (!entity) return log.info(`Connection ${name} is gone; its order to poll was dropped.`);
    if (!isEnabled(entity.columns))
      return log.info(`Connection ${name} is disabled; its order to poll was dropped.`);
    if (leasing.status === 'rejected')
      return await refuse(entity, toFailure(leasing.reason, 'taking the lease'), dependencies);
    if (leasing.value === 'taken') return await skip(entity, dependencies);
    await run(entity, lease, dependencies);
  } finally {
    await lease?.release();
  }
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
async function skip(
  entity: ConnectionEntity,
  { connections, invocation, now }: PollDependencies,
): Promise<void> {
  const { customer, connection } = entity.key;
  invocation.skipPoll({ ...entity.key, protocol: protocolLabel(entity.columns.hostType) });
  invocation.log.info(`Poll of ${customer}/${connection} skipped: another run holds its lease.`);
  const state = readState(entity.columns);
  const heartbeatAgeMs = now().getTime() - (state.heartbeatAt?.getTime() ?? 0);
  if (state.lastStatus === 'running' && heartbeatAgeMs <= staleHeartbeatMs) return;
  const change = { lastStatus: 'skipped', nextRunAt: nextMinute(now()).toISOString() };
  await connections.merge(entity.key, change, entity.etag);
}

/** A run that could not even begin. */
async function refuse(
  entity: ConnectionEntity,
  failure: Failure,
  dependencies: PollDependencies,
): Promise<void> {
  const { connections, now } = dependencies;
  await watch(entity, dependencies, async (runId) => {
    const startedAt = now();
    const state = new RunState(connections, entity, runId);
    const result = failedWith(failure);
    await state.begin({
      lastRunStartedAt: startedAt,
      heartbeatAt: startedAt,
      ...outcomeOf(result, entity, startedAt),
    });
    return result;
  });
}

async function run(
  entity: ConnectionEntity,
  lease: Lease | undefined,
  dependencies: PollDependencies,
): Promise<void> {
  const decoded = await dependencies.decode(entity);
  if (decoded.ok && lease) {
    const { config } = decoded;
    return await watch(entity, dependencies, (runId, trace) =>
      carryOut({ runId, trace, config, lease, startedAt: dependencies.now() }, entity, dependencies),
    );
  }
  const sentence = decoded.ok
    ? 'The keys of this connection are not valid.'
    : summarizeErrors(decoded.errors);
  await refuse(entity, new Failure('config', sentence), dependencies);
}

/** Reports what `poll` comes to, in the log and as telemetry; an outcome that can't be written is a failed poll. */
async function watch(
  entity: ConnectionEntity,
  { invocation, newRunId }: PollDependencies,
  poll: (runId: string, trace: PollTrace) => Promise<RunResult>,
): Promise<void> {
  const startedAtMs = performance.now();
  const runId = newRunId();
  const labels: ConnectionLabels = { ...entity.key, protocol: protocolLabel(entity.columns.hostType) };
  const trace = invocation.startPoll(labels, runId);
  const end = (result: RunResult): void => {
    const durationMs = Math.round(performance.now() - startedAtMs);
    report(labels, runId, { ...result, durationMs }, invocation.log);
    trace.end({ ...result, durationMs });
  };
  try {
    end(await poll(runId, trace));
  } catch (error) {
    end(failedWith(toFailure(error, 'polling a mailbox')));
    throw error;
  }
}

function failedWith(failure: Failure): RunResult {
  return { mails: 0, messages: 0, bytes: 0, failure, unfinished: false };
}

async function carryOut(
  begun: Pick<Run, 'runId' | 'trace' | 'config' | 'lease' | 'startedAt'>,
  entity: ConnectionEntity,
  { connections, now, drain, heartbeatMs, pollTimeBudgetMs }: PollDependencies,
): Promise<RunResult> {
  const { runId, config, lease, startedAt } = begun;
  const startedAtMs = performance.now();
  const state = new RunState(connections, entity, runId);
  lease.keepUntil(config.useProcessLock ? undefined : await leaseEndsAt(config.schedule, startedAt));
  await state.begin(await firstState(config, entity, startedAt));

  const heartbeat = startHeartbeat(heartbeatMs, heartbeatFailingMs);
  heartbeat.add(() => state.write({ heartbeatAt: now() }));
  const troubles = new Troubles(entity.columns.unfetchable, startedAt);
  const result = await drain({
    ...begun,
    heartbeat,
    troubles,
    isOverBudget: () => performance.now() - startedAtMs >= pollTimeBudgetMs,
  });
  await heartbeat.stop();
  const before = typeof entity.columns.unfetchable === 'string' ? entity.columns.unfetchable : '';
  const unfetchable = troubles.toColumn();
  await state.write({
    ...outcomeOf(result, entity, now()),
    ...(unfetchable === before ? {} : { unfetchable }),
  });
  return result;
}

async function firstState(
  config: ConnectionConfig,
  entity: ConnectionEntity,
  startedAt: Date,
): Promise<StateChange> {
  const before = readState(entity.columns);
  const next = await nextRunAt(config.schedule, startedAt, before.scheduleAnchor, before.nextRunAt);
  return {
    lastStatus: 'running',
    lastRunStartedAt: startedAt,
    heartbeatAt: startedAt,
    nextRunAt: next.nextRunAt,
    scheduleAnchor: next.anchor,
  };
}

function outcomeOf(result: RunResult, entity: ConnectionEntity, now: Date): StateChange {
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
    ...(failure || result.unfinished ? { nextRunAt: nextMinute(now) } : {}),
    ...(history === undefined ? {} : { history }),
  };
}

/** The one line that a run leaves in the log. */
function report(labels: ConnectionLabels, runId: string, outcome: PollOutcome, log: Log): void {
  const { mails, messages, bytes, durationMs, failure } = outcome;
  const fields = { ...labels, runId, mails, messages, bytes, durationMs };
  const name = `${labels.customer}/${labels.connection}`;
  if (failure) log.error(`Poll of ${name} failed: ${failure.message}`, { ...fields, reason: failure.reason });
  else log.info(`Poll of ${name}: ${mails} mails, ${messages} messages in ${durationMs} ms.`, fields);
}

import type { Destination, OpenDestination } from '../delivery/destination.ts';
import { MessageTooLarge } from '../delivery/messageTooLarge.ts';
import { type Failure, toFailure } from '../failure/failure.ts';
import type { Log } from '../telemetry/log.ts';
import { afterFailure, wholeMinute } from './backOff.ts';
import { ByteGate } from './byteGate.ts';
import { forEachOf } from './forEachOf.ts';
import { sendParts } from './sendParts.ts';
import type { DueRecord, RetryQueue, UndeliveredRecord } from './undelivered.ts';

export interface RetryOptions {
  readonly store: RetryQueue;
  readonly openDestination: OpenDestination;
  readonly log: Log;
  readonly now: () => Date;
  /** RETRY_MAX_AGE_HOURS: a record that fails and is as old is abandoned. */
  readonly maxAgeMs: number;
  /** After this nothing more is begun; what is on its way ends within two minutes more. Default 240,000. */
  readonly budgetMs?: number;
}

/** What one tick did; counts of mails, save `messages`. */
export interface RetrySummary {
  readonly due: number;
  readonly delivered: number;
  readonly failed: number;
  readonly abandoned: number;
  readonly messages: number;
}

const defaultBudgetMs = 240_000;
/** One page of the table. */
const maxRecords = 1_000;
const queuesAtOnce = 4;
const recordsAtOnce = 4;
const putOffsAtOnce = 16;
/** Of bodies in memory, over all queues. */
const maxBodyBytes = 64 * 1_024 * 1_024;
/** Abandoned mails named one by one in the log of a tick. */
const maxNamed = 50;

/**
 * The catastrophic retry: one tick. Sends what is due, puts off what fails, abandons what has failed for too
 * long. Several instances may run it at once. With nothing due it costs one table query, and no connection to
 * Service Bus. Rejects with a `Failure` only when what is due can't be read; the rest is logged and tried again.
 */
export async function retryDeliveries(options: RetryOptions): Promise<RetrySummary> {
  const { store, log } = options;
  const startedAtMs = performance.now();
  const budgetMs = options.budgetMs ?? defaultBudgetMs;
  const tick: Tick = {
    ...options,
    startedAt: options.now(),
    gate: new ByteGate(maxBodyBytes),
    isTimeUp: () => performance.now() - startedAtMs >= budgetMs,
    summary: { due: 0, delivered: 0, failed: 0, abandoned: 0, messages: 0 },
  };
  const { records, leftovers } = await store.findDue(maxRecords);
  if (records.length === 0 && leftovers.length === 0) return tick.summary;
  tick.summary.due = records.length;
  const byQueue = Map.groupBy(records, ({ record }) => record.queueName);
  await forEachOf(byQueue, queuesAtOnce, ([queueName, due]) => retryQueue(tick, queueName, due));
  await forEachOf(leftovers, recordsAtOnce, (leftover) => store.clear(leftover)).catch((error: unknown) =>
    log.warn(toFailure(error, 'clearing the table EmailUndelivered').message),
  );
  const { due, delivered, failed, abandoned } = tick.summary;
  if (due > 0) {
    log.info(`Retried undelivered mails: ${due} due, ${delivered} delivered, ${failed} failed.`, {
      ...tick.summary,
    });
  }
  if (abandoned > maxNamed) log.error(`${abandoned} undelivered mails were abandoned; GET /api/undelivered.`);
  return tick.summary;
}

interface Tick extends RetryOptions {
  readonly startedAt: Date;
  readonly gate: ByteGate;
  readonly isTimeUp: () => boolean;
  readonly summary: { -readonly [Count in keyof RetrySummary]: RetrySummary[Count] };
}

/** How one queue fares in this tick. */
interface QueueHealth {
  /** Records that failed since something was accepted. */
  failuresInARow: number;
  /** Once set, no more is sent there in this tick. */
  outage: Failure | undefined;
  storageFailure: Failure | undefined;
  failed: number;
  lastFailure: Failure | undefined;
}

/** Never rejects. */
async function retryQueue(tick: Tick, queueName: string, due: readonly DueRecord[]): Promise<void> {
  const health: QueueHealth = {
    failuresInARow: 0,
    outage: undefined,
    storageFailure: undefined,
    failed: 0,
    lastFailure: undefined,
  };
  let destination: Destination | undefined;
  try {
    if (tick.isTimeUp()) return;
    destination = await tick.openDestination(queueName);
  } catch (error) {
    health.outage = toFailure(error, `opening queue ${queueName}`);
  }
  const opened = destination;
  const left = fewestTriesFirst(due)[Symbol.iterator]();
  if (opened) {
    await forEachOf(
      until(left, () => tick.isTimeUp() || hasEnded(health)),
      recordsAtOnce,
      (record) => retryRecord(tick, opened, health, record),
    );
  }
  const { outage } = health;
  if (outage) {
    const isAway = () => tick.isTimeUp() || health.storageFailure !== undefined;
    await forEachOf(until(left, isAway), putOffsAtOnce, (record) => putOff(tick, health, record, outage));
  }
  const { failed, lastFailure, storageFailure } = health;
  if (lastFailure) {
    tick.log.warn(`${failed} undelivered mails for queue ${queueName} failed again: ${lastFailure.message}`);
  }
  if (storageFailure) tick.log.warn(storageFailure.message);
  await opened?.close();
}

/** So that records that fail again and again, each for itself, don't stand before those that may pass. */
function fewestTriesFirst(due: readonly DueRecord[]): readonly DueRecord[] {
  return due.toSorted(
    ({ record: a }, { record: b }) => a.tries - b.tries || a.storedAt.getTime() - b.storedAt.getTime(),
  );
}

function* until<T>(items: Iterator<T>, isOver: () => boolean): Iterable<T> {
  while (!isOver()) {
    const next = items.next();
    if (next.done) return;
    yield next.value;
  }
}

function hasEnded(health: QueueHealth): boolean {
  return health.outage !== undefined || health.storageFailure !== undefined;
}

/** Never rejects: where its outcome can't be written, the record is free again when the taking has lapsed. */
async function retryRecord(
  tick: Tick,
  destination: Destination,
  health: QueueHealth,
  due: DueRecord,
): Promise<void> {
  try {
    const taken = await tick.store.take(due);
    if (!taken) return;
    const { record } = taken;
    const { accepted, failure, complete } = await sendParts(taken, destination, tick.gate, tick.isTimeUp);
    tick.summary.messages += accepted.size;
    noteHealth(health, accepted.size > 0, failure);
    if (complete) {
      tick.summary.delivered += 1;
      await taken.remove();
    } else if (failure) {
      await taken.keep(accepted, failedChange(tick, record, failure));
      noteFailed(tick, health, record, failure);
    } else {
      await taken.keep(accepted, {
        status: 'waiting',
        nextTryAt: wholeMinute(tick.startedAt),
        tries: record.tries,
      });
    }
  } catch (error) {
    health.storageFailure ??= toFailure(error, 'writing the table EmailUndelivered');
  }
}

/**
 * Two records that fail in a row, neither for its size nor for want of storage, mean that the queue is away:
 * one alone may itself be at fault.
 */
function noteHealth(health: QueueHealth, somePassed: boolean, failure: Failure | undefined): void {
  if (somePassed) health.failuresInARow = 0;
  if (failure === undefined || failure instanceof MessageTooLarge || failure.reason === 'storage') return;
  health.failuresInARow += 1;
  if (health.failuresInARow >= 2) health.outage ??= failure;
}

async function putOff(tick: Tick, health: QueueHealth, due: DueRecord, outage: Failure): Promise<void> {
  try {
    await tick.store.putOff(due, failedChange(tick, due.record, outage));
    noteFailed(tick, health, due.record, outage);
  } catch (error) {
    health.storageFailure ??= toFailure(error, 'writing the table EmailUndelivered');
  }
}

/** Counted from the start of the tick, so that a slow one does not push the next try past its minute. */
function failedChange(tick: Tick, record: UndeliveredRecord, failure: Failure) {
  const change = afterFailure(record, tick.startedAt, tick.maxAgeMs);
  return { ...change, lastTryAt: tick.startedAt, lastError: failure.message };
}

function noteFailed(tick: Tick, health: QueueHealth, record: UndeliveredRecord, failure: Failure): void {
  const { log, summary } = tick;
  summary.failed += 1;
  health.failed += 1;
  health.lastFailure = failure;
  if (afterFailure(record, tick.startedAt, tick.maxAgeMs).status !== 'abandoned') return;
  summary.abandoned += 1;
  if (summary.abandoned > maxNamed) return;
  log.error(
    `Undelivered mail ${record.id} of ${record.customer}/${record.connection} was abandoned after ${record.tries + 1} tries: ${failure.message} It is kept; resend it by POST /api/undelivered/${record.id}/resend.`,
    { customer: record.customer, connection: record.connection, id: record.id, tries: record.tries + 1 },
  );
}

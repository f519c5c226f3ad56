import {
  type Destinations,
  type Fence,
  FencedOff,
  MessageRefused,
  type QueueSender,
} from '../destination/destination.ts';
import { sendParts } from '../destination/sendParts.ts';
import { Failure, toFailure } from '../failure/failure.ts';
import type { Log } from '../telemetry/log.ts';
import { GroupCommit } from '../wait/groupCommit.ts';
import { forEachOf, Limit } from '../wait/parallel.ts';
import type { StoredPart } from './manifest.ts';
import {
  afterFailure,
  type RecordChange,
  type UndeliveredRecord,
  type UndeliveredStatus,
  wholeMinute,
} from './record.ts';
import { type DueRecord, type TakenRecord, takenMs, type UndeliveredStore } from './undeliveredStore.ts';

export interface RetryOptions {
  readonly store: UndeliveredStore;
  readonly destinations: Destinations;
  readonly log: Log;
  readonly now: () => Date;
  /** RETRY_MAX_AGE_HOURS: a record that fails and is as old is abandoned. */
  readonly maxAgeMs: number;
  /** Fires when the process is told to go: what was taken is given back. */
  readonly told: AbortSignal;
  /** Writes into the journal that these were delivered; resolves to a sentence where it could not, never rejects. */
  readonly journal: (delivered: readonly UndeliveredRecord[]) => Promise<string | undefined>;
  /** After this nothing more is begun; what is on its way ends within two minutes more. Default 120,000. */
  readonly budgetMs?: number;
}

/** What one tick did; counts of mails, save `messages`. */
export type RetrySummary = Record<'due' | 'delivered' | 'failed' | 'abandoned' | 'messages', number>;

const defaultBudgetMs = 120_000;
const queuesAtOnce = 32;
/** Of one queue, once it has taken something. */
const recordsAtOnce = 8;
/** The oldest of one queue that a tick looks at; the others stay due. */
const maxRecordsOfQueue = 2_000;
const maxLeftovers = 1_000;
/**
 * What the records of one queue hold of bodies that were read for the wire, or one that is larger: so a queue that
 * hangs keeps no more from the others.
 */
const maxReadBytesOfQueue = 8 * 1_024 * 1_024;
/** All queues together; as much beside it of bodies of more than `maxReadBytesOfQueue`, or one that is larger. */
const maxReadBytes = 64 * 1_024 * 1_024;
/** Abandoned mails named one by one in the log of a tick. */
const maxNamed = 50;
/** Between two writes to the journal, each of which takes all that has been delivered since the last. */
const journalRestMs = 1_000;

/**
 * The catastrophic retry: one tick. Sends what is due, in order of age within each queue, puts off what fails,
 * abandons what has failed for too long. A queue that refuses is asked once, and its records delay no other queue's.
 * With nothing due it costs one table query, and no connection to Service Bus. Rejects with a `Failure` only when
 * what is due can't be read; the rest is logged and tried again.
 */
export async function retryDeliveries(options: RetryOptions): Promise<RetrySummary> {
  const { store, log, told, budgetMs = defaultBudgetMs } = options;
  const startedAtMs = performance.now();
  const summary = { due: 0, delivered: 0, failed: 0, abandoned: 0, messages: 0 };
  const tick: Tick = {
    ...options,
    startedAt: options.now(),
    leftMs: () => (told.aborted ? 0 : Math.max(0, budgetMs - (performance.now() - startedAtMs))),
    readBytes: new Limit(maxReadBytes),
    largeReadBytes: new Limit(maxReadBytes),
    summary,
    delivered: new GroupCommit(Number.POSITIVE_INFINITY, journalRestMs, async (records) => {
      const unwritten = await options.journal(records);
      if (unwritten !== undefined) log.warn(unwritten);
    }),
  };
  const { byQueue, leftovers, count } = await chooseDue(store);
  summary.due = count;
  const cleared = until(leftovers.values(), () => tick.leftMs() === 0);
  const clearing = forEachOf(cleared, recordsAtOnce, ({ id, etag }) => store.remove(id, etag)).catch(
    (error: unknown) => log.warn(toFailure(error, 'clearing the table EmailUndelivered').message),
  );
  await forEachOf(byQueue, queuesAtOnce, ([queueName, due]) => new QueueRetry(tick, queueName).run(due));
  await clearing;
  await tick.delivered.end();
  const { due, delivered, failed, abandoned } = summary;
  const left = due - delivered - failed;
  if (due > 0) {
    const still = left > 0 ? `, ${left} left for the next tick` : '';
    log.info(`Retried undelivered mails: ${due} due, ${delivered} delivered, ${failed} failed${still}.`, {
      ...summary,
    });
  }
  if (abandoned > maxNamed) log.error(`${abandoned} undelivered mails were abandoned; GET /api/undelivered.`);
  return summary;
}

interface Tick extends RetryOptions {
  readonly startedAt: Date;
  /** 0 also when the process is told to go. */
  readonly leftMs: () => number;
  readonly readBytes: Limit;
  readonly largeReadBytes: Limit;
  readonly delivered: GroupCommit<UndeliveredRecord>;
  readonly summary: RetrySummary;
}

/** Reads all that is due, which comes with the newest first, and holds the oldest of each queue in order of age. */
async function chooseDue(store: UndeliveredStore) {
  const byQueue = new Map<string, DueRecord[]>();
  const leftovers: DueRecord[] = [];
  let count = 0;
  for await (const record of store.findDue()) {
    if (record.isLeftover) {
      if (leftovers.length < maxLeftovers) leftovers.push(record);
      continue;
    }
    count += 1;
    const ofQueue = byQueue.get(record.queueName) ?? [];
    byQueue.set(record.queueName, ofQueue);
    ofQueue.push(record);
    if (ofQueue.length >= 2 * maxRecordsOfQueue) ofQueue.splice(0, maxRecordsOfQueue);
  }
  for (const [queueName, records] of byQueue) {
    byQueue.set(queueName, records.slice(-maxRecordsOfQueue).reverse());
  }
  return { byQueue, leftovers, count };
}

/** One queue's records in one tick. */
class QueueRetry {
  readonly #tick: Tick;
  readonly #queueName: string;
  readonly #readBytes = new Limit(maxReadBytesOfQueue);
  /** Records that failed since something was accepted. */
  #failuresInARow = 0;
  #hasAnswered = false;
  /** Once set, no more is sent there in this tick. */
  #outage: Failure | undefined;
  #storageFailure: Failure | undefined;
  #failed = 0;
  #lastFailure: Failure | undefined;

  constructor(tick: Tick, queueName: string) {
    this.#tick = tick;
    this.#queueName = queueName;
  }

  /** Never rejects. */
  async run(due: readonly DueRecord[]): Promise<void> {
    const { log } = this.#tick;
    const left = due[Symbol.iterator]();
    try {
      if (this.#tick.leftMs() === 0) return;
      const sender = await this.#tick.destinations.open(this.#queueName);
      // One after the other until the queue has answered: one that refuses all is not asked a thousand times.
      const retry = (record: DueRecord) => this.#retry(record, sender);
      const first = until(left, () => this.#hasEnded() || this.#hasAnswered);
      await forEachOf(first, 1, retry);
      const others = until(left, () => this.#hasEnded());
      await forEachOf(others, recordsAtOnce, retry);
    } catch (error) {
      // A try that was given up with the process says nothing of the queue.
      if (!this.#tick.told.aborted) this.#outage ??= toFailure(error, `opening queue ${this.#queueName}`);
    }
    const outage = this.#outage;
    if (outage && !this.#storageFailure) await this.#putOff([...left], outage);
    if (this.#lastFailure) {
      const mails = this.#failed === 1 ? 'mail' : 'mails';
      log.warn(
        `${this.#failed} undelivered ${mails} for queue ${this.#queueName} failed again: ${this.#lastFailure.message}`,
      );
    }
    if (this.#storageFailure) log.warn(this.#storageFailure.message);
  }

  #hasEnded(): boolean {
    return this.#tick.leftMs() === 0 || this.#outage !== undefined || this.#storageFailure !== undefined;
  }

  /** Never rejects: where its outcome can't be written, the record is free again when the taking has lapsed. */
  async #retry(due: DueRecord, sender: QueueSender): Promise<void> {
    const { store, summary, startedAt, told, now } = this.#tick;
    const [takenAtMs, takenAt] = [performance.now(), now().getTime()];
    // By the clock that has gone further: a suspended machine stops the first, and another takes the record by its own.
    const heldMs = () => Math.max(performance.now() - takenAtMs, now().getTime() - takenAt);
    const fence: Fence = { mayWrite: () => !told.aborted && heldMs() < takenMs };
    try {
      const record = await store.take(due);
      if (!record) return;
      const parts = await store.parts
        .read(record.id)
        .catch((error: unknown) => toFailure(error, 'reading an undelivered mail'));
      // Of this record alone, unless that can't be written either.
      if (parts instanceof Failure) return await this.#keepFailed(record, parts);
      const contents = store.parts.contentsOf(record);
      const { accepted, failed } = await sendParts(sender, fence, parts, contents, (bytes) =>
        this.#takeRoom(bytes, fence),
      );
      summary.messages += accepted.length;
      if (accepted.length > 0) {
        this.#hasAnswered = true;
        this.#failuresInARow = 0;
      }
      if (!failed) {
        summary.delivered += 1;
        // First: it was delivered, whatever becomes of its record.
        void this.#tick.delivered.add(record);
        await store.remove(record.id);
        return;
      }
      const sent = new Set(accepted);
      const unsent = sent.size === 0 ? undefined : parts.filter(({ partNumber }) => !sent.has(partNumber));
      // A send that was under way is given up with the sender when the process goes: that is not the queue's doing.
      if (failed.failure instanceof FencedOff || told.aborted) {
        const dueNow = { status: 'waiting', nextTryAt: wholeMinute(startedAt), tries: record.tries } as const;
        await store.keep(record, dueNow, unsent);
        return;
      }
      this.#noteHealth(failed.failure);
      await this.#keepFailed(record, failed.failure, unsent);
    } catch (error) {
      this.#storageFailure ??= toFailure(error, 'retrying an undelivered mail');
    }
  }

  /** Of the queue first: while others of its records wait there, they hold nothing of what all share. */
  async #takeRoom(bytes: number, fence: Fence): Promise<() => void> {
    const { readBytes, largeReadBytes, leftMs } = this.#tick;
    const ofAll = bytes > maxReadBytesOfQueue ? largeReadBytes : readBytes;
    const leaveQueue = await this.#readBytes.enter(leftMs(), Math.min(bytes, maxReadBytesOfQueue));
    const leaveAll = leaveQueue && (await ofAll.enter(leftMs(), Math.min(bytes, maxReadBytes)));
    const giveBack = () => {
      leaveQueue?.();
      leaveAll?.();
    };
    if (leaveAll && fence.mayWrite()) return giveBack;
    giveBack();
    throw new FencedOff();
  }

  /**
   * Two records that fail in a row, neither refused for itself nor for want of storage, mean that the queue is away:
   * one alone may itself be at fault.
   */
  #noteHealth(failure: Failure): void {
    if (failure.reason === 'storage') return;
    if (failure instanceof MessageRefused) this.#hasAnswered = true;
    else this.#failuresInARow += 1;
    if (this.#failuresInARow >= 2) this.#outage ??= failure;
  }

  async #putOff(left: readonly DueRecord[], outage: Failure): Promise<void> {
    try {
      const changes = left.map((due) => [due, this.#changeAfter(due, outage)] as const);
      await this.#tick.store.putOff(changes);
      for (const [due, { status }] of changes) this.#noteFailed(status, outage, due);
    } catch (error) {
      this.#storageFailure ??= toFailure(error, 'writing the table EmailUndelivered');
    }
  }

  /** Counted from the start of the tick, so that a slow one does not push the next try past its minute. */
  #changeAfter(record: DueRecord | TakenRecord, failure: Failure): RecordChange {
    const { startedAt, maxAgeMs } = this.#tick;
    const change = afterFailure(record, startedAt, maxAgeMs);
    return { ...change, lastTryAt: startedAt, lastError: failure.message };
  }

  async #keepFailed(record: TakenRecord, failure: Failure, unsent?: readonly StoredPart[]): Promise<void> {
    const change = this.#changeAfter(record, failure);
    const isWritten = await this.#tick.store.keep(record, change, unsent);
    this.#noteFailed(isWritten ? change.status : 'waiting', failure, record);
  }

  /** `record` as it was before it failed. */
  #noteFailed(
    status: UndeliveredStatus,
    failure: Failure,
    { id, customer, connection, tries }: DueRecord | TakenRecord,
  ): void {
    const { log, summary } = this.#tick;
    summary.failed += 1;
    this.#failed += 1;
    this.#lastFailure = failure;
    if (status !== 'abandoned') return;
    summary.abandoned += 1;
    if (summary.abandoned > maxNamed) return;
    log.error(
      `Undelivered mail ${id} of ${customer}/${connection} was abandoned after ${tries + 1} tries: ${failure.message} It is kept; resend it by POST /api/undelivered/${id}/resend.`,
      { customer, connection, id, tries: tries + 1 },
    );
  }
}

/** Takes from `items` until it is over; what is left stays there. */
function* until<T>(items: Iterator<T>, isOver: () => boolean): Iterable<T> {
  while (!isOver()) {
    const next = items.next();
    if (next.done) return;
    yield next.value;
  }
}

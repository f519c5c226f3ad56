import { isStorableKey } from '../connection/columns.ts';
import type { ConnectionEntity, ConnectionKey, ConnectionStore } from '../connection/connectionStore.ts';
import { type Failure, toFailure } from '../failure/failure.ts';
import { boundedWarnings, type Log } from '../telemetry/log.ts';
import { clockToleranceMs, earlyTickMs, readTime } from '../time/time.ts';
import { forEachOf } from '../wait/parallel.ts';
import { dueColumns, isDue, readNextRunAt, staleHeartbeatMs } from './due.ts';
import type { OrderQueue } from './orderQueue.ts';

export interface SchedulerDependencies {
  readonly connections: ConnectionStore;
  /** Gives the same one at each call. */
  readonly orderQueue: () => Promise<OrderQueue>;
  readonly now: () => Date;
}

/** An order lives for 60 s, so a tick must have put all of them long before. */
const putsInFlight = 48;

/** Lines about single rows that a tick leaves in the log. */
const maxRowLines = 10;

const hourMs = 3_600_000;

/**
 * A process's scheduler, to be called at each tick: it orders a poll of each connection that is due. The table is read
 * in one pass, while orders are put already; an order that can't be put doesn't stop the others, and the tick rejects
 * with a `Failure` in the end. What is not due the service leaves out of its answer; at the first tick of the process
 * and of each hour all rows are read, so that one whose state can't be (a time from a clock that was fast, or no time
 * at all) is found as well. The queue is made at the first tick, due or not: until it is there, the host that waits for
 * orders logs an error every two seconds.
 */
export function createScheduler(dependencies: SchedulerDependencies): (log: Log) => Promise<void> {
  const { connections, orderQueue, now } = dependencies;
  let lastFullHour: number | undefined;
  let isQueueMade = false;

  return async (log) => {
    const time = now();
    const hour = Math.floor((time.getTime() + earlyTickMs) / hourMs);
    const isFull = hour !== lastFullHour;
    const warn = boundedWarnings(log, maxRowLines, 'Further rows of this kind are left out.');
    const dueKeys = async function* (): AsyncIterable<ConnectionKey> {
      for await (const entity of connections.find(isFull ? undefined : dueFilter(time), dueColumns)) {
        const trouble = isFull ? troubleOf(entity, time) : undefined;
        if (trouble !== undefined) warn(trouble);
        const { customer, connection } = entity.key;
        const isNamed = isStorableKey(customer) && isStorableKey(connection);
        if (isNamed && isDue(entity.columns, time)) yield entity.key;
      }
    };
    const [put, made] = await Promise.allSettled([
      putOrders(dueKeys(), orderQueue, log),
      isQueueMade ? undefined : orderQueue().then((queue) => queue.make()),
    ]);
    for (const end of [put, made]) if (end.status === 'rejected') throw end.reason;
    if (put.status === 'fulfilled' && put.value !== undefined) throw put.value;
    isQueueMade = true;
    lastFullHour = hour;
  };
}

/** Orders them while they come, and logs how many; gives what went wrong first with an order. Rejects as `keys` does. */
async function putOrders(
  keys: AsyncIterable<ConnectionKey>,
  orderQueue: SchedulerDependencies['orderQueue'],
  log: Log,
): Promise<Failure | undefined> {
  let due = 0;
  let failed = 0;
  let failure: Failure | undefined;
  try {
    await forEachOf(keys, putsInFlight, async (key) => {
      due += 1;
      try {
        await (await orderQueue()).put(key);
      } catch (error) {
        failed += 1;
        failure ??= toFailure(error, 'putting an order to poll');
      }
    });
  } finally {
    if (due > 0) log.info(`Ordered ${due - failed} of ${due} due polls.`, { due, failed });
  }
  return failure;
}

/** What a person should know of a row. */
function troubleOf({ key, columns }: ConnectionEntity, now: Date): string | undefined {
  const { customer, connection } = key;
  if (customer === '' || connection === '') {
    const empty = customer === '' ? 'PartitionKey' : 'RowKey';
    const other = customer === '' ? `RowKey ${JSON.stringify(connection)}` : `PartitionKey "${customer}"`;
    return `A row of EmailConnections (${other}) has an empty ${empty} and is not polled. Add it anew, with both keys.`;
  }
  const isAhead = readTime(columns.nextRunAt) !== undefined && readNextRunAt(columns, now) === undefined;
  if (!isAhead) return undefined;
  return `Connection ${customer}/${connection} had a nextRunAt further ahead than its interval, from a clock that was fast or edited by hand. It is polled now.`;
}

/**
 * What the service can tell of `isDue`. A comparison with a missing column is false, hence the negations;
 * ISO 8601 strings of one form compare as times do.
 */
export function dueFilter(now: Date): string {
  const at = (offsetMs: number) => `'${new Date(now.getTime() + offsetMs).toISOString()}'`;
  const live = `(heartbeatAt ge ${at(-staleHeartbeatMs)} and heartbeatAt le ${at(clockToleranceMs)})`;
  const dead = `(lastStatus eq 'running' and not ${live})`;
  return `(not (nextRunAt gt ${at(earlyTickMs)}) or ${dead}) and not (enabled eq false)`;
}

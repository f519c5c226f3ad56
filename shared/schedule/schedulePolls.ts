import { isStorableKey } from '../connection/columns.ts';
import type { ConnectionEntity, ConnectionKey, ConnectionStore } from '../connection/connectionStore.ts';
import { type Failure, toFailure } from '../failure/failure.ts';
import type { Log } from '../telemetry/log.ts';
import { earlyTickMs, readTime } from '../time/time.ts';
import { clockToleranceMs, dueColumns, isDue, readNextRunAt, staleHeartbeatMs } from './due.ts';

/** Puts one order to poll on the queue `email-polls`. */
export type PutOrder = (key: ConnectionKey) => Promise<void>;

export interface SchedulerDependencies {
  readonly connections: ConnectionStore;
  /** Called at the first connection that is due. */
  readonly openOrders: () => Promise<PutOrder>;
  /** Makes the queue of orders where it is missing. */
  readonly makeOrderQueue: () => Promise<void>;
  readonly now: () => Date;
}

/** Looks for the connections that are due, at each tick. */
export interface Scheduler {
  /**
   * Orders a poll of each connection that is due. The table is read in one pass, while orders are put already.
   * An order that can't be put doesn't stop the others; the tick rejects with a `Failure` in the end.
   */
  tick(log: Log): Promise<void>;
}

/** An order lives for 60 s, so a tick must have put all of them long before. */
const putsInFlight = 48;

/** Lines about single rows that a tick leaves in the log. */
const maxRowLines = 10;

const hourMs = 3_600_000;

/**
 * A process's scheduler. What is not due the service leaves out of its answer; at the first tick of the process
 * and of each hour all rows are read, so that one whose state can't be (a time from a clock that was fast, or no
 * time at all) is found as well. The queue is made at the first tick, due or not: until it is there, the host
 * that waits for orders logs an error every two seconds.
 */
export function createScheduler(dependencies: SchedulerDependencies): Scheduler {
  const { connections, now, makeOrderQueue } = dependencies;
  let lastFullHour: number | undefined;
  let isQueueMade = false;

  return {
    async tick(log) {
      const time = now();
      const hour = Math.floor((time.getTime() + earlyTickMs) / hourMs);
      const isFull = hour !== lastFullHour;
      const orders = new Orders(dependencies.openOrders);
      const rows = new RowLog(log);
      const orderDue = async (): Promise<void> => {
        for await (const entity of connections.find(isFull ? undefined : dueFilter(time), dueColumns)) {
          if (isFull) rows.note(entity, time);
          const { customer, connection } = entity.key;
          const isNamed = isStorableKey(customer) && isStorableKey(connection);
          if (isNamed && isDue(entity.columns, time)) await orders.add(entity.key);
        }
      };
      const ends = await Promise.allSettled([orderDue(), isQueueMade ? undefined : makeOrderQueue()]);
      ends.push(...(await Promise.allSettled([orders.end(log)])));
      for (const end of ends) if (end.status === 'rejected') throw end.reason;
      isQueueMade = true;
      lastFullHour = hour;
    },
  };
}

/** The orders of one tick. */
class Orders {
  readonly #open: () => Promise<PutOrder>;
  readonly #inFlight = new Set<Promise<void>>();
  #opening: Promise<PutOrder> | undefined;
  #due = 0;
  #failed = 0;
  #failure: Failure | undefined;

  constructor(open: () => Promise<PutOrder>) {
    this.#open = open;
  }

  /** Resolves when the next one may be added. */
  async add(key: ConnectionKey): Promise<void> {
    this.#due += 1;
    while (this.#inFlight.size >= putsInFlight) await Promise.race(this.#inFlight);
    const putting: Promise<void> = this.#put(key).finally(() => this.#inFlight.delete(putting));
    this.#inFlight.add(putting);
  }

  async end(log: Log): Promise<void> {
    await Promise.all(this.#inFlight);
    const [due, failed] = [this.#due, this.#failed];
    if (due > 0) log.info(`Ordered ${due - failed} of ${due} due polls.`, { due, failed });
    if (this.#failure) throw this.#failure;
  }

  async #put(key: ConnectionKey): Promise<void> {
    try {
      this.#opening ??= this.#open();
      await (await this.#opening)(key);
    } catch (error) {
      this.#failed += 1;
      this.#failure ??= toFailure(error, 'putting an order to poll');
    }
  }
}

/** Names rows that a person should know of, the first few of a tick. */
class RowLog {
  readonly #log: Log;
  #lines = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  note({ key, columns }: ConnectionEntity, now: Date): void {
    const { customer, connection } = key;
    if (customer === '' || connection === '') {
      const empty = customer === '' ? 'PartitionKey' : 'RowKey';
      const other = customer === '' ? `RowKey ${JSON.stringify(connection)}` : `PartitionKey "${customer}"`;
      this.#warn(
        `A row of EmailConnections (${other}) has an empty ${empty} and is not polled. Add it anew, with both keys.`,
      );
      return;
    }
    const isAhead = readTime(columns.nextRunAt) !== undefined && readNextRunAt(columns, now) === undefined;
    if (!isAhead) return;
    this.#warn(
      `Connection ${customer}/${connection} had a nextRunAt further ahead than its interval, from a clock that was fast or edited by hand. It is polled now.`,
    );
  }

  #warn(sentence: string): void {
    this.#lines += 1;
    if (this.#lines <= maxRowLines) this.#log.warn(sentence);
    if (this.#lines === maxRowLines) this.#log.warn('Further rows of this kind are left out.');
  }
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

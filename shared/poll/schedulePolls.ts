import type { ConnectionKey, ConnectionStore } from '../connection/connectionStore.ts';
import { type Failure, toFailure } from '../failure/failure.ts';
import { dueColumns, isDue, staleHeartbeatMs } from '../schedule/due.ts';
import type { Log } from '../telemetry/log.ts';

/** Puts one order to poll on the queue `email-polls`. */
export type PutOrder = (key: ConnectionKey) => Promise<void>;

export interface ScheduleDependencies {
  readonly connections: ConnectionStore;
  /** Called at the first connection that is due. */
  readonly openOrders: () => Promise<PutOrder>;
  readonly now: () => Date;
  readonly log: Log;
}

/** An order lives for 60 s, so a tick must have put all of them long before. */
const putsInFlight = 48;

/**
 * One tick: orders a poll of each connection that is due. The table is read in one pass, filtered by the
 * service, while orders are put already. An order that can't be put doesn't stop the others; the tick
 * rejects with a `Failure` in the end.
 */
export async function schedulePolls({
  connections,
  openOrders,
  now,
  log,
}: ScheduleDependencies): Promise<void> {
  const time = now();
  const inFlight = new Set<Promise<void>>();
  let orders: Promise<PutOrder> | undefined;
  let due = 0;
  let failure: Failure | undefined;
  let failed = 0;

  const put = async (key: ConnectionKey): Promise<void> => {
    try {
      orders ??= openOrders();
      await (await orders)(key);
    } catch (error) {
      failed += 1;
      failure ??= toFailure(error, 'putting an order to poll');
    }
  };
  for await (const { key, columns } of connections.find(dueFilter(time), dueColumns)) {
    if (!isDue(columns, time)) continue;
    due += 1;
    while (inFlight.size >= putsInFlight) await Promise.race(inFlight);
    const putting: Promise<void> = put(key).finally(() => inFlight.delete(putting));
    inFlight.add(putting);
  }
  await Promise.all(inFlight);
  if (due > 0) log.info(`Ordered ${due - failed} of ${due} due polls.`, { due, failed });
  if (failure) throw failure;
}

/**
 * What the service can tell of `isDue`. A comparison with a missing column is false, hence the negations;
 * ISO 8601 strings of one form compare as times do.
 */
export function dueFilter(now: Date): string {
  const staleBefore = new Date(now.getTime() - staleHeartbeatMs);
  const dead = `(lastStatus eq 'running' and not (heartbeatAt ge '${staleBefore.toISOString()}'))`;
  return `(not (nextRunAt gt '${now.toISOString()}') or ${dead}) and not (enabled eq false)`;
}

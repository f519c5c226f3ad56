import { toFailure } from '../failure/failure.ts';
import type { Log } from '../telemetry/log.ts';
import type { Backlog, Telemetry, UndeliveredCount } from '../telemetry/telemetry.ts';
import type { Storage } from './storage.ts';

/** Rows that are counted; beyond it the number says no more than that it is large. */
const maxRows = 10_000;

/** Counts the undelivered mails and the orders that the host has given up, for the alerts on them. */
export async function reportBacklog(storage: Storage, telemetry: Telemetry, log: Log): Promise<void> {
  if (!telemetry.isOn) return;
  try {
    const [undelivered, poisonedOrders] = await Promise.all([
      countUndelivered(storage),
      storage.countPoisonedOrders(),
    ]);
    telemetry.reportBacklog({ undelivered, poisonedOrders });
  } catch (error) {
    log.warn(toFailure(error, 'counting what is undelivered').message);
  }
}

async function countUndelivered(storage: Storage): Promise<Backlog['undelivered']> {
  const { openRecordTable } = await import('../undelivered/recordTable.ts');
  const records = openRecordTable(await storage.undelivered());
  const counts = new Map<string, UndeliveredCount>();
  let rows = 0;
  for await (const { status, protocol, record } of records.find(
    "(status eq 'waiting' or status eq 'abandoned')",
  )) {
    if (status !== 'waiting' && status !== 'abandoned') continue;
    const { customer, connection } = record;
    const id = JSON.stringify([customer, connection, protocol, status]);
    const mails = (counts.get(id)?.mails ?? 0) + 1;
    counts.set(id, { labels: { customer, connection, protocol }, status, mails });
    rows += 1;
    if (rows >= maxRows) break;
  }
  return [...counts.values()];
}

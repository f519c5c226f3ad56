import { toFailure } from '../failure/failure.ts';
import type { Log } from '../telemetry/log.ts';
import type { Backlog, Telemetry, UndeliveredCount } from '../telemetry/telemetry.ts';
import type { Process } from './process.ts';

/** Rows that are counted; beyond it the number says no more than that it is large. */
const maxRows = 10_000;
const pageRows = 1_000;

/** Counts the undelivered mails and the orders that the host has given up, for the alerts on them. */
export async function reportBacklog(process: Process, telemetry: Telemetry, log: Log): Promise<void> {
  if (!telemetry.isOn) return;
  try {
    const [undelivered, poisonedOrders] = await Promise.all([
      countUndelivered(process),
      process.storage.countPoisonedOrders(),
    ]);
    telemetry.reportBacklog({ undelivered, poisonedOrders });
  } catch (error) {
    log.warn(toFailure(error, 'counting what is undelivered').message);
  }
}

async function countUndelivered({ openUndelivered }: Process): Promise<Backlog['undelivered']> {
  const counts = new Map<string, UndeliveredCount>();
  const store = await openUndelivered();
  for (let after: string | undefined, rows = 0; rows < maxRows; ) {
    const page = await store.list({ limit: pageRows, ...(after === undefined ? {} : { after }) });
    for (const { customer, connection, protocol, status } of page.records) {
      const id = JSON.stringify([customer, connection, protocol, status]);
      const mails = (counts.get(id)?.mails ?? 0) + 1;
      counts.set(id, { labels: { customer, connection, protocol }, status, mails });
    }
    rows += page.records.length;
    after = page.next;
    if (after === undefined) break;
  }
  return [...counts.values()];
}

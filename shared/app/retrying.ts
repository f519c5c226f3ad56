import { toFailure } from '../failure/failure.ts';
import { addLaterOutcomes } from '../journal/journal.ts';
import type { Log } from '../telemetry/log.ts';
import type { Backlog, Invocation, UndeliveredCount } from '../telemetry/telemetry.ts';
import { retryDeliveries } from '../undelivered/retryDeliveries.ts';
import type { Process } from './process.ts';

/** Rows that are counted; beyond it the number says no more than that it is large. */
const maxRows = 10_000;
const pageRows = 1_000;

/** One tick of the catastrophic retry. */
export async function retry({ settings, storage, destinations, told }: Process, log: Log): Promise<void> {
  await retryDeliveries({
    store: await storage.undelivered(),
    ...{ destinations, log, told },
    now: () => new Date(),
    maxAgeMs: settings.retryMaxAgeMs,
    journal: async (delivered) =>
      await addLaterOutcomes(
        { container: () => storage.container('email-journal'), mode: settings.journal },
        delivered.map(({ customer, connection, interchangeId, storedAt }) => ({
          ...{ customer, connection, interchangeId, mailAt: storedAt, at: new Date() },
          outcome: 'delivered',
        })),
      ),
  });
}

/** Counts the undelivered mails and the orders that the host has given up, for the alerts on them. */
export async function reportBacklog(process: Process, invocation: Invocation): Promise<void> {
  if (invocation.reportBacklog === undefined) return;
  try {
    const [undelivered, poisonedOrders] = await Promise.all([
      countUndelivered(process),
      process.storage.countPoisonedOrders(),
    ]);
    invocation.reportBacklog({ undelivered, poisonedOrders });
  } catch (error) {
    invocation.log.warn(toFailure(error, 'counting what is undelivered').message);
  }
}

async function countUndelivered({ storage }: Process): Promise<Backlog['undelivered']> {
  const counts = new Map<string, UndeliveredCount>();
  const store = await storage.undelivered();
  for (let after: string | undefined = '', rows = 0; after !== undefined && rows < maxRows; ) {
    const { records, next } = await store.list({ limit: pageRows, after });
    for (const { customer, connection, protocol, status } of records) {
      const id = JSON.stringify([customer, connection, protocol, status]);
      const mails = (counts.get(id)?.mails ?? 0) + 1;
      counts.set(id, { labels: { customer, connection, protocol }, status, mails });
    }
    rows += records.length;
    after = next;
  }
  return [...counts.values()];
}

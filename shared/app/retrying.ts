import { addLaterOutcomes } from '../journal/journal.ts';
import type { Log } from '../telemetry/log.ts';
import { retryDeliveries } from '../undelivered/retryDeliveries.ts';
import type { Process } from './process.ts';

/** One tick of the catastrophic retry. */
export async function retry(
  { settings, storage, destinations, openUndelivered, told }: Process,
  log: Log,
): Promise<void> {
  await retryDeliveries({
    store: await openUndelivered(),
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

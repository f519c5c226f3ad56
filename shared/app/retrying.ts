import { clearClaims } from '../claim/clearClaims.ts';
import type { Settings } from '../settings/settings.ts';
import type { Log } from '../telemetry/log.ts';
import { retryDeliveries } from '../undelivered/retryDeliveries.ts';
import { createDestinations } from './destinations.ts';
import type { Storage } from './storage.ts';
import { openRetries } from './undelivered.ts';

/** One tick of the catastrophic retry; it also clears what dead runs have left in the table of claims. */
export function createRetrying(settings: Settings, storage: Storage): { retry(log: Log): Promise<void> } {
  const now = () => new Date();
  const openDestination = createDestinations(settings, storage);
  const retry = async (log: Log): Promise<void> => {
    const store = await openRetries(storage);
    await retryDeliveries({ store, openDestination, log, now, maxAgeMs: settings.retryMaxAgeMs });
  };
  const clear = async (): Promise<void> => {
    const [table, connections] = await Promise.all([storage.claims(), storage.connections()]);
    await clearClaims({ table, connections, now, pollTimeBudgetMs: settings.pollTimeBudgetMs });
  };
  return {
    async retry(log) {
      const ends = await Promise.allSettled([retry(log), clear()]);
      for (const end of ends) if (end.status === 'rejected') throw end.reason;
    },
  };
}

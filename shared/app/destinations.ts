import type { Destinations } from '../destination/destination.ts';
import type { Settings } from '../settings/settings.ts';
import { lazily } from '../wait/lazy.ts';
import type { Storage } from './storage.ts';

/** The process's queues and topics; the Service Bus library is loaded at the first that is opened. */
export function lazyDestinations(settings: Settings, storage: Storage): Destinations {
  let isLoading = false;
  const loading = lazily(async () => {
    isLoading = true;
    const { createDestinations } = await import('../destination/destinations.ts');
    const { serviceBus, maxMessageBytes } = settings;
    return createDestinations(serviceBus, { getCredential: storage.getCredential, maxMessageBytes });
  });
  return {
    open: async (queueName) => await (await loading()).open(queueName),
    async close() {
      if (isLoading) await (await loading().catch(() => undefined))?.close();
    },
  };
}

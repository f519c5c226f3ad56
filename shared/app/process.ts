import type { Destinations } from '../destination/destination.ts';
import type { Env } from '../settings/reader.ts';
import type { Settings } from '../settings/settings.ts';
import { lazily } from '../wait/lazy.ts';
import { createStorage, type Storage } from './storage.ts';

export type Process = ReturnType<typeof createProcess>;

/**
 * What is made once a process and shared by all that it does; nothing is opened, and no library loaded, before it is
 * needed. `told` fires when the process is told to go.
 */
export function createProcess(env: Env, settings: Settings, told: AbortSignal) {
  const storage = createStorage(settings.storage);
  return { env, settings, storage, told, destinations: lazyDestinations(settings, storage) };
}

/** The process's queues and topics; the Service Bus library is loaded at the first that is opened. */
function lazyDestinations(
  { serviceBus, maxMessageBytes }: Settings,
  { getCredential }: Storage,
): Destinations {
  let isLoading = false;
  const loading = lazily(async () => {
    isLoading = true;
    const { createDestinations } = await import('../destination/destinations.ts');
    return createDestinations(serviceBus, { getCredential, maxMessageBytes });
  });
  return {
    open: async (queueName) => await (await loading()).open(queueName),
    async close() {
      if (isLoading) await (await loading().catch(() => undefined))?.close();
    },
  };
}

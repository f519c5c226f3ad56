import type { Destinations } from '../destination/destination.ts';
import type { Env, Settings } from '../settings/settings.ts';
import type { UndeliveredStore } from '../undelivered/undeliveredStore.ts';
import { lazyDestinations } from './destinations.ts';
import { createStorage, type Storage } from './storage.ts';

/** What is made once a process and shared by all that it does. */
export interface Process {
  readonly env: Env;
  readonly settings: Settings;
  readonly storage: Storage;
  readonly destinations: Destinations;
  readonly openUndelivered: () => Promise<UndeliveredStore>;
  /** Fires when the process is told to go. */
  readonly told: AbortSignal;
}

/** Makes it; nothing is opened, and no library loaded, before it is needed. */
export function createProcess(env: Env, settings: Settings, told: AbortSignal): Process {
  const storage = createStorage(settings.storage);
  return {
    ...{ env, settings, storage, told },
    destinations: lazyDestinations(settings, storage),
    async openUndelivered() {
      const { openUndelivered } = await import('./undelivered.ts');
      return await openUndelivered(storage);
    },
  };
}

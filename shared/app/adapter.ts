import { type Env, readSettings, type Settings } from '../settings/settings.ts';
import type { Log } from '../telemetry/log.ts';
import { lazily } from './lazy.ts';
import { createStorage, type Storage } from './storage.ts';

/** The whole app behind its triggers. Every method rejects with a `Failure` that names a wrong setting. */
export interface Adapter {
  /** The sentence for wrong settings, undefined when all are right. */
  readonly settingsError: string | undefined;
  schedulePolls(log: Log): Promise<void>;
  pollMailbox(order: unknown, log: Log): Promise<void>;
  retryDeliveries(log: Log): Promise<void>;
}

/**
 * Wires the app from its settings. Nothing is opened, and no library loaded, before a trigger needs it: an
 * app that throws or dawdles while it loads looks to the Functions host like one without functions.
 */
export function createAdapter(env: Env): Adapter {
  const read = readSettings(env);
  const wired = lazily(async () => {
    if (!read.ok) throw read.failure;
    return { settings: read.settings, storage: createStorage(read.settings.storage) };
  });
  const polling = lazily(async () => {
    const { createPolling } = await import('./polling.ts');
    const { settings, storage } = await wired();
    return createPolling(settings, storage, env);
  });

  return {
    settingsError: read.ok ? undefined : read.failure.message,

    async schedulePolls(log) {
      const { storage } = await wired();
      const { schedulePolls } = await import('../poll/schedulePolls.ts');
      await schedulePolls({
        connections: await storage.connections(),
        openOrders: storage.orders,
        now: () => new Date(),
        log,
      });
    },

    async pollMailbox(order, log) {
      const { poll } = await polling();
      await poll(order, log);
    },

    async retryDeliveries(log) {
      const { createRetrying } = await import('./retrying.ts');
      const { settings, storage } = await wired();
      await createRetrying(settings, storage).retry(log);
    },
  };
}

export type { Settings, Storage };

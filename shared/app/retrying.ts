import type { Settings } from '../settings/settings.ts';
import type { Log } from '../telemetry/log.ts';
import type { Storage } from './storage.ts';

/** The place of the catastrophic retry. */
export function createRetrying(_settings: Settings, _storage: Storage): { retry(log: Log): Promise<void> } {
  return { retry: async () => undefined };
}

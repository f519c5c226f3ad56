import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OpenOutlet } from '../poll/run.ts';
import type { Settings } from '../settings/settings.ts';
import { createDestinations } from './destinations.ts';
import { lazily } from './lazy.ts';
import type { Storage } from './storage.ts';

/** Opens outlets; the libraries behind them are loaded at the first mail. */
export function createOutlets(settings: Settings, storage: Storage): OpenOutlet {
  const openUndelivered = lazily(async () => {
    const undelivered = await import('./undelivered.ts');
    return await undelivered.openUndelivered(storage);
  });
  const opening = lazily(async () => {
    const [{ createOpenOutlet }, { createBlobPayloadStore }] = await Promise.all([
      import('../poll/outlet.ts'),
      import('../delivery/blobPayloadStore.ts'),
    ]);
    return createOpenOutlet({
      openDestination: createDestinations(settings, storage),
      openPayloads: async (owner) => createBlobPayloadStore(await storage.container('email-payloads'), owner),
      openUndelivered,
      queueName: settings.queueName,
      maxMailBytes: settings.maxMailBytes,
      temporaryFolder: join(tmpdir(), 'email-inbound-adapter'),
    });
  });
  return async (config, endpoint, trace) => (await opening())(config, endpoint, trace);
}

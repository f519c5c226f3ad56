import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OpenOutlet } from '../poll/run.ts';
import type { Settings } from '../settings/settings.ts';
import { lazily } from './lazy.ts';
import type { Storage } from './storage.ts';

/** Opens outlets; the libraries behind them are loaded at the first mail. */
export function createOutlets(settings: Settings, storage: Storage): OpenOutlet {
  const opening = lazily(async () => {
    const [{ createOpenOutlet }, { createOpenDestination }, { createBlobPayloadStore }, undelivered] =
      await Promise.all([
        import('../poll/outlet.ts'),
        import('../delivery/serviceBusDestination.ts'),
        import('../delivery/blobPayloadStore.ts'),
        import('./undelivered.ts'),
      ]);
    return createOpenOutlet({
      openDestination: createOpenDestination(settings.serviceBus, {
        getCredential: storage.getCredential,
        ...(settings.maxMessageBytes === undefined ? {} : { maxMessageBytes: settings.maxMessageBytes }),
      }),
      openPayloads: async (owner) => createBlobPayloadStore(await storage.container('email-payloads'), owner),
      openUndelivered: lazily(() => undelivered.openUndelivered(storage)),
      queueName: settings.queueName,
      maxMailBytes: settings.maxMailBytes,
      temporaryFolder: join(tmpdir(), 'email-inbound-adapter'),
    });
  });
  return async (config, endpoint) => (await opening())(config, endpoint);
}

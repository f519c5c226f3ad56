import type { OpenDestination } from '../delivery/destination.ts';
import type { Settings } from '../settings/settings.ts';
import { lazily } from './lazy.ts';
import type { Storage } from './storage.ts';

/** Opens queues of the app's namespace; the Service Bus library is loaded at the first. */
export function createDestinations(settings: Settings, storage: Storage): OpenDestination {
  const loading = lazily(async () => {
    const { createOpenDestination } = await import('../delivery/serviceBusDestination.ts');
    const { maxMessageBytes } = settings;
    return createOpenDestination(settings.serviceBus, {
      getCredential: storage.getCredential,
      ...(maxMessageBytes === undefined ? {} : { maxMessageBytes }),
    });
  });
  return async (queueName) => (await loading())(queueName);
}

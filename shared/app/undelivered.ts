import { StoredParts } from '../undelivered/storedParts.ts';
import { UndeliveredStore } from '../undelivered/undeliveredStore.ts';
import type { Storage } from './storage.ts';

/** Opens the store of undelivered mails. */
export async function openUndelivered(storage: Storage): Promise<UndeliveredStore> {
  const [table, undelivered, payloads] = await Promise.all([
    storage.undelivered(),
    storage.container('email-undelivered'),
    storage.container('email-payloads'),
  ]);
  return new UndeliveredStore(table, new StoredParts({ undelivered, payloads }), () => new Date());
}

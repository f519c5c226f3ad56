import { openRecordBlobs } from '../undelivered/recordBlobs.ts';
import { openRecordTable } from '../undelivered/recordTable.ts';
import type { UndeliveredStore } from '../undelivered/undelivered.ts';
import { openUndeliveredStore } from '../undelivered/undeliveredStore.ts';
import type { Storage } from './storage.ts';

/** Opens the store of undelivered mails. */
export async function openUndelivered(storage: Storage): Promise<UndeliveredStore> {
  const [table, undelivered, payloads] = await Promise.all([
    storage.undelivered(),
    storage.container('email-undelivered'),
    storage.container('email-payloads'),
  ]);
  return openUndeliveredStore(
    openRecordTable(table),
    openRecordBlobs({ undelivered, payloads }),
    () => new Date(),
  );
}

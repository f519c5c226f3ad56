import { openRecordBlobs } from '../undelivered/recordBlobs.ts';
import { openRecordTable } from '../undelivered/recordTable.ts';
import { openRetryQueue } from '../undelivered/retryQueue.ts';
import type { RetryQueue, UndeliveredStore } from '../undelivered/undelivered.ts';
import { openUndeliveredStore } from '../undelivered/undeliveredStore.ts';
import type { Storage } from './storage.ts';

const now = () => new Date();

/** Opens the store of undelivered mails. */
export async function openUndelivered(storage: Storage): Promise<UndeliveredStore> {
  const { records, blobs } = await openRecords(storage);
  return openUndeliveredStore(records, blobs, now);
}

/** Opens the side of the store that the catastrophic retry works on. */
export async function openRetries(storage: Storage): Promise<RetryQueue> {
  const { records, blobs } = await openRecords(storage);
  return openRetryQueue(records, blobs, now);
}

async function openRecords(storage: Storage) {
  const [table, undelivered, payloads] = await Promise.all([
    storage.undelivered(),
    storage.container('email-undelivered'),
    storage.container('email-payloads'),
  ]);
  return { records: openRecordTable(table), blobs: openRecordBlobs({ undelivered, payloads }) };
}

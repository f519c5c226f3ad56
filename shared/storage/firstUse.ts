import type { TableClient } from '@azure/data-tables';
import type { ContainerClient } from '@azure/storage-blob';
import type { QueueClient } from '@azure/storage-queue';
import { codeOf } from './storageFailure.ts';

/**
 * Runs `request` on a table, container or queue; where that is missing, makes it and runs `request` once more. So it
 * costs a request of its own at first use only.
 */
export async function withMade<T>(
  store: TableClient | ContainerClient | QueueClient,
  request: () => Promise<T>,
): Promise<T> {
  try {
    return await request();
  } catch (error) {
    if (!/^(Table|Container|Queue)NotFound$/.test(codeOf(error) ?? '')) throw error;
    await ('createTable' in store ? store.createTable() : store.createIfNotExists());
    return await request();
  }
}

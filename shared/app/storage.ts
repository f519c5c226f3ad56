import type { TableClient } from '@azure/data-tables';
import type { ContainerClient } from '@azure/storage-blob';
import type { ConnectionStore } from '../connection/connectionStore.ts';
import type { PutOrder } from '../schedule/schedulePolls.ts';
import type { GetCredential, StorageAccess } from '../storage/access.ts';
import { lazily } from '../wait/lazy.ts';

/** The storage account's parts, each opened when it is first asked for, with its library. */
export interface Storage {
  connections(): Promise<ConnectionStore>;
  orders(): Promise<PutOrder>;
  /** Makes the queue of orders where it is missing. */
  makeOrderQueue(): Promise<void>;
  /** Orders that the host has given up after five tries. */
  countPoisonedOrders(): Promise<number>;
  delivered(): Promise<TableClient>;
  undelivered(): Promise<TableClient>;
  container(
    name: 'email-leases' | 'email-payloads' | 'email-undelivered' | 'email-journal',
  ): Promise<ContainerClient>;
  readonly getCredential: GetCredential;
}

export function createStorage(access: StorageAccess): Storage {
  const credentials = lazily(async () => {
    const { createGetCredential } = await import('../storage/credential.ts');
    return createGetCredential();
  });
  const getCredential: GetCredential = async (identity) => (await credentials())(identity);
  const openTable = async (name: string): Promise<TableClient> => {
    const tables = await import('../storage/tables.ts');
    return await tables.openTable(access, name, getCredential);
  };
  const orderQueue = lazily(async () => {
    const { openQueue } = await import('../storage/queues.ts');
    return await openQueue(access, 'email-polls', getCredential);
  });
  const containers = new Map<string, () => Promise<ContainerClient>>();

  return {
    getCredential,
    connections: lazily(async () => {
      const [{ openConnectionStore }, table] = await Promise.all([
        import('../connection/connectionStore.ts'),
        openTable('EmailConnections'),
      ]);
      return openConnectionStore(table);
    }),
    async orders() {
      const { ordersOn } = await import('../schedule/orderQueue.ts');
      return ordersOn(await orderQueue());
    },
    async makeOrderQueue() {
      const { makeOrderQueue } = await import('../schedule/orderQueue.ts');
      await makeOrderQueue(await orderQueue());
    },
    async countPoisonedOrders() {
      const { countMessages, openQueue } = await import('../storage/queues.ts');
      return await countMessages(await openQueue(access, 'email-polls-poison', getCredential));
    },
    delivered: lazily(() => openTable('EmailDelivered')),
    undelivered: lazily(() => openTable('EmailUndelivered')),
    container(name) {
      const open =
        containers.get(name) ??
        lazily(async () => {
          const { openContainer } = await import('../storage/blobs.ts');
          return await openContainer(access, name, getCredential);
        });
      containers.set(name, open);
      return open();
    },
  };
}

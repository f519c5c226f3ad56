import type { TableClient } from '@azure/data-tables';
import type { ContainerClient } from '@azure/storage-blob';
import type { StorageSettings } from '../settings/account.ts';
import type { GetCredential } from '../storage/access.ts';
import { lazily } from '../wait/lazy.ts';

type ContainerName = 'email-leases' | 'email-payloads' | 'email-undelivered' | 'email-journal';

export type Storage = ReturnType<typeof createStorage>;

/** The storage account's parts, each opened when it is first asked for, with its library. */
export function createStorage(access: StorageSettings) {
  const credentials = lazily(async () => {
    const { createGetCredential } = await import('../storage/credential.ts');
    return createGetCredential();
  });
  const getCredential: GetCredential = async (identity) => (await credentials())(identity);
  const openTable = async (name: string): Promise<TableClient> => {
    const tables = await import('../storage/tables.ts');
    return await tables.openTable(access, name, getCredential);
  };
  const containers = new Map<string, () => Promise<ContainerClient>>();

  const container = (name: ContainerName): Promise<ContainerClient> => {
    const open =
      containers.get(name) ??
      lazily(async () => {
        const { openContainer } = await import('../storage/blobs.ts');
        return await openContainer(access, name, getCredential);
      });
    containers.set(name, open);
    return open();
  };

  return {
    getCredential,
    container,
    connections: lazily(async () => {
      const { openConnectionStore } = await import('../connection/connectionStore.ts');
      return openConnectionStore(await openTable('EmailConnections'));
    }),
    orderQueue: lazily(async () => {
      const [{ openQueue }, { orderQueueOn }] = await Promise.all([
        import('../storage/queues.ts'),
        import('../schedule/orderQueue.ts'),
      ]);
      return orderQueueOn(await openQueue(access, 'email-polls', getCredential));
    }),
    /** Orders that the host has given up after five tries. */
    async countPoisonedOrders(): Promise<number> {
      const { countMessages, openQueue } = await import('../storage/queues.ts');
      return await countMessages(await openQueue(access, 'email-polls-poison', getCredential));
    },
    delivered: lazily(() => openTable('EmailDelivered')),
    undelivered: lazily(async () => {
      const [{ StoredParts }, { UndeliveredStore }] = await Promise.all([
        import('../undelivered/storedParts.ts'),
        import('../undelivered/undeliveredStore.ts'),
      ]);
      const containers = await Promise.all([container('email-undelivered'), container('email-payloads')]);
      const table = await openTable('EmailUndelivered');
      return new UndeliveredStore(table, new StoredParts(...containers), () => new Date());
    }),
  };
}

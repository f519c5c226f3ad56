import { QueueClient } from '@azure/storage-queue';
import { type GetCredential, pipelineOptions, type StorageAccess } from './access.ts';
import { codeOf, storageFailure } from './storageFailure.ts';

/** Makes a client for one storage queue. No request is sent. */
export async function openQueue(
  access: StorageAccess,
  name: string,
  getCredential: GetCredential,
): Promise<QueueClient> {
  if (access.kind === 'connectionString') {
    return new QueueClient(access.connectionString, name, pipelineOptions);
  }
  const uri = `${access.queueServiceUri.replace(/\/$/, '')}/${name}`;
  return new QueueClient(uri, await getCredential(access.identity), pipelineOptions);
}

/** Runs `request`; where the queue is missing, makes it and runs `request` once more. */
export async function withQueue<T>(queue: QueueClient, request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    if (codeOf(error) !== 'QueueNotFound') throw error;
    await queue.createIfNotExists();
    return await request();
  }
}

/** About how many messages lie there; none where the queue is missing. Rejects with a `Failure`. */
export async function countMessages(queue: QueueClient): Promise<number> {
  try {
    return (await queue.getProperties()).approximateMessagesCount ?? 0;
  } catch (error) {
    if (codeOf(error) === 'QueueNotFound') return 0;
    throw storageFailure(error, `reading the queue ${queue.name}`);
  }
}

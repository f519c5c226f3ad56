import {
  newPipeline,
  type QueueClient,
  QueueServiceClient,
  StorageSharedKeyCredential,
} from '@azure/storage-queue';
import { type GetCredential, type StorageAccess, serviceOf } from './access.ts';
import { codeOf, storageFailure } from './storageFailure.ts';
import { type CallLimits, policyOfTries, storageLimits } from './tries.ts';

/** Makes a client for one storage queue. No request is sent. */
export async function openQueue(
  access: StorageAccess,
  name: string,
  getCredential: GetCredential,
  limits: CallLimits = storageLimits,
): Promise<QueueClient> {
  const { url, credential } = await serviceOf(
    access,
    'queue',
    getCredential,
    (accountName, accountKey) => new StorageSharedKeyCredential(accountName, accountKey),
  );
  const pipeline = newPipeline(credential, { retryOptions: { maxTries: 1 } });
  pipeline.factories.push(policyOfTries(limits));
  return new QueueServiceClient(url, pipeline).getQueueClient(name);
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

import {
  newPipeline,
  type Pipeline,
  type QueueClient,
  QueueServiceClient,
  StorageSharedKeyCredential,
} from '@azure/storage-queue';
import { accountOf, type GetCredential, type StorageAccess } from './access.ts';
import { codeOf, storageFailure } from './storageFailure.ts';
import { type CallLimits, policyOfTries, storageLimits } from './tries.ts';

/** Makes a client for one storage queue. No request is sent. */
export async function openQueue(
  access: StorageAccess,
  name: string,
  getCredential: GetCredential,
  limits: CallLimits = storageLimits,
): Promise<QueueClient> {
  const service = await openService(access, getCredential, limits);
  return service.getQueueClient(name);
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

async function openService(
  access: StorageAccess,
  getCredential: GetCredential,
  limits: CallLimits,
): Promise<QueueServiceClient> {
  if (access.kind === 'identity') {
    const credential = await getCredential(access.identity);
    return new QueueServiceClient(access.queueServiceUri, pipelineOf(credential, limits));
  }
  const account = accountOf(access);
  if (account.kind === 'signature') {
    return new QueueServiceClient(
      `${account.queueEndpoint}?${account.signature}`,
      pipelineOf(undefined, limits),
    );
  }
  const key = new StorageSharedKeyCredential(account.accountName, account.accountKey);
  return new QueueServiceClient(account.queueEndpoint, pipelineOf(key, limits));
}

function pipelineOf(credential: Parameters<typeof newPipeline>[0], limits: CallLimits): Pipeline {
  const pipeline = newPipeline(credential, { retryOptions: { maxTries: 1 } });
  pipeline.factories.push(policyOfTries(limits));
  return pipeline;
}

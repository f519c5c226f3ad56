import {
  newPipeline,
  type QueueClient,
  QueueServiceClient,
  StorageSharedKeyCredential,
} from '@azure/storage-queue';
import type { StorageSettings } from '../settings/account.ts';
import { type GetCredential, serviceOf } from './access.ts';
import { unlessMissing } from './storageFailure.ts';
import { type CallLimits, policyOfTries, storageLimits } from './tries.ts';

/** Makes a client for one storage queue. No request is sent. */
export async function openQueue(
  access: StorageSettings,
  name: string,
  getCredential: GetCredential,
  limits: CallLimits = storageLimits,
): Promise<QueueClient> {
  const { url, credential } = await serviceOf(access, 'queue', getCredential, StorageSharedKeyCredential);
  const pipeline = newPipeline(credential, { retryOptions: { maxTries: 1 } });
  pipeline.factories.push(policyOfTries(limits));
  return new QueueServiceClient(url, pipeline).getQueueClient(name);
}

/** About how many messages lie there; none where the queue is missing. Rejects with a `Failure`. */
export async function countMessages(queue: QueueClient): Promise<number> {
  const properties = await queue.getProperties().catch(unlessMissing(`reading the queue ${queue.name}`));
  return properties?.approximateMessagesCount ?? 0;
}

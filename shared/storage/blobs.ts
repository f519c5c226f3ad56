import {
  BlobServiceClient,
  type ContainerClient,
  newPipeline,
  StorageSharedKeyCredential,
} from '@azure/storage-blob';
import { type GetCredential, type StorageAccess, serviceOf } from './access.ts';
import { codeOf } from './storageFailure.ts';
import { type CallLimits, policyOfTries, storageLimits } from './tries.ts';

/** Makes a client for one container. No request is sent. */
export async function openContainer(
  access: StorageAccess,
  name: string,
  getCredential: GetCredential,
  limits: CallLimits = storageLimits,
): Promise<ContainerClient> {
  const { url, credential } = await serviceOf(
    access,
    'blob',
    getCredential,
    (accountName, accountKey) => new StorageSharedKeyCredential(accountName, accountKey),
  );
  const pipeline = newPipeline(credential, { retryOptions: { maxTries: 1 } });
  pipeline.factories.push(policyOfTries(limits));
  return new BlobServiceClient(url, pipeline).getContainerClient(name);
}

/** Runs `request`; where the container is missing, makes it and runs `request` once more. */
export async function withContainer<T>(container: ContainerClient, request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    if (codeOf(error) !== 'ContainerNotFound') throw error;
    await container.createIfNotExists();
    return await request();
  }
}

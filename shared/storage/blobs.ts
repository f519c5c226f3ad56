import {
  BlobServiceClient,
  type ContainerClient,
  newPipeline,
  type Pipeline,
  StorageSharedKeyCredential,
} from '@azure/storage-blob';
import { accountOf, type GetCredential, type StorageAccess } from './access.ts';
import { codeOf } from './storageFailure.ts';
import { type CallLimits, policyOfTries, storageLimits } from './tries.ts';

/** Makes a client for one container. No request is sent. */
export async function openContainer(
  access: StorageAccess,
  name: string,
  getCredential: GetCredential,
  limits: CallLimits = storageLimits,
): Promise<ContainerClient> {
  const service = await openService(access, getCredential, limits);
  return service.getContainerClient(name);
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

async function openService(
  access: StorageAccess,
  getCredential: GetCredential,
  limits: CallLimits,
): Promise<BlobServiceClient> {
  if (access.kind === 'identity') {
    const credential = await getCredential(access.identity);
    return new BlobServiceClient(access.blobServiceUri, pipelineOf(credential, limits));
  }
  const account = accountOf(access);
  if (account.kind === 'signature') {
    return new BlobServiceClient(
      `${account.blobEndpoint}?${account.signature}`,
      pipelineOf(undefined, limits),
    );
  }
  const key = new StorageSharedKeyCredential(account.accountName, account.accountKey);
  return new BlobServiceClient(account.blobEndpoint, pipelineOf(key, limits));
}

function pipelineOf(credential: Parameters<typeof newPipeline>[0], limits: CallLimits): Pipeline {
  const pipeline = newPipeline(credential, { retryOptions: { maxTries: 1 } });
  pipeline.factories.push(policyOfTries(limits));
  return pipeline;
}

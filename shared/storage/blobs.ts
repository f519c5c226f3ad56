import { BlobServiceClient, type ContainerClient } from '@azure/storage-blob';
import { type GetCredential, pipelineOptions, type StorageAccess } from './access.ts';
import { codeOf } from './storageFailure.ts';

/** Makes a client for one container. No request is sent. */
export async function openContainer(
  access: StorageAccess,
  name: string,
  getCredential: GetCredential,
): Promise<ContainerClient> {
  const service =
    access.kind === 'connectionString'
      ? BlobServiceClient.fromConnectionString(access.connectionString, pipelineOptions)
      : new BlobServiceClient(access.blobServiceUri, await getCredential(access.identity), pipelineOptions);
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

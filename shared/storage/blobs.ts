import {
  BlobServiceClient,
  type ContainerClient,
  newPipeline,
  StorageSharedKeyCredential,
} from '@azure/storage-blob';
import type { StorageSettings } from '../settings/account.ts';
import { type GetCredential, serviceOf } from './access.ts';
import { type CallLimits, policyOfTries, storageLimits } from './tries.ts';

/** Makes a client for one container. No request is sent. */
export async function openContainer(
  access: StorageSettings,
  name: string,
  getCredential: GetCredential,
  limits: CallLimits = storageLimits,
): Promise<ContainerClient> {
  const { url, credential } = await serviceOf(access, 'blob', getCredential, StorageSharedKeyCredential);
  const pipeline = newPipeline(credential, { retryOptions: { maxTries: 1 } });
  pipeline.factories.push(policyOfTries(limits));
  return new BlobServiceClient(url, pipeline).getContainerClient(name);
}

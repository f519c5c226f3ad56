import type { PipelinePolicy } from '@azure/core-rest-pipeline';
import {
  AzureNamedKeyCredential,
  AzureSASCredential,
  TableClient,
  type TableServiceClientOptions,
} from '@azure/data-tables';
import type { StorageSettings } from '../settings/account.ts';
import type { GetCredential } from './access.ts';
import { codeOf, storageFailure } from './storageFailure.ts';
import { type CallLimits, sendInTries, storageLimits } from './tries.ts';

/** Makes a client for one table. No request is sent. */
export async function openTable(
  access: StorageSettings,
  name: string,
  getCredential: GetCredential,
  limits: CallLimits = storageLimits,
): Promise<TableClient> {
  const policy: PipelinePolicy = {
    name: 'tries',
    sendRequest: (request, next) => sendInTries(request, () => next(request), limits),
  };
  const options: TableServiceClientOptions = {
    retryOptions: { maxRetries: 0 },
    additionalPolicies: [{ position: 'perCall', policy }],
    // The connection string itself says whether the endpoint is plain http, as Azurite's is.
    allowInsecureConnection: access.kind !== 'identity',
  };
  const { tableEndpoint: url } = access;
  if (access.kind === 'identity') {
    return new TableClient(url, name, await getCredential(access.identity), options);
  }
  return access.kind === 'signature'
    ? new TableClient(url, name, new AzureSASCredential(access.signature), options)
    : new TableClient(url, name, new AzureNamedKeyCredential(access.accountName, access.accountKey), options);
}

/**
 * The entities that match `filter` (OData), read page by page, with just the columns `select` where given; none where
 * the table is missing. Rejects with a `Failure` that says what was being done.
 */
export async function* findEntities(
  table: TableClient,
  doing: string,
  filter: string,
  select?: string[],
): AsyncGenerator<Readonly<Record<string, unknown>>> {
  const queryOptions = select ? { filter, select } : { filter };
  try {
    yield* table.listEntities<Record<string, unknown>>({ queryOptions });
  } catch (error) {
    if (codeOf(error) !== 'TableNotFound') throw storageFailure(error, doing);
  }
}

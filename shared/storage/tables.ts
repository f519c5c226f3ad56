import type { PipelinePolicy } from '@azure/core-rest-pipeline';
import {
  AzureNamedKeyCredential,
  AzureSASCredential,
  TableClient,
  type TableServiceClientOptions,
} from '@azure/data-tables';
import type { StorageSettings } from '../settings/account.ts';
import { accountOf, type GetCredential } from './access.ts';
import { codeOf, storageFailure } from './storageFailure.ts';
import { type CallLimits, sendInTries, storageLimits } from './tries.ts';

/** Makes a client for one table. No request is sent. */
export async function openTable(
  access: StorageSettings,
  name: string,
  getCredential: GetCredential,
  limits: CallLimits = storageLimits,
): Promise<TableClient> {
  if (access.kind === 'identity') {
    const credential = await getCredential(access.identity);
    return new TableClient(access.tableServiceUri, name, credential, optionsOf(limits));
  }
  const account = accountOf(access);
  // The connection string itself says whether the endpoint is plain http, as Azurite's is.
  const options = { ...optionsOf(limits), allowInsecureConnection: true };
  return account.kind === 'key'
    ? new TableClient(
        account.tableEndpoint,
        name,
        new AzureNamedKeyCredential(account.accountName, account.accountKey),
        options,
      )
    : new TableClient(account.tableEndpoint, name, new AzureSASCredential(account.signature), options);
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

function optionsOf(limits: CallLimits): TableServiceClientOptions {
  const policy: PipelinePolicy = {
    name: 'tries',
    sendRequest: (request, next) => sendInTries(request, () => next(request), limits),
  };
  return { retryOptions: { maxRetries: 0 }, additionalPolicies: [{ position: 'perCall', policy }] };
}

import {
  AzureNamedKeyCredential,
  AzureSASCredential,
  TableClient,
  type TableServiceClientOptions,
} from '@azure/data-tables';
import { accountOf, type GetCredential, type StorageAccess } from './access.ts';
import { codeOf } from './storageFailure.ts';
import { type CallLimits, sendInTries, storageLimits } from './tries.ts';

/** Makes a client for one table. No request is sent. */
export async function openTable(
  access: StorageAccess,
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
 * Runs `request`; where the table is missing, makes it and runs `request` once more. So a table costs a
 * request of its own at first use only.
 */
export async function withTable<T>(table: TableClient, request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    if (codeOf(error) !== 'TableNotFound') throw error;
    await table.createTable();
    return await request();
  }
}

function optionsOf(limits: CallLimits): TableServiceClientOptions {
  return {
    retryOptions: { maxRetries: 0 },
    additionalPolicies: [
      {
        position: 'perCall',
        policy: {
          name: 'tries',
          sendRequest: (request, next) => sendInTries(request, () => next(request), limits),
        },
      },
    ],
  };
}

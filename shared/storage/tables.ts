import { TableClient, type TableServiceClientOptions } from '@azure/data-tables';
import { type GetCredential, requestLimits, type StorageAccess } from './access.ts';
import { codeOf } from './storageFailure.ts';

const options: TableServiceClientOptions = {
  retryOptions: {
    maxRetries: requestLimits.tries - 1,
    retryDelayInMs: requestLimits.firstDelayMs,
    maxRetryDelayInMs: requestLimits.maxDelayMs,
  },
  additionalPolicies: [
    {
      position: 'perRetry',
      policy: {
        name: 'tryTimeout',
        sendRequest: (request, next) => {
          request.timeout = requestLimits.tryTimeoutMs;
          return next(request);
        },
      },
    },
  ],
};

/** Makes a client for one table. No request is sent. */
export async function openTable(
  access: StorageAccess,
  name: string,
  getCredential: GetCredential,
): Promise<TableClient> {
  if (access.kind === 'connectionString') {
    // The connection string itself says whether the endpoint is plain http, as Azurite's is.
    const { connectionString } = access;
    return TableClient.fromConnectionString(connectionString, name, {
      ...options,
      allowInsecureConnection: true,
    });
  }
  return new TableClient(access.tableServiceUri, name, await getCredential(access.identity), options);
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

import type { TokenCredential } from '@azure/identity';
import { Failure } from '../failure/failure.ts';
import type { Identity, StorageSettings } from '../settings/account.ts';
import { parseStorageConnectionString, type StorageAccount } from '../settings/connectionString.ts';

/** Gives the credential for an identity. The library behind it is loaded only when this is called. */
export type GetCredential = (identity: Identity) => Promise<TokenCredential>;

/** Reads the connection string of `access`. Throws a `Failure` where it is none. */
export function accountOf({
  connectionString,
}: Extract<StorageSettings, { kind: 'connectionString' }>): StorageAccount {
  const account = parseStorageConnectionString(connectionString);
  if (account.ok) return account.value;
  throw new Failure('setting', `App setting AzureWebJobsStorage is not valid: ${account.problem}.`);
}

/** Where a service of the account is, and what opens it there: `undefined` where the address itself has a signature. */
export async function serviceOf<Key>(
  access: StorageSettings,
  service: 'blob' | 'queue',
  getCredential: GetCredential,
  SharedKey: new (accountName: string, accountKey: string) => Key,
): Promise<{ readonly url: string; readonly credential: TokenCredential | Key | undefined }> {
  if (access.kind === 'identity') {
    return { url: access[`${service}ServiceUri`], credential: await getCredential(access.identity) };
  }
  const account = accountOf(access);
  const url = account[`${service}Endpoint`];
  if (account.kind === 'signature') return { url: `${url}?${account.signature}`, credential: undefined };
  return { url, credential: new SharedKey(account.accountName, account.accountKey) };
}

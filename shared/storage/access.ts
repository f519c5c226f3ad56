import type { TokenCredential } from '@azure/identity';
import type { Identity, StorageSettings } from '../settings/account.ts';

/** Gives the credential for an identity. The library behind it is loaded only when this is called. */
export type GetCredential = (identity: Identity) => Promise<TokenCredential>;

/** Where a service of the account is, and what opens it there: `undefined` where the address itself has a signature. */
export async function serviceOf<Key>(
  access: StorageSettings,
  service: 'blob' | 'queue',
  getCredential: GetCredential,
  SharedKey: new (accountName: string, accountKey: string) => Key,
): Promise<{ readonly url: string; readonly credential: TokenCredential | Key | undefined }> {
  const url = access[`${service}Endpoint`];
  if (access.kind === 'identity') return { url, credential: await getCredential(access.identity) };
  if (access.kind === 'signature') return { url: `${url}?${access.signature}`, credential: undefined };
  return { url, credential: new SharedKey(access.accountName, access.accountKey) };
}

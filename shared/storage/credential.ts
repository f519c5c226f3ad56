import { DefaultAzureCredential, ManagedIdentityCredential, type TokenCredential } from '@azure/identity';
import type { GetCredential } from './access.ts';

/** Makes credentials by kind and client id, one of each for the life of the process: each caches its tokens. */
export function createGetCredential(): GetCredential {
  const made = new Map<string, TokenCredential>();
  return async ({ kind, clientId }) => {
    const id = `${kind} ${clientId ?? ''}`;
    const known = made.get(id);
    if (known) return known;
    const credential = kind === 'managedIdentity' ? managedIdentity(clientId) : defaultChain(clientId);
    made.set(id, credential);
    return credential;
  };
}

function managedIdentity(clientId: string | undefined): TokenCredential {
  return clientId === undefined
    ? new ManagedIdentityCredential()
    : new ManagedIdentityCredential({ clientId });
}

function defaultChain(clientId: string | undefined): TokenCredential {
  return new DefaultAzureCredential(clientId === undefined ? {} : { managedIdentityClientId: clientId });
}

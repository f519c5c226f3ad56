import type { TokenCredential } from '@azure/identity';

/** How Azure is reached without a key: the identity's kind and, for a user-assigned one, its client id. */
export interface IdentityChoice {
  /** `managedidentity`, or undefined for the default chain (managed identity, then the developer's login). */
  readonly credential?: 'managedidentity';
  readonly clientId?: string;
}

/** Where the storage account is and how to authenticate, under the names that the Functions host takes. */
export type StorageAccess =
  | { readonly kind: 'connectionString'; readonly connectionString: string }
  | {
      readonly kind: 'identity';
      readonly blobServiceUri: string;
      readonly queueServiceUri: string;
      readonly tableServiceUri: string;
      readonly identity: IdentityChoice;
    };

/** Gives the credential for an identity. The library behind it is loaded only when this is called. */
export type GetCredential = (identity: IdentityChoice) => Promise<TokenCredential>;

/** How often and how long one request is tried; every storage call ends within about 45 s. */
export const requestLimits = {
  tries: 4,
  tryTimeoutMs: 10_000,
  firstDelayMs: 200,
  maxDelayMs: 2_000,
} as const;

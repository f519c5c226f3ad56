import type { TokenCredential } from '@azure/identity';
import type { Identity, StorageSettings } from '../settings/account.ts';

/** Where the storage account is and how to authenticate. */
export type StorageAccess = StorageSettings;

/** How Azure is reached without a key. */
export type IdentityChoice = Identity;

/** Gives the credential for an identity. The library behind it is loaded only when this is called. */
export type GetCredential = (identity: IdentityChoice) => Promise<TokenCredential>;

/** How often and how long one request is tried; every storage call ends within about 45 s. */
export const requestLimits = {
  tries: 4,
  tryTimeoutMs: 10_000,
  firstDelayMs: 200,
  maxDelayMs: 2_000,
} as const;

/** The same, as the clients of blobs and queues take it. */
export const pipelineOptions = {
  retryOptions: {
    maxTries: requestLimits.tries,
    tryTimeoutInMs: requestLimits.tryTimeoutMs,
    retryDelayInMs: requestLimits.firstDelayMs,
    maxRetryDelayInMs: requestLimits.maxDelayMs,
  },
} as const;

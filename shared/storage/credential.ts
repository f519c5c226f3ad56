import { createDefaultHttpClient, type HttpClient, RestError } from '@azure/core-rest-pipeline';
import { DefaultAzureCredential, ManagedIdentityCredential, type TokenCredential } from '@azure/identity';
import type { Identity } from '../settings/account.ts';
import { withDeadline } from '../wait/deadline.ts';
import type { GetCredential } from './access.ts';
import { IdentityFailure } from './storageFailure.ts';

/** How long a token may take. */
export interface TokenLimits {
  /** All tries. */
  readonly tokenMs: number;
  /** One request to the identity endpoint. */
  readonly tryMs: number;
  /** A `Retry-After` that asks for more is no reason to wait. */
  readonly maxRetryAfterMs: number;
}

const tokenLimits: TokenLimits = { tokenMs: 20_000, tryMs: 5_000, maxRetryAfterMs: 10_000 };

/**
 * Makes credentials, one an identity for the life of the process: each caches its tokens. A token that does not
 * come in time rejects with an `IdentityFailure`, and the next call asks anew: the SDK's clients share one
 * pending request for a token, and one lost answer would stop them all for good.
 */
export function createGetCredential(limits: TokenLimits = tokenLimits): GetCredential {
  const made = new Map<string, TokenCredential>();
  // One for all: the library keeps the client of the first managed identity of a process for the others too.
  const endpoint = watchedEndpoint(limits);
  return async (identity) => {
    const id = JSON.stringify(identity);
    const credential = made.get(id) ?? boundedCredential(identity, endpoint, limits);
    made.set(id, credential);
    return credential;
  };
}

function boundedCredential(
  identity: Identity,
  endpoint: WatchedEndpoint,
  limits: TokenLimits,
): TokenCredential {
  const { client: httpClient } = endpoint;
  const { kind, ...named } = identity;
  const inner =
    kind === 'managedIdentity'
      ? new ManagedIdentityCredential({ ...named, httpClient })
      : new DefaultAzureCredential({
          ...(identity.clientId === undefined ? {} : { managedIdentityClientId: identity.clientId }),
          httpClient,
        });
  return {
    async getToken(scopes, options) {
      const askedAtMs = performance.now();
      try {
        const asked = inner.getToken(scopes, options);
        return await withDeadline(asked, limits.tokenMs, () => new TokenTimedOut());
      } catch (error) {
        const last = endpoint.last();
        const answered = last !== undefined && last.atMs >= askedAtMs ? last.status : undefined;
        const isSilent = error instanceof TokenTimedOut && answered === undefined;
        const why = isSilent
          ? `the identity endpoint did not answer within ${limits.tokenMs / 1_000} s. The app asks anew by itself; if it goes on, restart the function app.`
          : describe(answered, error);
        throw new IdentityFailure(`No token for ${nameOf(identity)}: ${why}`, error);
      }
    },
  };
}

class TokenTimedOut extends Error {}

type WatchedEndpoint = ReturnType<typeof watchedEndpoint>;

/** Bounds each request to an identity endpoint, and remembers what the last answer was. */
function watchedEndpoint({ tryMs, maxRetryAfterMs }: TokenLimits) {
  const inner = createDefaultHttpClient();
  let last: { readonly status: number; readonly atMs: number } | undefined;
  const client: HttpClient = {
    async sendRequest(request) {
      const given = request.abortSignal;
      request.timeout = tryMs;
      try {
        const response = await inner.sendRequest(request);
        last = { status: response.status, atMs: performance.now() };
        const retryAfter = response.headers.get('retry-after');
        // A date, or longer than anyone waits here: without it the answer counts at once.
        if (retryAfter !== undefined && !(Number(retryAfter) * 1_000 <= maxRetryAfterMs)) {
          response.headers.delete('retry-after');
        }
        return response;
      } catch (error) {
        // The library tries anew after a network fault, and takes its own time-out for a caller who gave up.
        const isTimeout = error instanceof Error && error.name === 'AbortError' && given?.aborted !== true;
        throw isTimeout ? new RestError('No answer in time.', { code: 'ETIMEDOUT', request }) : error;
      }
    },
  };
  return { client, last: () => last };
}

function nameOf({ kind, ...named }: Identity): string {
  const [id] = Object.values(named);
  if (id !== undefined) return `the managed identity ${id}`;
  return kind === 'managedIdentity' ? "the app's system-assigned identity" : "the app's identity";
}

function describe(status: number | undefined, error: unknown): string {
  if (status === undefined || status < 300) {
    const name = error instanceof Error ? error.name : 'no token';
    return `no identity endpoint could be asked (${name}). Assign a managed identity to the function app; on your own machine, log in with az login.`;
  }
  if (status === 429) return 'the identity endpoint is throttling (HTTP 429). The app asks anew by itself.';
  if (status >= 500) {
    return `the identity endpoint failed (HTTP ${status}). The app asks anew by itself; if it goes on, restart the function app.`;
  }
  if (status === 400 || status === 404) {
    return `the identity endpoint does not know this identity (HTTP ${status}). Assign it to the function app, or correct the app setting that names it.`;
  }
  return `the identity endpoint refused (HTTP ${status}). Check that this identity is assigned to the function app.`;
}

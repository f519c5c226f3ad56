import type { OAuth2Grant } from '../connection/config.ts';
import { toFailure } from '../failure/failure.ts';
import type { HostRules } from '../mailbox/hostGuard.ts';
import type { MailCredential } from '../mailbox/mailbox.ts';
import type { GetCredential } from '../storage/access.ts';
import type { Log } from '../telemetry/log.ts';
import { GrantRefused, tokenPlace } from './endpointFailure.ts';
import type { RequestLimits } from './exchange.ts';
import { type IssuedToken, renewalTime, type TokenCache, type TokenState, tokenKey } from './tokenCache.ts';

export interface TokenSourceDeps {
  readonly customer: string;
  readonly connection: string;
  /** One for the whole process. */
  readonly cache: TokenCache;
  readonly getCredential: GetCredential;
  /**
   * Writes a rotated refresh token to the column `oauth2RefreshToken`, which held `replaced`; a column that
   * holds anything else by now is the operator's and to be left alone.
   */
  readonly saveRefreshToken: (token: string, replaced: string) => Promise<void>;
  readonly log: Log;
  /** Which token endpoints may be asked. */
  readonly endpointRules: HostRules;
  readonly limits?: RequestLimits;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/**
 * Gives access tokens for a connection's grant. They are cached until shortly before they end; those who ask
 * at the same time share one request. `fresh` asks past the cache, unless the cache has got another token
 * since the one that this source gave last. Rejects with a `Failure`: `token`, `host-denied` or `config`.
 */
export function createTokenSource(
  grant: OAuth2Grant,
  deps: TokenSourceDeps,
): Extract<MailCredential, { kind: 'oauth2' }> {
  const now = deps.now ?? Date.now;
  const key = tokenKey(deps.customer, deps.connection, grant);
  let given: string | undefined;

  const getToken = async (fresh: boolean): Promise<string> => {
    const state = deps.cache.get(key) ?? deps.cache.keep(key, {});
    const { token } = state;
    const wanted = !fresh || (given !== undefined && token?.accessToken !== given);
    if (token !== undefined && now() < token.renewAt && wanted && state.renewing === undefined) {
      await saveRotated(grant, state, deps);
      given = token.accessToken;
      return given;
    }
    state.renewing ??= renew(grant, state, deps, now).finally(() => {
      state.renewing = undefined;
    });
    given = await state.renewing;
    return given;
  };
  return { kind: 'oauth2', getToken };
}

async function renew(
  grant: OAuth2Grant,
  state: TokenState,
  deps: TokenSourceDeps,
  now: () => number,
): Promise<string> {
  const askedAt = now();
  const issued = await issueToken(grant, state.rotated, deps, askedAt).catch((error: unknown) => {
    // The config's own refresh token is then the only hope left.
    if (error instanceof GrantRefused && error.code === 'invalid_grant') {
      state.rotated = state.unsavedSince = undefined;
    }
    throw toFailure(error, 'getting an access token');
  });
  const { accessToken, expiresAt } = issued;
  state.token = { accessToken, renewAt: renewalTime(askedAt, expiresAt) };
  if (grant.kind === 'refreshToken') noteRotation(grant, issued, state, deps);
  await saveRotated(grant, state, deps);
  return accessToken;
}

/** Loads the libraries behind a grant only when its token is needed. */
async function issueToken(
  grant: OAuth2Grant,
  rotated: string | undefined,
  deps: TokenSourceDeps,
  askedAt: number,
): Promise<IssuedToken> {
  if (grant.kind === 'managedIdentity') {
    const { requestIdentityToken } = await import('./managedIdentity.ts');
    return requestIdentityToken(grant, deps.getCredential, deps.limits);
  }
  const { requestToken } = await import('./tokenEndpoint.ts');
  const current =
    grant.kind === 'refreshToken' && rotated !== undefined ? { ...grant, refreshToken: rotated } : grant;
  return requestToken(current, deps.endpointRules, askedAt, deps.limits);
}

function noteRotation(
  grant: Extract<OAuth2Grant, { kind: 'refreshToken' }>,
  { refreshToken }: IssuedToken,
  state: TokenState,
  deps: TokenSourceDeps,
): void {
  const used = state.rotated ?? grant.refreshToken;
  if (refreshToken === undefined || refreshToken === used) return;
  const first = state.rotated === undefined;
  state.rotated = refreshToken;
  if (grant.refreshTokenFrom === 'column') {
    state.unsavedSince ??= used;
    return;
  }
  if (!first) return;
  const { log, customer, connection } = deps;
  log.warn(
    `The token endpoint gave a new refresh token, which can not be written to ${tokenPlace(grant)} and is lost when the app restarts. Put the refresh token into oauth2RefreshToken itself.`,
    { customer, connection },
  );
}

/** Until the column holds the new refresh token, each ask for a token tries to write it once more. */
async function saveRotated(grant: OAuth2Grant, state: TokenState, deps: TokenSourceDeps): Promise<void> {
  const { rotated, unsavedSince } = state;
  if (grant.kind !== 'refreshToken' || rotated === undefined || unsavedSince === undefined) return;
  const { cache, customer, connection, log } = deps;
  // The config will be read with the new one from now on, and must find the same token.
  cache.keep(tokenKey(customer, connection, { ...grant, refreshToken: rotated }), state);
  try {
    await deps.saveRefreshToken(rotated, unsavedSince);
    if (state.rotated === rotated) state.unsavedSince = undefined;
  } catch (error) {
    const { message } = toFailure(error, 'writing it');
    log.warn(
      `A new refresh token could not be written to oauth2RefreshToken yet; it is kept in memory. ${message}`,
      { customer, connection },
    );
  }
}

import type { OAuth2Grant } from '../../shared/connection/config.ts';
import type { RequestLimits } from '../../shared/token/exchange.ts';
import { createTokenCache } from '../../shared/token/tokenCache.ts';
import type { TokenSourceDeps } from '../../shared/token/tokenSource.ts';

export const clientSecret = 'hunter2-client-secret';
export const refreshToken = 'refresh-token-one';
export const quickLimits: RequestLimits = { tries: 2, tryTimeoutMs: 5_000, retryDelayMs: 1 };

type ClientCredentials = Extract<OAuth2Grant, { kind: 'clientCredentials' }>;
type RefreshToken = Extract<OAuth2Grant, { kind: 'refreshToken' }>;

export function clientCredentials(url: string, changes: Partial<ClientCredentials> = {}): ClientCredentials {
  const authority = { kind: 'endpoint', url } as const;
  return { kind: 'clientCredentials', authority, clientId: 'client-1', clientSecret, ...changes };
}

export function refreshGrant(url: string, changes: Partial<RefreshToken> = {}): RefreshToken {
  const authority = { kind: 'endpoint', url } as const;
  const from = { refreshToken, refreshTokenFrom: 'column' } as const;
  return { kind: 'refreshToken', authority, clientId: 'client-1', ...from, ...changes };
}

/** Dependencies that note what was saved and warned of. */
export function tokenDeps(changes: Partial<TokenSourceDeps> = {}) {
  const saved: [token: string, replaced: string][] = [];
  const warnings: string[] = [];
  const deps: TokenSourceDeps = {
    customer: 'contoso',
    connection: 'orders',
    cache: createTokenCache(),
    getCredential: () => Promise.reject(new Error('no identity here')),
    saveRefreshToken: async (token, replaced) => {
      saved.push([token, replaced]);
    },
    log: {
      info: () => {},
      warn: (sentence) => warnings.push(sentence),
      error: () => {},
    },
    endpointRules: { denyPrivate: false },
    limits: quickLimits,
    ...changes,
  };
  return { ...deps, saved, warnings };
}

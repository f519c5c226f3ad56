import { createHash } from 'node:crypto';
import type { OAuth2Grant } from '../connection/config.ts';
import { Recent } from '../connection/recent.ts';

/** An access token that an endpoint has issued. */
export interface IssuedToken {
  readonly accessToken: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
  /** The refresh token to use from now on, when the endpoint gave one. */
  readonly refreshToken?: string;
}

const maxTokenLength = 16_384;

/**
 * Whether a token can stand in a SASL response: printable ASCII without spaces, so that it can neither end
 * the line nor the field, and not so long that mail servers cut it.
 */
export function checkAccessToken(token: string): boolean {
  return token.length <= maxTokenLength && /^[\x21-\x7e]+$/.test(token);
}

/** What this process knows of one grant of one connection. */
export interface TokenState {
  token?: { readonly accessToken: string; readonly renewAt: number };
  /** The request under way, which everyone who asks meanwhile shares. */
  renewing?: Promise<string> | undefined;
  /** The refresh token that has taken the place of the config's. */
  rotated?: string | undefined;
  /** The refresh token that the connection's column holds instead of `rotated`, until that is written. */
  unsavedSince?: string | undefined;
}

/** The tokens of one process. */
export type TokenCache = Recent<TokenState>;

export function createTokenCache(maxStates = 4_000): TokenCache {
  return new Recent(maxStates);
}

/**
 * The key of a connection's grant. It covers the secrets, so that a changed one never gets the old one's
 * token, and customer and connection, so that none gets another's; and it tells none of them.
 */
export function tokenKey(customer: string, connection: string, grant: OAuth2Grant): string {
  return createHash('sha256')
    .update(JSON.stringify([customer, connection, grant]))
    .digest('base64');
}

const maxMarginMs = 300_000;
const maxLifeMs = 86_400_000;

/** When to stop using a token: five minutes before its end, or a tenth of its life when that is less. */
export function renewalTime(issuedAt: number, expiresAt: number): number {
  const lifeMs = Math.min(Math.max(0, expiresAt - issuedAt), maxLifeMs);
  return issuedAt + lifeMs - Math.min(maxMarginMs, lifeMs / 10);
}

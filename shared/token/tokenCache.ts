import { createHash } from 'node:crypto';
import type { OAuth2Grant } from '../connection/config.ts';

/** An access token that an endpoint has issued. */
export interface IssuedToken {
  readonly accessToken: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
  /** The refresh token to use from now on, when the endpoint gave one. */
  readonly refreshToken?: string;
}

/** What this process knows of one grant of one connection. */
export interface TokenState {
  token?: { readonly accessToken: string; readonly renewAt: number };
  /** The request under way, which everyone who asks meanwhile shares. */
  renewing?: Promise<string> | undefined;
  /** The refresh token that has taken the place of the config's. */
  rotated?: string;
  /** The refresh token that the connection's column holds instead of `rotated`, until that is written. */
  unsavedSince?: string | undefined;
}

/** The tokens of one process, bounded in number: those that were not asked for longest make room. */
export interface TokenCache {
  /** The state under this key, made when there is none. */
  readonly open: (key: string) => TokenState;
  /** Makes the same state known under another key too. */
  readonly alias: (key: string, state: TokenState) => void;
  readonly size: number;
}

const defaultMaxEntries = 4_000;

/** Makes an empty cache that holds at most `maxEntries` states. */
export function createTokenCache(maxEntries = defaultMaxEntries): TokenCache {
  const states = new Map<string, TokenState>();
  const keep = (key: string, state: TokenState): void => {
    states.delete(key);
    states.set(key, state);
    for (const oldest of states.keys()) {
      if (states.size <= maxEntries) break;
      states.delete(oldest);
    }
  };
  return {
    open: (key) => {
      const state = states.get(key) ?? {};
      keep(key, state);
      return state;
    },
    alias: keep,
    get size() {
      return states.size;
    },
  };
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

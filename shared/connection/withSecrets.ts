import { isDeepStrictEqual } from 'node:util';
import { Failure } from '../failure/failure.ts';
import type { ConnectionAuth, ConnectionConfig } from './config.ts';
import type { ConfiguredSecret, VaultSecret } from './secret.ts';

/** How to log in, with every secret at hand. */
export type ResolvedAuth = ConnectionAuth<string>;

/** Reads a secret of the vault; `refused` is a value of it that was refused just now. */
export type ReadVaultSecret = (secret: VaultSecret, refused?: string) => Promise<string>;

/**
 * Opens something with a connection's secrets. When it fails for the login's sake and the vault has another
 * value by now, it is tried once more with that, so that a rotation needs no restart and no failed run; with the
 * same value it is not, since every try may count toward locking the account. What is refused for good says also
 * when white space around a secret or the user name may be the reason.
 */
export async function openWithSecrets<T>(
  { auth, username }: Pick<ConnectionConfig, 'auth' | 'username'>,
  readVaultSecret: ReadVaultSecret,
  open: (auth: ResolvedAuth) => Promise<T>,
): Promise<T> {
  const used = new Map<string, string>();
  const read = async (secret: VaultSecret): Promise<string> => {
    const value = await readVaultSecret(secret, used.get(secret.vaultSecret));
    used.set(secret.vaultSecret, value);
    return value;
  };
  const first = await resolveAuth(auth, read);
  try {
    return await open(first);
  } catch (error) {
    if (!isRefusedLogin(error)) throw error;
    const second = await resolveAuth(auth, read);
    if (isDeepStrictEqual(first, second)) throw hinted(error, username, second);
    return await open(second).catch((again: unknown) => {
      throw isRefusedLogin(again) ? hinted(again, username, second) : again;
    });
  }
}

/** Takes the place of each secret that stands in the vault. */
async function resolveAuth(
  auth: ConnectionAuth,
  read: (secret: VaultSecret) => Promise<string>,
): Promise<ResolvedAuth> {
  const textOf = async (secret: ConfiguredSecret): Promise<string> =>
    typeof secret === 'string' ? secret : await read(secret);
  if (auth.kind === 'password') return { kind: 'password', password: await textOf(auth.password) };
  const { grant } = auth;
  if (grant.kind === 'managedIdentity') return { kind: 'oauth2', grant };
  if (grant.kind === 'clientCredentials') {
    return { kind: 'oauth2', grant: { ...grant, clientSecret: await textOf(grant.clientSecret) } };
  }
  const { clientSecret, refreshToken, ...rest } = grant;
  const secret = clientSecret === undefined ? {} : { clientSecret: await textOf(clientSecret) };
  return { kind: 'oauth2', grant: { ...rest, ...secret, refreshToken: await textOf(refreshToken) } };
}

function isRefusedLogin(error: unknown): error is Failure {
  return error instanceof Failure && (error.reason === 'login' || error.reason === 'token');
}

function hinted(failure: Failure, username: string, auth: ResolvedAuth): Failure {
  const hints = [['The user name', username] as const, ...secretsOf(auth)].flatMap(
    ([what, value]) => outerBlanksHint(what, value) ?? [],
  );
  if (hints.length === 0) return failure;
  return new Failure(failure.reason, [failure.message, ...hints].join(' '), failure);
}

function secretsOf(auth: ResolvedAuth): readonly (readonly [what: string, value: string])[] {
  if (auth.kind === 'password') return [['The password', auth.password]];
  const { grant } = auth;
  if (grant.kind === 'managedIdentity') return [];
  return [
    ...(grant.clientSecret === undefined ? [] : [['The client secret', grant.clientSecret] as const]),
    ...(grant.kind === 'refreshToken' ? [['The refresh token', grant.refreshToken] as const] : []),
  ];
}

const blank = '[\\s\\p{C}\\p{Z}\\u115f\\u1160\\u2800\\u3164\\uffa0]';
const start = new RegExp(`^${blank}`, 'u');
const end = new RegExp(`${blank}$`, 'u');

/**
 * A sentence for whoever was refused with this value: that white space, or a character that nobody sees (a byte
 * order mark, a zero-width or no-break space), stands around it. Undefined where none does. `what` begins it:
 * "The password". Such characters may be meant, so they are never taken off.
 */
export function outerBlanksHint(what: string, value: string): string | undefined {
  const places = [...(start.test(value) ? ['start'] : []), ...(end.test(value) ? ['end'] : [])];
  if (places.length === 0) return undefined;
  return `${what} has a blank or an invisible character at its ${places.join(' and ')}; if that is not meant, store it without.`;
}

import type { TokenCredential } from '@azure/identity';
import type { SecretClientOptions } from '@azure/keyvault-secrets';
import { Failure } from '../failure/failure.ts';
import { quoteServerText } from '../mailbox/serverText.ts';
import { field, IdentityFailure, statusOf } from '../storage/storageFailure.ts';
import type { Log } from '../telemetry/log.ts';
import { inTime } from '../wait/deadline.ts';
import { lazily } from '../wait/lazy.ts';
import { Recent } from './recent.ts';
import { isUsableSecret, usableRule, type VaultSecret } from './secret.ts';

export interface SecretsVaultOptions {
  /** `https://….vault.azure.net` */
  readonly url: string;
  readonly getCredential: () => Promise<TokenCredential>;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  readonly deadlineMs?: number;
  readonly clientOptions?: SecretClientOptions;
}

/** How long a value is used without asking again. */
const memoryMs = 5 * 60_000;
/** How long the last value is used while the vault is away. */
const lastGoodMs = 60 * 60_000;
/** How long a vault that was away is not asked again for a secret that is in memory. */
const awayMs = 60_000;
const deadlineMs = 20_000;
/** More secrets than mailboxes that one process polls; those that were read first make room. */
const maxEntries = 4_000;

const retryOptions = { maxRetries: 2, retryDelayInMs: 200, maxRetryDelayInMs: 2_000 };

interface Entry {
  known?: { readonly value: string; readonly readAt: number };
  /** The request under way, which all who ask meanwhile share. */
  reading?: Promise<string> | undefined;
  awayUntil?: number | undefined;
}

/**
 * The app's Key Vault, as far as connections name its secrets. The library behind it is loaded, and a request sent,
 * when a secret is first read.
 */
export function openSecretsVault(options: SecretsVaultOptions) {
  const now = options.now ?? Date.now;
  const host = new URL(options.url).host;
  const entries = new Recent<Entry>(maxEntries);
  const openClient = lazily(async () => {
    const [{ SecretClient }, credential] = await Promise.all([
      import('@azure/keyvault-secrets'),
      options.getCredential(),
    ]);
    return new SecretClient(options.url, credential, { retryOptions, ...options.clientOptions });
  });

  const ask = async (secret: VaultSecret, entry: Entry, log: Pick<Log, 'warn'>): Promise<string> => {
    const { known } = entry;
    try {
      const client = await openClient();
      // Credentials need not heed the signal.
      const { value = '' } = await inTime(
        options.deadlineMs ?? deadlineMs,
        (abortSignal) => client.getSecret(secret.vaultSecret, { abortSignal }),
        () => new DOMException('No answer in time.', 'TimeoutError'),
      );
      if (!isUsableSecret(value)) {
        const named = `${secret.column} names the secret ${secret.vaultSecret} of the Key Vault ${host}`;
        throw new Failure('secret', `${named}, ${usableRule}`);
      }
      entry.known = { value, readAt: now() };
      entry.awayUntil = undefined;
      return value;
    } catch (error) {
      const refused = refusalOf(error, secret, host);
      if (refused !== undefined) {
        delete entry.known;
        throw refused;
      }
      const away = vaultAway(error, secret, host);
      if (known === undefined || now() - known.readAt > lastGoodMs) throw away;
      // Said once an outage, not once a poll.
      if (entry.awayUntil === undefined) {
        log.warn(`${away.message} Until then the value that was read last is used, for an hour at most.`);
      }
      entry.awayUntil = now() + awayMs;
      return known.value;
    }
  };

  return {
    /**
     * The secret's value, from memory where it was read within five minutes. `refused` is a value that a server
     * has just refused: then the vault is asked at once, unless memory has got another one meanwhile. While the
     * vault is away, the last value is good for an hour. Rejects with a `Failure` (secret), within 20 s.
     */
    async read(secret: VaultSecret, log: Pick<Log, 'warn'>, refused?: string): Promise<string> {
      const name = secret.vaultSecret.toLowerCase();
      const entry = entries.get(name) ?? entries.keep(name, {});
      const { known } = entry;
      if (entry.reading !== undefined) return await entry.reading;
      const ageMs = known === undefined ? Number.POSITIVE_INFINITY : Math.abs(now() - known.readAt);
      const isAway = entry.awayUntil !== undefined && now() < entry.awayUntil;
      const isGood = ageMs < memoryMs || (isAway && ageMs < lastGoodMs);
      if (known !== undefined && isGood && (isAway || known.value !== refused)) return known.value;
      entry.reading = ask(secret, entry, log).finally(() => {
        entry.reading = undefined;
      });
      return await entry.reading;
    },
  };
}

/** What the vault has said for good about this secret; undefined where it could not be asked. */
function refusalOf(error: unknown, secret: VaultSecret, host: string): Failure | undefined {
  if (error instanceof IdentityFailure) return undefined;
  if (error instanceof Failure) return error;
  const [status, codes] = [statusOf(error), codesOf(error)];
  const { column, vaultSecret } = secret;
  const fail = (sentence: string) => new Failure('secret', sentence, error);
  if (status === 404) {
    return fail(
      `${column} names the secret ${vaultSecret}, which the Key Vault ${host} does not have; add it there, or correct the name.`,
    );
  }
  if (codes.includes('SecretDisabled')) {
    return fail(
      `${column} names the secret ${vaultSecret}, which is disabled or outside its dates in the Key Vault ${host}; enable it there.`,
    );
  }
  if (codes.some((code) => /^ForbiddenBy(Firewall|Connection)$/.test(code))) {
    return fail(
      `The Key Vault ${host} does not let the app in by its network rules (${quoteServerText(codes.join(', '))}), so that ${vaultSecret} can't be read; allow the app's network in the vault's firewall.`,
    );
  }
  if (status === 401 || status === 403) {
    return fail(
      `The app's identity may not read the secret ${vaultSecret} in the Key Vault ${host} (HTTP ${status}), which ${column} names; give it the role Key Vault Secrets User.`,
    );
  }
  return undefined;
}

function vaultAway(error: unknown, { column, vaultSecret }: VaultSecret, host: string): Failure {
  const failed = `The Key Vault ${host} could not be asked for the secret ${vaultSecret}`;
  if (error instanceof IdentityFailure) {
    return new Failure('secret', `${failed}, which ${column} names. ${error.message}`, error);
  }
  const [status, codes] = [statusOf(error), codesOf(error)];
  const name = error instanceof Error ? error.name : 'error';
  const why = status === undefined ? (codes[0] ?? name) : [`HTTP ${status}`, ...codes].join(' ');
  return new Failure(
    'secret',
    `${failed} (${quoteServerText(why)}), which ${column} names. Check SECRETS_VAULT, the app's identity and the network; the next run asks again.`,
    error,
  );
}

/** The vault's codes, from the outside in, or Node's. */
function codesOf(error: unknown): readonly string[] {
  const codes: string[] = [];
  const details = field(field(error, 'details'), 'error') ?? error;
  for (let level = details, depth = 0; level !== undefined && depth < 4; depth += 1) {
    const code = field(level, 'code');
    if (typeof code === 'string' && code !== '') codes.push(code);
    // As the library has named it, or as the vault did.
    level = field(level, 'innerError') ?? field(level, 'innererror');
  }
  return codes;
}

import { isIP } from 'node:net';
import { Failure } from '../failure/failure.ts';
import {
  type Identity,
  readServiceBus,
  readStorage,
  type ServiceBusSettings,
  type StorageSettings,
} from './account.ts';
import { queueNamePattern, queueNameRule } from './queueName.ts';
import { type Env, fieldsOf, SettingReader } from './reader.ts';
import { readSecretPrefix, readVaultAddress } from './secrets.ts';

/** The app settings, decoded. */
export interface Settings {
  readonly storage: StorageSettings;
  readonly serviceBus: ServiceBusSettings;
  /** Where connections without a `queueName` of their own send to. */
  readonly queueName: string;
  /** A larger message goes by claim check; where the queue's link allows less, that counts. */
  readonly maxMessageBytes: number;
  /** A larger mail is sent raw, unparsed. */
  readonly maxMailBytes: number;
  /** A run takes no new mail after this. */
  readonly pollTimeBudgetMs: number;
  /** An undelivered record that is older is abandoned. */
  readonly retryMaxAgeMs: number;
  /** Lower-case host patterns, `*.example.com` or a whole name; undefined: any host. */
  readonly mailHostsAllowed: readonly string[] | undefined;
  readonly denyPrivateNetworks: boolean;
  /** What the name of an app setting must begin with for a connection to name it as a secret; case counts. */
  readonly secretSettingsPrefix: string;
  /** The Key Vault for secrets that connections name, as an address without path or slash at its end. */
  readonly secretsVault: string | undefined;
  /** What the name of a secret in that vault must begin with; as in the vault, case does not count. */
  readonly secretsVaultPrefix: string;
  /** Patterns of mail hosts, beside Microsoft's own, that may get a token of the app's identity. */
  readonly managedIdentityHosts: readonly string[];
  readonly journal: JournalMode;
  readonly applicationInsightsConnectionString: string | undefined;
  /** Whose token telemetry is sent with; undefined: the connection string is enough. */
  readonly applicationInsightsIdentity: Identity | undefined;
}

/** What the journal says of a mail: all; nothing that names a person or a document; nothing at all. */
export type JournalMode = 'full' | 'ids' | 'off';

export type ReadSettings =
  | { readonly ok: true; readonly settings: Settings }
  /** `failure.message` has one sentence for each wrong setting and quotes no secret. */
  | { readonly ok: false; readonly failure: Failure };

/** Reads the app settings. Never throws: an app that fails while it loads looks like one without functions. */
export function readSettings(env: Env, nodeVersion = process.versions.node): ReadSettings {
  const reader = new SettingReader(env);
  if (Number.parseInt(nodeVersion, 10) < 22) {
    reader.report(
      `This app needs Node.js 22 or later and runs on ${nodeVersion}; choose a newer one in the function app's stack settings.`,
    );
  }
  const storage = readStorage(reader);
  const serviceBus = readServiceBus(reader);
  const rest = {
    mailHostsAllowed: readHostPatterns(reader, 'MAIL_HOSTS_ALLOWED'),
    applicationInsightsConnectionString: readInsights(reader),
    applicationInsightsIdentity: readInsightsIdentity(reader),
    secretsVault: readVaultAddress(reader),
    queueName: reader.matching('EMAIL_QUEUE_NAME', queueNamePattern, 'email-inbound', queueNameRule),
    maxMessageBytes: readNumber(reader, 'EMAIL_MAX_MESSAGE_BYTES', 4_194_304, bytesTo(104_857_600)),
    maxMailBytes: readNumber(reader, 'EMAIL_MAX_MAIL_BYTES', 157_286_400, bytesTo(2_147_483_648)),
    pollTimeBudgetMs: 1000 * readNumber(reader, 'POLL_TIME_BUDGET_SECONDS', 240, seconds),
    retryMaxAgeMs: 3_600_000 * readNumber(reader, 'RETRY_MAX_AGE_HOURS', 144, hours),
    denyPrivateNetworks: readFlag(reader, 'MAIL_DENY_PRIVATE_NETWORKS'),
    secretSettingsPrefix: readSecretPrefix(reader),
    secretsVaultPrefix: reader.matching(
      'SECRETS_VAULT_PREFIX',
      /^[A-Za-z0-9-]{1,126}$/,
      'mailbox-',
      vaultRule,
    ),
    managedIdentityHosts: readHostPatterns(reader, 'MANAGED_IDENTITY_HOSTS') ?? [],
    journal: readJournal(reader),
  };
  if (storage === undefined || serviceBus === undefined || reader.sentences.length > 0) {
    return { ok: false, failure: new Failure('setting', reader.sentences.join(' ')) };
  }
  return { ok: true, settings: { storage, serviceBus, ...rest } };
}

interface NumberRule {
  readonly whole: boolean;
  readonly of: 'bytes' | 'seconds' | 'hours';
  readonly min: number;
  readonly max: number;
}

const bytesTo = (max: number): NumberRule => ({ whole: true, of: 'bytes', min: 1024, max });
const seconds: NumberRule = { whole: true, of: 'seconds', min: 2, max: 86_400 };
const hours: NumberRule = { whole: false, of: 'hours', min: 0, max: 87_600 };

function readNumber(reader: SettingReader, name: string, usual: number, rule: NumberRule): number {
  const { whole, of, min, max } = rule;
  const text = reader.get(name);
  if (text === undefined) return usual;
  const number = /^\d{1,15}(\.\d{1,15})?$/.test(text) ? Number(text) : Number.NaN;
  if (number >= min && number <= max && (!whole || Number.isInteger(number))) return number;
  reader.wrong(name, text, `a ${whole ? 'whole number' : 'number'} of ${of} from ${min} to ${max}`);
  return usual;
}

function readFlag(reader: SettingReader, name: string): boolean {
  return reader.matching(name, /^(true|false)$/i, 'false', 'true or false').toLowerCase() === 'true';
}

const hostPattern = /^(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;

/**
 * A list of hosts as lower-case patterns, `mail.example.com` or `*.example.com` for all below; undefined when the
 * setting is missing.
 */
function readHostPatterns(reader: SettingReader, name: string): readonly string[] | undefined {
  const patterns = reader
    .get(name)
    ?.split(',')
    .map((pattern) => pattern.trim().toLowerCase())
    .filter((pattern) => pattern !== '');
  // A list of nothing but commas is a slip; to take it for "any host" would open what was to be closed.
  if (patterns?.length === 0) reader.wrong(name, reader.get(name) ?? '', hostRule);
  for (const pattern of patterns ?? []) {
    if (hostPattern.test(pattern) || isIP(pattern) !== 0) continue;
    reader.wrong(name, pattern, hostRule);
  }
  return patterns;
}

const vaultRule = "the beginning of a secret's name: letters, digits and hyphens";
const hostRule = 'a comma-separated list of host names, IP addresses or patterns such as *.example.com';

function readJournal(reader: SettingReader): JournalMode {
  const text = reader.matching('JOURNAL', /^(full|ids|off)$/i, 'full', 'full, ids or off').toLowerCase();
  return text === 'ids' || text === 'off' ? text : 'full';
}

/** `Authorization=AAD`, and `ClientId=…` for a user-assigned identity, as the Functions host takes it. */
function readInsightsIdentity(reader: SettingReader): Identity | undefined {
  const name = 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING';
  const text = reader.get(name);
  if (text === undefined) return undefined;
  const fields = new Map(fieldsOf(text));
  const authorization = fields.get('authorization')?.toLowerCase();
  const clientId = fields.get('clientid');
  const known = fields.size === (clientId === undefined ? 1 : 2);
  if (authorization !== 'aad' || clientId === '' || !known) {
    return reader.wrong(name, text, 'Authorization=AAD, or Authorization=AAD;ClientId=…');
  }
  return { kind: 'managedIdentity', ...(clientId === undefined ? {} : { clientId }) };
}

function readInsights(reader: SettingReader): string | undefined {
  const name = 'APPLICATIONINSIGHTS_CONNECTION_STRING';
  const text = reader.get(name);
  if (text !== undefined && !new Map(fieldsOf(text)).get('instrumentationkey')) {
    const rule =
      'the connection string of an Application Insights resource (InstrumentationKey=…), or be left out';
    reader.wrong(name, text, rule, 'not valid');
  }
  return text;
}

import { certificateRule } from '../mailbox/certificateRule.ts';
import { queueNameRule } from '../settings/queueName.ts';
import { field } from '../storage/storageFailure.ts';

/** What each column of a connection's config is, for decoding, the HTTP API and the documents. Light to load. */
export interface ConfigColumn {
  readonly type: 'string' | 'boolean' | 'integer';
  /** The end of the sentence "{column} must be …". */
  readonly rule: string;
  readonly description: string;
  /** Taken as it stands; other texts lose the white space around them. */
  readonly verbatim?: true;
}

const text = (rule: string, description: string) => ({ type: 'string', rule, description }) as const;
const integer = (rule: string, description: string) => ({ type: 'integer', rule, description }) as const;
const flag = (description: string) => ({ type: 'boolean', rule: 'true or false', description }) as const;
const line = (maxLength: number, description: string) =>
  text(`text of at most ${maxLength} characters without line breaks or NUL`, description);
const verbatim = <Column>(column: Column) => ({ ...column, verbatim: true }) as const;
const secret = (description: string) => verbatim(line(8192, description));
const settingName = (description: string) =>
  text('the name of an app setting (letters, digits, and any of _ . : -)', description);
const vaultSecretName = (description: string) =>
  text('the name of a secret in Key Vault (1 to 127 letters, digits or hyphens)', description);
const patterns = (example: string, description: string) =>
  text(`patterns of at most 4096 characters, separated by commas, such as ${example}`, description);

export const configColumns = {
  enabled: flag('Whether the connection is polled.'),
  host: text('a host name or IP address, without scheme, port or path', 'The mail server.'),
  port: integer(
    'a whole number from 1 to 65535',
    'Default 993 (IMAP) or 995 (POP3) with useSsl, else 143 or 110.',
  ),
  hostType: text('IMAP or POP3', 'The protocol.'),
  useSsl: flag('TLS from the first byte.'),
  startTls: flag('Upgrade to TLS before login, or fail. Only with useSsl=false.'),
  caCertificate: text(
    certificateRule,
    'Certificates to trust besides the system’s, for a server with a private CA.',
  ),
  username: verbatim(line(1024, 'The login name.')),
  password: secret('The password itself.'),
  passwordSetting: settingName('The app setting that holds it.'),
  passwordVaultSecret: vaultSecretName('The secret in the app’s Key Vault that holds it.'),
  sendAttachments: flag('Each attachment is its own message.'),
  sendMessageBody: flag('The body is one message.'),
  deleteMessages: flag('IMAP: delete instead of marking read. POP3 always deletes.'),
  moveToFolder: verbatim(
    line(
      1024,
      'IMAP only: where delivered mails are moved to. Made where it is missing. Not with deleteMessages.',
    ),
  ),
  fromFilter: patterns(
    '*@example.com, !noreply@*',
    'IMAP only: takes only mails whose sender’s address matches.',
  ),
  toFilter: patterns(
    'orders@example.com, orders+*@example.com',
    'IMAP only: takes only mails that go to a matching address (To, Cc, Delivered-To, X-Original-To).',
  ),
  subjectFilter: patterns(
    'order, invoice, !out of office',
    'IMAP only: takes only mails in whose subject a pattern is found.',
  ),
  unmatchedMails: text('leave or markRead', 'What becomes of the mails that the filters leave out.'),
  pollingIntervalSeconds: integer(
    'a whole number of at least 60',
    'Seconds between polls. Not together with cron.',
  ),
  cron: text(
    'a cron expression of five fields',
    'When to poll: minute, hour, day of month, month, day of week.',
  ),
  timeZone: text('an IANA time zone, such as Europe/Berlin', 'The zone that cron is meant in.'),
  useProcessLock: flag('A run keeps the mailbox to itself until it ends, however long it takes.'),
  folder: verbatim(line(1024, 'IMAP only.')),
  bodyFormat: text('text, html or eml', 'The text part, the HTML part, or the raw mail.'),
  inlineAttachments: flag('Also send the parts that the HTML shows by cid.'),
  attachmentFilter: patterns('*.pdf, *.xml, !logo*', 'Sends only attachments whose file name matches.'),
  unpackWinmail: flag('Unpacks winmail.dat: what it holds is the mail’s.'),
  queueName: text(
    queueNameRule,
    'The destination, a queue or a topic. Default: the app setting EMAIL_QUEUE_NAME.',
  ),
  sessions: text('none, connection or mail', 'No session ids, one for the connection, or one for each mail.'),
  authType: text('password or oauth2', 'How to log in.'),
  oauth2Grant: text(
    'clientCredentials, refreshToken or managedIdentity',
    'How the access token is got. Required with authType=oauth2.',
  ),
  oauth2TenantId: text(
    'an Entra tenant: its id or one of its domain names',
    'The Entra tenant. Or give oauth2TokenEndpoint.',
  ),
  oauth2TokenEndpoint: text(
    'an https URL without user name or fragment (http only on loopback)',
    'Any OAuth2 token endpoint. Or give oauth2TenantId.',
  ),
  oauth2ClientId: line(1024, 'The client’s id.'),
  oauth2Scope: line(
    1024,
    'Default with a tenant or managed identity: https://outlook.office365.com/.default',
  ),
  oauth2ClientSecret: secret('The client’s secret itself.'),
  oauth2ClientSecretSetting: settingName('The app setting that holds the client secret.'),
  oauth2ClientSecretVaultSecret: vaultSecretName(
    'The secret in the app’s Key Vault that holds the client secret.',
  ),
  oauth2RefreshToken: secret('The refresh token itself.'),
  oauth2RefreshTokenSetting: settingName('The app setting that holds the refresh token.'),
  oauth2RefreshTokenVaultSecret: vaultSecretName(
    'The secret in the app’s Key Vault that holds the refresh token.',
  ),
} as const satisfies Readonly<Record<string, ConfigColumn>>;

export type ConfigColumnName = keyof typeof configColumns;

export const configColumnNames = Object.keys(configColumns) as readonly ConfigColumnName[];

export function isConfigColumn(name: string): name is ConfigColumnName {
  return Object.hasOwn(configColumns, name);
}

/** The columns that are never shown: the HTTP API gives `passwordSet` and so on for them. */
export const secretColumns = ['password', 'oauth2ClientSecret', 'oauth2RefreshToken'] as const;

export type SecretColumn = (typeof secretColumns)[number];

export function isSecretColumn(name: string): name is SecretColumn {
  return secretColumns.some((secret) => secret === name);
}

/** The columns that say where a secret stands that is not in the connection itself. */
export const secretReferences = {
  password: { setting: 'passwordSetting', vaultSecret: 'passwordVaultSecret' },
  oauth2ClientSecret: { setting: 'oauth2ClientSecretSetting', vaultSecret: 'oauth2ClientSecretVaultSecret' },
  oauth2RefreshToken: { setting: 'oauth2RefreshTokenSetting', vaultSecret: 'oauth2RefreshTokenVaultSecret' },
} as const satisfies Readonly<
  Record<SecretColumn, { readonly setting: ConfigColumnName; readonly vaultSecret: ConfigColumnName }>
>;

/** Whether the column names a secret's place; what stands there wrongly may be the secret itself. */
export function isSecretReference(name: string): boolean {
  return Object.values(secretReferences).some(
    ({ setting, vaultSecret }) => name === setting || name === vaultSecret,
  );
}

/** PartitionKey and RowKey. */
export const keyPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
export const keyRule =
  '1 to 63 letters, digits, dots, underscores or hyphens, beginning with a letter or digit';

/** Whether Table Storage takes this as a key at all; what it doesn't could even lead to another address. */
export function isStorableKey(text: string): boolean {
  return text !== '' && text.length <= 512 && !/[/\\#?\x00-\x1f\x7f-\x9f]/.test(text);
}

/**
 * A column's value as table editors and programs may have written it, made plain: bools and whole numbers out of
 * strings, a Guid as text, no white space around names, and undefined for what is empty. What doesn't fit stays.
 */
export function normalizeColumn(name: ConfigColumnName, given: unknown): unknown {
  const column: ConfigColumn = configColumns[name];
  const value = field(given, 'type') === 'Guid' ? field(given, 'value') : given;
  if (value === null || value === '') return undefined;
  if (typeof value === 'bigint') return Number(value);
  if (typeof value !== 'string' || column.verbatim) return value;
  const text = value.trim();
  if (text === '') return undefined;
  if (column.type === 'boolean') return toBoolean(text);
  if (column.type === 'integer') return /^[+-]?\d{1,15}$/.test(text) ? Number(text) : text;
  return name === 'hostType' ? text.toUpperCase() : text;
}

function toBoolean(text: string): boolean | string {
  const lower = text.toLowerCase();
  return lower === 'true' ? true : lower === 'false' ? false : text;
}

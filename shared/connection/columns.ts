import { certificateRule } from '../mailbox/certificateRule.ts';
/** What each column of a connection's config is, for decoding, the HTTP API and the documents. Light to load. */
export interface ConfigColumn {
  readonly type: 'string' | 'boolean' | 'integer';
  /** The end of the sentence "{column} must be …". */
  readonly rule: string;
  readonly description: string;
  /** Write-only: never shown, never quoted. */
  readonly secret?: true;
  /** Taken as it stands; other texts lose the white space around them. */
  readonly verbatim?: true;
}

const flag = 'true or false';
const settingName = 'the name of an app setting (letters, digits, and any of _ . : -)';
const vaultSecretName = 'the name of a secret in Key Vault (1 to 127 letters, digits or hyphens)';
const patternList = (example: string) =>
  `patterns of at most 4096 characters, separated by commas, such as ${example}`;
const singleLine = (what: string, max: number) =>
  `${what} of at most ${max} characters without line breaks or NUL`;

export const configColumns = {
  enabled: { type: 'boolean', rule: flag, description: 'Whether the connection is polled.' },
  host: {
    type: 'string',
    rule: 'a host name or IP address, without scheme, port or path',
    description: 'The mail server.',
  },
  port: {
    type: 'integer',
    rule: 'a whole number from 1 to 65535',
    description: 'Default 993 (IMAP) or 995 (POP3) with useSsl, else 143 or 110.',
  },
  hostType: { type: 'string', rule: 'IMAP or POP3', description: 'The protocol.' },
  useSsl: { type: 'boolean', rule: flag, description: 'TLS from the first byte.' },
  startTls: {
    type: 'boolean',
    rule: flag,
    description: 'Upgrade to TLS before login, or fail. Only with useSsl=false.',
  },
  caCertificate: {
    type: 'string',
    rule: certificateRule,
    description: 'Certificates to trust besides the system’s, for a server with a private CA.',
  },
  username: {
    type: 'string',
    verbatim: true,
    rule: singleLine('text', 1024),
    description: 'The login name.',
  },
  password: {
    type: 'string',
    secret: true,
    verbatim: true,
    rule: singleLine('text', 8192),
    description: 'The password itself.',
  },
  passwordSetting: { type: 'string', rule: settingName, description: 'The app setting that holds it.' },
  passwordVaultSecret: {
    type: 'string',
    rule: vaultSecretName,
    description: 'The secret in the app’s Key Vault that holds it.',
  },
  sendAttachments: { type: 'boolean', rule: flag, description: 'Each attachment is its own message.' },
  sendMessageBody: { type: 'boolean', rule: flag, description: 'The body is one message.' },
  deleteMessages: {
    type: 'boolean',
    rule: flag,
    description: 'IMAP: delete instead of marking read. POP3 always deletes.',
  },
  moveToFolder: {
    type: 'string',
    verbatim: true,
    rule: singleLine('text', 1024),
    description:
      'IMAP only: where delivered mails are moved to. Made where it is missing. Not with deleteMessages.',
  },
  fromFilter: {
    type: 'string',
    rule: patternList('*@example.com, !noreply@*'),
    description: 'IMAP only: takes only mails whose sender’s address matches.',
  },
  toFilter: {
    type: 'string',
    rule: patternList('orders@example.com, orders+*@example.com'),
    description:
      'IMAP only: takes only mails that go to a matching address (To, Cc, Delivered-To, X-Original-To).',
  },
  subjectFilter: {
    type: 'string',
    rule: patternList('order, invoice, !out of office'),
    description: 'IMAP only: takes only mails in whose subject a pattern is found.',
  },
  unmatchedMails: {
    type: 'string',
    rule: 'leave or markRead',
    description: 'What becomes of the mails that the filters leave out.',
  },
  pollingIntervalSeconds: {
    type: 'integer',
    rule: 'a whole number of at least 60',
    description: 'Seconds between polls. Not together with cron.',
  },
  cron: {
    type: 'string',
    rule: 'a cron expression of five fields',
    description: 'When to poll: minute, hour, day of month, month, day of week.',
  },
  timeZone: {
    type: 'string',
    rule: 'an IANA time zone, such as Europe/Berlin',
    description: 'The zone that cron is meant in.',
  },
  useProcessLock: {
    type: 'boolean',
    rule: flag,
    description: 'A run keeps the mailbox to itself until it ends, however long it takes.',
  },
  folder: { type: 'string', verbatim: true, rule: singleLine('text', 1024), description: 'IMAP only.' },
  bodyFormat: {
    type: 'string',
    rule: 'text, html or eml',
    description: 'The text part, the HTML part, or the raw mail.',
  },
  inlineAttachments: {
    type: 'boolean',
    rule: flag,
    description: 'Also send the parts that the HTML shows by cid.',
  },
  attachmentFilter: {
    type: 'string',
    rule: patternList('*.pdf, *.xml, !logo*'),
    description: 'Sends only attachments whose file name matches.',
  },
  unpackWinmail: {
    type: 'boolean',
    rule: flag,
    description: 'Unpacks winmail.dat: what it holds is the mail’s.',
  },
  queueName: {
    type: 'string',
    rule: 'the name of a Service Bus queue or topic (at most 260 letters, digits, and any of . - _ / between them)',
    description: 'The destination, a queue or a topic. Default: the app setting EMAIL_QUEUE_NAME.',
  },
  sessions: {
    type: 'string',
    rule: 'none, connection or mail',
    description: 'No session ids, one for the connection, or one for each mail.',
  },
  authType: { type: 'string', rule: 'password or oauth2', description: 'How to log in.' },
  oauth2Grant: {
    type: 'string',
    rule: 'clientCredentials, refreshToken or managedIdentity',
    description: 'How the access token is got. Required with authType=oauth2.',
  },
  oauth2TenantId: {
    type: 'string',
    rule: 'an Entra tenant: its id or one of its domain names',
    description: 'The Entra tenant. Or give oauth2TokenEndpoint.',
  },
  oauth2TokenEndpoint: {
    type: 'string',
    rule: 'an https URL without user name or fragment (http only on loopback)',
    description: 'Any OAuth2 token endpoint. Or give oauth2TenantId.',
  },
  oauth2ClientId: { type: 'string', rule: singleLine('text', 1024), description: 'The client’s id.' },
  oauth2Scope: {
    type: 'string',
    rule: singleLine('text', 1024),
    description: 'Default with a tenant or managed identity: https://outlook.office365.com/.default',
  },
  oauth2ClientSecret: {
    type: 'string',
    secret: true,
    verbatim: true,
    rule: singleLine('text', 8192),
    description: 'The client’s secret itself.',
  },
  oauth2ClientSecretSetting: {
    type: 'string',
    rule: settingName,
    description: 'The app setting that holds the client secret.',
  },
  oauth2ClientSecretVaultSecret: {
    type: 'string',
    rule: vaultSecretName,
    description: 'The secret in the app’s Key Vault that holds the client secret.',
  },
  oauth2RefreshToken: {
    type: 'string',
    secret: true,
    verbatim: true,
    rule: singleLine('text', 8192),
    description: 'The refresh token itself.',
  },
  oauth2RefreshTokenSetting: {
    type: 'string',
    rule: settingName,
    description: 'The app setting that holds the refresh token.',
  },
  oauth2RefreshTokenVaultSecret: {
    type: 'string',
    rule: vaultSecretName,
    description: 'The secret in the app’s Key Vault that holds the refresh token.',
  },
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
 * A column's value as table editors may have written it, made plain: bools and whole numbers out of
 * strings, no white space around names, and undefined for what is empty. What doesn't fit stays as it is.
 */
export function normalizeColumn(name: ConfigColumnName, value: unknown): unknown {
  const column: ConfigColumn = configColumns[name];
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value === 'bigint') return column.type === 'integer' ? Number(value) : value;
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

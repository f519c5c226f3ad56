import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectionConfig } from '../../shared/connection/config.ts';
import { decodeConnection } from '../../shared/connection/decode.ts';
import { settingsOf } from '../../shared/connection/secret.ts';
import { caPem } from '../mailbox/caPem.ts';

type Entity = Record<string, unknown>;

const settings: Record<string, string> = {
  MAILBOX_PW: 'pw from a setting',
  MAILBOX_EMPTY: '',
  MAILBOX_UNRESOLVED: '@Microsoft.KeyVault(SecretUri=https://vault/secrets/x)',
  MAILBOX_TWO_LINES: 'one\ntwo',
  AzureWebJobsStorage: 'AccountKey=x',
};
const sources = {
  settingsPrefix: 'MAILBOX_',
  readSetting: settingsOf(settings),
  vaultPrefix: 'mailbox-',
  identityHosts: ['*.own.example'],
};
const base: Entity = {
  PartitionKey: 'acme',
  RowKey: 'orders',
  host: 'mail.example.com',
  hostType: 'IMAP',
  username: 'orders@example.com',
  password: 'hunter2',
};
const oauth2: Entity = { ...base, password: undefined, authType: 'oauth2' };
const entra: Entity = {
  ...oauth2,
  oauth2Grant: 'clientCredentials',
  oauth2TenantId: 'example.onmicrosoft.com',
  oauth2ClientId: 'client',
  oauth2ClientSecret: 'client secret',
};
const identity: Entity = { ...oauth2, oauth2Grant: 'managedIdentity' };
const endpoint: Entity = { ...entra, oauth2TenantId: undefined };

function good(entity: Entity): ConnectionConfig {
  const decoded = decodeConnection(entity, sources);
  assert.ok(decoded.ok, decoded.ok ? '' : JSON.stringify(decoded.errors));
  return decoded.config;
}

function wrong(entity: Entity, strict = false): Record<string, string> {
  const decoded = decodeConnection(entity, sources, { strict });
  assert.ok(!decoded.ok);
  return Object.fromEntries(decoded.errors.map(({ column, message }) => [column, message]));
}

test('host, hostType, username and password are a working connection', () => {
  assert.deepEqual(good(base), {
    customer: 'acme',
    connection: 'orders',
    enabled: true,
    protocol: 'imap',
    host: 'mail.example.com',
    port: 993,
    security: 'tls',
    username: 'orders@example.com',
    auth: { kind: 'password', password: 'hunter2' },
    rules: {
      sendBody: true,
      sendAttachments: true,
      inlineAttachments: false,
      bodyFormat: 'text',
      unpackWinmail: true,
    },
    unmatchedMails: 'leave',
    deleteMails: false,
    folder: 'INBOX',
    schedule: { kind: 'interval', intervalSeconds: 60 },
    useProcessLock: false,
    sessions: 'none',
  });
});

test('every column is taken, a mangled PEM as what it is', () => {
  const config = good({
    ...base,
    enabled: false,
    port: 1143,
    useSsl: false,
    startTls: true,
    caCertificate: `"${(caPem + caPem).replaceAll('\n', '\\n')}"`,
    sendAttachments: false,
    deleteMessages: true,
    cron: '*/5 * * * *',
    timeZone: 'Europe/Berlin',
    useProcessLock: true,
    folder: 'In Box/Ünread',
    bodyFormat: 'eml',
    inlineAttachments: true,
    queueName: 'orders',
    sessions: 'mail',
  });
  assert.deepEqual(config, {
    ...good(base),
    enabled: false,
    port: 1143,
    security: 'starttls',
    caCertificate: caPem + caPem,
    rules: {
      sendBody: true,
      sendAttachments: false,
      inlineAttachments: true,
      bodyFormat: 'eml',
      unpackWinmail: true,
    },
    deleteMails: true,
    schedule: { kind: 'cron', cron: '*/5 * * * *', timeZone: 'Europe/Berlin' },
    useProcessLock: true,
    folder: 'In Box/Ünread',
    queueName: 'orders',
    sessions: 'mail',
  });
});

test('the port follows protocol and SSL; POP3 always deletes', () => {
  const ports = [
    { hostType: 'imap', port: 993 },
    { hostType: 'Pop3', port: 995 },
    { hostType: 'IMAP', useSsl: false, port: 143 },
    { hostType: 'pop3', useSsl: 'false', port: 110 },
  ].map(({ port, ...columns }) => [good({ ...base, ...columns }), port] as const);
  for (const [config, port] of ports) {
    assert.equal(config.port, port);
    assert.equal(config.deleteMails, config.protocol === 'pop3');
    assert.equal(config.security, port > 900 ? 'tls' : 'plain');
  }
});

test('bools and whole numbers as a table editor writes them are accepted, and empty columns are missing ones', () => {
  const config = good({
    ...base,
    enabled: 'TRUE',
    port: '993',
    pollingIntervalSeconds: ' 300 ',
    useProcessLock: ' true ',
    host: ' mail.example.com ',
    passwordSetting: '',
    cron: '  ',
    folder: null,
    queueName: undefined,
  });
  assert.equal(config.port, 993);
  assert.deepEqual(config.schedule, { kind: 'interval', intervalSeconds: 300 });
  assert.equal(config.useProcessLock, true);
  assert.equal(config.host, 'mail.example.com');
  assert.equal(config.folder, 'INBOX');
  assert.equal(good({ ...base, port: 993n }).port, 993);
  for (const name of ['sendMessageBody', 'sendAttachments']) good({ ...base, [name]: 'false' });
});

test('an id that is stored as a Guid is the text that it shows', () => {
  const id = '0f8fad5b-d9cb-469f-a165-70867728950e';
  const guid = { type: 'Guid', value: id };
  const columns = { authType: 'oauth2', oauth2Grant: 'clientCredentials', oauth2ClientSecret: 's3cret' };
  const { auth } = good({ ...base, password: '', ...columns, oauth2TenantId: guid, oauth2ClientId: guid });
  assert.ok(auth.kind === 'oauth2' && auth.grant.kind === 'clientCredentials');
  assert.deepEqual([auth.grant.authority, auth.grant.clientId], [{ kind: 'tenant', tenantId: id }, id]);
});

test('filters take what their patterns say, each its own part of the mail', () => {
  const { filters, rules, unmatchedMails } = good({
    ...base,
    fromFilter: ' *@example.com, !noreply@* ',
    toFilter: 'orders@*',
    subjectFilter: 'invoice',
    unmatchedMails: 'markRead',
    attachmentFilter: '*.pdf, !logo*',
    unpackWinmail: 'false',
  });
  assert.equal(filters?.from?.(['ann@EXAMPLE.com']), true);
  assert.equal(filters?.from?.(['noreply@example.com']), false);
  assert.equal(filters?.to?.(['x@example.com', 'orders@example.com']), true);
  assert.equal(filters?.subject?.(['Your Invoice 7']), true);
  assert.equal(filters?.subject?.(['']), false);
  assert.equal(rules.attachmentFilter?.('A.PDF'), true);
  assert.equal(rules.attachmentFilter?.('logo.pdf'), false);
  assert.equal(rules.unpackWinmail, false);
  assert.equal(unmatchedMails, 'markRead');

  const one = good({ ...base, subjectFilter: 'invoice' });
  assert.equal(one.filters?.from, undefined);
  assert.equal(good({ ...base, fromFilter: '', toFilter: ' ' }).filters, undefined);
  assert.equal(good({ ...base, subjectFilter: ' invoice' }).filters?.fingerprint, one.filters?.fingerprint);
  assert.notEqual(good({ ...base, toFilter: 'invoice' }).filters?.fingerprint, one.filters?.fingerprint);
});

test('mails may be moved to another folder', () => {
  assert.equal(good({ ...base, moveToFolder: 'Erledigt/2026 ' }).moveToFolder, 'Erledigt/2026 ');
  assert.equal(good({ ...base, moveToFolder: 'INBOX', folder: 'New' }).moveToFolder, 'INBOX');
});

test('user name and password keep the white space around them', () => {
  const config = good({ ...base, username: ' u ', password: ' p\t' });
  assert.equal(config.username, ' u ');
  assert.deepEqual(config.auth, { kind: 'password', password: ' p\t' });
});

test('hosts may be names, also international ones, and IP addresses', () => {
  for (const [text, host] of [
    ['localhost', 'localhost'],
    ['mail1', 'mail1'],
    ['192.0.2.1', '192.0.2.1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['::1', '::1'],
    ['mail_1.example.com', 'mail_1.example.com'],
    ['münchen.example', 'xn--mnchen-3ya.example'],
  ]) {
    assert.equal(good({ ...base, host: text }).host, host);
  }
});

test('an unknown column is ignored by the poll and refused over HTTP', () => {
  const noted = { ...base, notes: 'ask Ann', nextRunAt: 'x', timestamp: 't', etag: 'e', 'odata.etag': 'e' };
  good(noted);
  assert.deepEqual(wrong(noted, true), {
    notes: '"notes" is not a column of a connection; leave it out.',
    nextRunAt: '"nextRunAt" is written by the app and can not be set; leave it out.',
    timestamp: '"timestamp" is not a column of a connection; leave it out.',
    etag: '"etag" is not a column of a connection; leave it out.',
    'odata.etag': '"odata.etag" is not a column of a connection; leave it out.',
  });
});

test('an interval beyond what a date can hold is as good as never', () => {
  assert.deepEqual(good({ ...base, pollingIntervalSeconds: Number.MAX_SAFE_INTEGER }).schedule, {
    kind: 'interval',
    intervalSeconds: 2_147_483_647,
  });
});

type Refused = readonly [columns: Entity, ...sentences: string[]];

const hostRule = 'a host name or IP address, without scheme, port or path';
const intervalRule = 'a whole number of at least 60';
const lineRule = 'text of at most 1024 characters without line breaks or NUL';
const secretRule = 'text of at most 8192 characters without line breaks or NUL';
const pemRule = 'one or more certificates in PEM, without a private key';
const keyRule = '1 to 63 letters, digits, dots, underscores or hyphens, beginning with a letter or digit';
const patternsRule = 'patterns of at most 4096 characters, separated by commas, such as';

/** Values that are wrong by themselves, as the sentence shows them, and what the column must be. */
const wrongValues: readonly (readonly [column: string, value: unknown, shown: string, rule: string])[] = [
  ['pollingIntervalSeconds', 30, '30', intervalRule],
  ['pollingIntervalSeconds', 90.5, '90.5', intervalRule],
  ['pollingIntervalSeconds', 'often', '"often"', intervalRule],
  ['port', 0, '0', 'a whole number from 1 to 65535'],
  ['port', '65536', '65536', 'a whole number from 1 to 65535'],
  ['enabled', 'maybe', '"maybe"', 'true or false'],
  ['useSsl', 1, '1', 'true or false'],
  ['host', 'imaps://mail.example.com', '"imaps://mail.example.com"', hostRule],
  ['host', 'mail.example.com:993', '"mail.example.com:993"', hostRule],
  ['host', 'mail.example.com/x', '"mail.example.com/x"', hostRule],
  ['host', 'mail example', '"mail example"', hostRule],
  ['host', 'mail\r\nexample', '"mail\\r\\nexample"', hostRule],
  ['host', '0x7f.1', '"0x7f.1"', hostRule],
  ['host', '2130706433', '"2130706433"', hostRule],
  ['host', 'fe80::1%eth0', '"fe80::1%eth0"', hostRule],
  ['host', { a: 1 }, 'of type object', hostRule],
  ['hostType', 'SMTP', '"SMTP"', 'IMAP or POP3'],
  ['fromFilter', ',', '","', `${patternsRule} *@example.com, !noreply@*`],
  ['toFilter', 'a, !', '"a, !"', `${patternsRule} orders@example.com, orders+*@example.com`],
  ['subjectFilter', '! ', '"!"', `${patternsRule} order, invoice, !out of office`],
  ['attachmentFilter', ', ,', '", ,"', `${patternsRule} *.pdf, *.xml, !logo*`],
  ['unmatchedMails', 'delete', '"delete"', 'leave or markRead'],
  ['unpackWinmail', 'yes', '"yes"', 'true or false'],
  ['moveToFolder', 'A\rB', '"A\\rB"', lineRule],
  ['username', 'u\r\nA1 LOGOUT', '"u\\r\\nA1 LOGOUT"', lineRule],
  ['folder', 'INBOX\0', '"INBOX\\u0000"', lineRule],
  ['password', 'hunter2\r\nDELE 1', 'not valid', secretRule],
  ['password', 12345678, 'a number', secretRule],
  ['username', 1001n, 'a number', lineRule],
  ['timeZone', 'UTC\u200b', '"UTC\\u200b"', 'an IANA time zone, such as Europe/Berlin'],
  ['timeZone', 'Mars/Base', '"Mars/Base"', 'an IANA time zone, such as Europe/Berlin'],
  ['timeZone', '+01:00', '"+01:00"', 'an IANA time zone, such as Europe/Berlin'],
  ['caCertificate', 'MIIB', 'not valid', pemRule],
  ['caCertificate', caPem.replace('MIIB', 'AAAA'), 'not valid', pemRule],
  ['caCertificate', `${caPem}-----BEGIN PRIVATE KEY-----`, 'not valid', pemRule],
  ['bodyFormat', 'rtf', '"rtf"', 'text, html or eml'],
  ['sessions', 'one', '"one"', 'none, connection or mail'],
  ['authType', 'ntlm', '"ntlm"', 'password or oauth2'],
  [
    'queueName',
    '/orders',
    '"/orders"',
    'the name of a Service Bus queue or topic (at most 260 letters, digits, and any of . - _ / between them)',
  ],
  ['PartitionKey', 'a/b', '"a/b"', keyRule],
  ['RowKey', '..', '".."', keyRule],
];

/** What a connection without a password names in its place, and the sentence about it. */
const wrongSettings: Readonly<Record<string, string>> = {
  MAILBOX_NOT_THERE:
    'names the app setting MAILBOX_NOT_THERE, which does not exist or is empty; add it to the function app.',
  MAILBOX_EMPTY:
    'names the app setting MAILBOX_EMPTY, which does not exist or is empty; add it to the function app.',
  MAILBOX_UNRESOLVED:
    "names the app setting MAILBOX_UNRESOLVED, whose Key Vault reference is not resolved; check the reference and that the app's identity may read the secret.",
  MAILBOX_TWO_LINES: `names the app setting MAILBOX_TWO_LINES, whose value must be ${secretRule}; store it so.`,
  'my p@ssword!':
    'is not valid; it must be the name of an app setting (letters, digits, and any of _ . : -).',
  ...Object.fromEntries(
    ['AzureWebJobsStorage', 'APPSETTING_AzureWebJobsStorage', 'mailbox_PW', 'hunter2'].map((name) => [
      name,
      'names an app setting that does not begin with MAILBOX_; rename the setting so, since only those may be used as secrets (SECRET_SETTINGS_PREFIX).',
    ]),
  ),
};
const wrongVaultSecrets: Readonly<Record<string, string>> = {
  mailbox_pw:
    'is not valid; it must be the name of a secret in Key Vault (1 to 127 letters, digits or hyphens).',
  'storage-key':
    'names a secret that does not begin with mailbox-; rename the secret so, since only those may be used (SECRETS_VAULT_PREFIX).',
};

const sameFolder = 'moveToFolder is the folder that is polled; it must be another one.';

/** Columns over those of a working connection, and the sentences about them. */
const refused: readonly Refused[] = [
  ...wrongValues.map(
    ([column, value, shown, rule]): Refused => [
      { [column]: value },
      `${column} is ${shown}; it must be ${rule}.`,
    ],
  ),
  ...Object.entries(wrongSettings).map(
    ([passwordSetting, says]): Refused => [
      { password: undefined, passwordSetting },
      `passwordSetting ${says}`,
    ],
  ),
  ...Object.entries(wrongVaultSecrets).map(
    ([passwordVaultSecret, says]): Refused => [
      { password: undefined, passwordVaultSecret },
      `passwordVaultSecret ${says}`,
    ],
  ),
  ...['passwordSetting', 'passwordVaultSecret'].map(
    (name): Refused => [
      { [name]: 'MAILBOX-PW' },
      `${name} is given together with password; only one of them may be given.`,
    ],
  ),
  ...['fromFilter', 'toFilter', 'subjectFilter', 'moveToFolder'].map(
    (name): Refused => [
      { hostType: 'POP3', [name]: 'x' },
      `${name} is given while hostType is POP3; it must be left out, since only IMAP has it.`,
    ],
  ),
  [{ moveToFolder: 'inbox' }, sameFolder],
  [{ moveToFolder: 'INBOX', folder: 'inbox' }, sameFolder],
  [{ moveToFolder: 'Done', folder: 'Done' }, sameFolder],
  [{ host: '' }, `host is missing; it must be ${hostRule}.`],
  [{ hostType: undefined }, 'hostType is missing; it must be IMAP or POP3.'],
  [{ username: undefined }, `username is missing; it must be ${lineRule}.`],
  [{ RowKey: undefined }, `RowKey is missing; it must be ${keyRule}.`],
  [
    { moveToFolder: 'Done', deleteMessages: true },
    'moveToFolder is given while deleteMessages is true; only one of them may say what becomes of a delivered mail.',
  ],
  [
    { hostType: 'POP3', unmatchedMails: 'markRead' },
    'unmatchedMails is markRead while hostType is POP3; it must be left out, since POP3 has no read mark.',
  ],
  [
    { password: undefined },
    'password is missing; it, passwordSetting or passwordVaultSecret must be given with authType=password.',
  ],
  [
    { password: '@Microsoft.KeyVault(SecretUri=https://v/s)' },
    'password is a Key Vault reference, which works in app settings only; put it into one and name that in passwordSetting, or name the secret in passwordVaultSecret.',
  ],
  [{ startTls: true }, 'startTls is true while useSsl is true; it must be false unless useSsl is false.'],
  [
    { cron: '0 6 * * *', pollingIntervalSeconds: 60 },
    'cron is given together with pollingIntervalSeconds; only one of them may be given.',
  ],
  [
    { cron: '0 0 6 * * *' },
    'cron is "0 0 6 * * *"; it must have five fields (minute, hour, day of month, month, day of week).',
  ],
  [
    { cron: `${'5,'.repeat(130)}5 * * * *` },
    `cron is "${'5,'.repeat(40)}…"; it must have at most 256 characters.`,
  ],
  [{ cron: '0 0 30 2 *' }, 'cron is "0 0 30 2 *"; it must name a time that comes.'],
  [
    { sendAttachments: 'false', sendMessageBody: false },
    'sendMessageBody and sendAttachments are both false; one of them must be true, or mail would be consumed and nothing sent.',
  ],
  ...['thief.example', 'outlook.office365.com.thief.example', 'own.example', '192.0.2.1', 'localhost'].map(
    (host): Refused => [
      { ...identity, host },
      "oauth2Grant is managedIdentity, and a token of the app's identity goes to Microsoft's mail hosts only, such as outlook.office365.com; correct host, or add it to the app setting MANAGED_IDENTITY_HOSTS.",
    ],
  ),
  [
    { ...identity, host: 'outlook.office365.com', useSsl: false },
    "oauth2Grant is managedIdentity, and a token of the app's identity is sent over TLS only; set useSsl or startTls to true.",
  ],
  [oauth2, 'oauth2Grant is missing; it must be given with authType=oauth2.'],
  [
    { ...oauth2, oauth2Grant: 'password' },
    'oauth2Grant is "password"; it must be clientCredentials, refreshToken or managedIdentity.',
  ],
  ...Object.entries({ clientCredentials: 'oauth2ClientSecret', refreshToken: 'oauth2RefreshToken' }).map(
    ([grant, secret]): Refused => [
      { ...oauth2, oauth2Grant: grant },
      `oauth2ClientId is missing; it must be given with oauth2Grant=${grant}.`,
      `oauth2TenantId is missing; it or oauth2TokenEndpoint must be given with oauth2Grant=${grant}.`,
      `${secret} is missing; it, ${secret}Setting or ${secret}VaultSecret must be given with oauth2Grant=${grant}.`,
    ],
  ),
  [
    { ...entra, oauth2TokenEndpoint: 'https://id.example.com/token' },
    'oauth2TokenEndpoint is given together with oauth2TenantId; only one of them may be given.',
  ],
  [
    { ...entra, oauth2ClientSecretSetting: 'MAILBOX_PW' },
    'oauth2ClientSecretSetting is given together with oauth2ClientSecret; only one of them may be given.',
  ],
  ...['../common', 'common/oauth2'].map(
    (oauth2TenantId): Refused => [
      { ...entra, oauth2TenantId },
      `oauth2TenantId is "${oauth2TenantId}"; it must be an Entra tenant: its id or one of its domain names.`,
    ],
  ),
  ...[
    'http://id.example.com/token',
    'http://127.0.0.1.example.com/',
    'ftp://localhost/',
    'https://user:pw@id.example.com/',
    'https://user@id.example.com/',
    'x',
  ].map(
    (oauth2TokenEndpoint): Refused => [
      { ...endpoint, oauth2TokenEndpoint },
      'oauth2TokenEndpoint is not valid; it must be an https URL without user name or fragment (http only on loopback).',
    ],
  ),
];

for (const [columns, ...sentences] of refused) {
  test(`refused: ${sentences[0]?.slice(0, 80)}`, () => {
    assert.deepEqual(Object.values(wrong({ ...base, ...columns })), sentences);
  });
}

test('over HTTP the keys are called customer and connection', () => {
  assert.deepEqual(Object.keys(wrong({ ...base, PartitionKey: '', RowKey: 'a b' }, true)), [
    'customer',
    'connection',
  ]);
});

test('each of several wrong columns gets its own sentence', () => {
  const columns = wrong({ hostType: 'x', port: 'y', cron: 'z', startTls: true });
  assert.deepEqual(Object.keys(columns).sort(), [
    'PartitionKey',
    'RowKey',
    'cron',
    'host',
    'hostType',
    'password',
    'port',
    'startTls',
    'username',
  ]);
});

test('of a column that is wrong by itself and in its company, the first is said', () => {
  const { cron } = wrong({ ...base, cron: 'z', pollingIntervalSeconds: 60 });
  assert.match(cron ?? '', /^cron is "z"; /);
});

test('a password comes from the app setting that is named, also by the name that Linux makes of it, and nothing is one by inheritance', () => {
  const env = { MAILBOX_orders_pass__word: 'portal' };
  const of = (name: string, prefix = 'MAILBOX_') =>
    decodeConnection(
      { ...base, password: '', passwordSetting: name },
      { settingsPrefix: prefix, readSetting: settingsOf(env) },
    );
  const decoded = of('MAILBOX_orders.pass:word');
  assert.ok(decoded.ok && decoded.config.auth.kind === 'password');
  assert.equal(decoded.config.auth.password, 'portal');
  for (const name of ['constructor', 'toString', '__proto__']) assert.equal(of(name, name).ok, false, name);
  assert.equal(of('MAILBOX_orders_pass__word', 'MAILBOX_orders.').ok, false);
});

test('a secret in Key Vault is known by its name alone; without a vault the column says so', () => {
  const named = { ...base, password: '', passwordVaultSecret: 'Mailbox-orders' };
  assert.deepEqual(good(named).auth, {
    kind: 'password',
    password: { vaultSecret: 'Mailbox-orders', column: 'passwordVaultSecret' },
  });
  const without = decodeConnection(named, { settingsPrefix: 'MAILBOX_', readSetting: () => undefined });
  assert.deepEqual(without.ok || without.errors.map(({ message }) => message), [
    'passwordVaultSecret names a secret in Key Vault, and the app has no vault; set the app setting SECRETS_VAULT to its address.',
  ]);
  const token = {
    ...oauth2,
    oauth2Grant: 'refreshToken',
    oauth2TenantId: 'example.com',
    oauth2ClientId: 'client',
    oauth2ClientSecretVaultSecret: 'mailbox-client',
    oauth2RefreshTokenVaultSecret: 'mailbox-token',
  };
  const { auth } = good(token);
  assert.ok(auth.kind === 'oauth2' && auth.grant.kind === 'refreshToken');
  assert.deepEqual(auth.grant.clientSecret, {
    vaultSecret: 'mailbox-client',
    column: 'oauth2ClientSecretVaultSecret',
  });
  assert.equal(auth.grant.refreshTokenFrom, 'vault');
  assert.deepEqual(
    Object.values(wrong({ ...token, oauth2RefreshToken: 'x', oauth2RefreshTokenSetting: 'X' })),
    [
      'oauth2RefreshTokenSetting is given together with oauth2RefreshToken; only one of them may be given.',
      'oauth2RefreshTokenVaultSecret is given together with oauth2RefreshToken; only one of them may be given.',
    ],
  );
});

test('client credentials: a tenant brings the scope of Exchange Online, an endpoint brings none', () => {
  assert.deepEqual(good(entra).auth, {
    kind: 'oauth2',
    grant: {
      kind: 'clientCredentials',
      authority: { kind: 'tenant', tenantId: 'example.onmicrosoft.com' },
      clientId: 'client',
      clientSecret: 'client secret',
      scope: 'https://outlook.office365.com/.default',
    },
  });
  const other = {
    ...endpoint,
    oauth2TokenEndpoint: 'https://id.example.com/token',
    oauth2ClientSecret: undefined,
    oauth2ClientSecretSetting: 'MAILBOX_PW',
  };
  assert.deepEqual(good(other).auth, {
    kind: 'oauth2',
    grant: {
      kind: 'clientCredentials',
      authority: { kind: 'endpoint', url: 'https://id.example.com/token' },
      clientId: 'client',
      clientSecret: 'pw from a setting',
    },
  });
});

test('refresh token: the client secret is optional, and where the token stands is known', () => {
  const google = {
    ...oauth2,
    oauth2Grant: 'refreshToken',
    oauth2TokenEndpoint: 'http://127.0.0.1:8080/token',
    oauth2ClientId: 'client',
    oauth2RefreshToken: 'rt',
    oauth2Scope: 'https://mail.google.com/',
  };
  assert.deepEqual(good(google).auth, {
    kind: 'oauth2',
    grant: {
      kind: 'refreshToken',
      authority: { kind: 'endpoint', url: 'http://127.0.0.1:8080/token' },
      clientId: 'client',
      refreshToken: 'rt',
      refreshTokenFrom: 'column',
      scope: 'https://mail.google.com/',
    },
  });
  const { auth } = good({ ...google, oauth2RefreshToken: '', oauth2RefreshTokenSetting: 'MAILBOX_PW' });
  assert.ok(auth.kind === 'oauth2' && auth.grant.kind === 'refreshToken');
  assert.equal(auth.grant.refreshTokenFrom, 'setting');
});

test('managed identity needs nothing more, and may be one of several', () => {
  const scope = 'https://outlook.office365.com/.default';
  const grant = { kind: 'managedIdentity', scope };
  const exchange = { ...identity, host: 'outlook.office365.com' };
  assert.deepEqual(good(exchange).auth, { kind: 'oauth2', grant });
  const named = { ...grant, clientId: 'second' };
  assert.deepEqual(good({ ...exchange, oauth2ClientId: 'second' }).auth, { kind: 'oauth2', grant: named });
  assert.equal(good({ ...exchange, useSsl: false, startTls: true }).security, 'starttls');
  for (const host of [
    'Outlook.Office365.com',
    'outlook.office365.us',
    'partner.outlook.cn',
    'relay.own.example',
  ]) {
    assert.equal(good({ ...identity, host }).auth.kind, 'oauth2', host);
  }
});

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

test('every column is taken', () => {
  const config = good({
    ...base,
    enabled: false,
    port: 1143,
    useSsl: false,
    startTls: true,
    caCertificate: caPem + caPem,
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
  assert.equal(config.enabled, false);
  assert.equal(config.port, 1143);
  assert.equal(config.security, 'starttls');
  assert.equal(config.caCertificate, caPem + caPem);
  assert.deepEqual(config.rules, {
    sendBody: true,
    sendAttachments: false,
    inlineAttachments: true,
    bodyFormat: 'eml',
    unpackWinmail: true,
  });
  assert.equal(config.deleteMails, true);
  assert.deepEqual(config.schedule, { kind: 'cron', cron: '*/5 * * * *', timeZone: 'Europe/Berlin' });
  assert.equal(config.useProcessLock, true);
  assert.equal(config.folder, 'In Box/Ünread');
  assert.equal(config.queueName, 'orders');
  assert.equal(config.sessions, 'mail');
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

const hostRule = 'it must be a host name or IP address, without scheme, port or path.';
const settingRule =
  'passwordSetting is not valid; it must be the name of an app setting (letters, digits, and any of _ . : -).';

const foreignSetting =
  'passwordSetting names an app setting that does not begin with MAILBOX_; rename the setting so, since only those may be used as secrets (SECRET_SETTINGS_PREFIX).';

const refused: readonly (readonly [Entity, string])[] = [
  [{ pollingIntervalSeconds: 30 }, 'pollingIntervalSeconds is 30; it must be a whole number of at least 60.'],
  [
    { pollingIntervalSeconds: 90.5 },
    'pollingIntervalSeconds is 90.5; it must be a whole number of at least 60.',
  ],
  [
    { pollingIntervalSeconds: 'often' },
    'pollingIntervalSeconds is "often"; it must be a whole number of at least 60.',
  ],
  [{ port: 0 }, 'port is 0; it must be a whole number from 1 to 65535.'],
  [{ port: '65536' }, 'port is 65536; it must be a whole number from 1 to 65535.'],
  [{ enabled: 'maybe' }, 'enabled is "maybe"; it must be true or false.'],
  [{ useSsl: 1 }, 'useSsl is 1; it must be true or false.'],
  [{ host: '' }, 'host is missing; it must be a host name or IP address, without scheme, port or path.'],
  [{ host: 'imaps://mail.example.com' }, `host is "imaps://mail.example.com"; ${hostRule}`],
  [{ host: 'mail.example.com:993' }, `host is "mail.example.com:993"; ${hostRule}`],
  [{ host: 'mail.example.com/x' }, `host is "mail.example.com/x"; ${hostRule}`],
  [{ host: 'mail example' }, `host is "mail example"; ${hostRule}`],
  [{ host: 'mail\r\nexample' }, `host is "mail\\r\\nexample"; ${hostRule}`],
  [{ host: '0x7f.1' }, `host is "0x7f.1"; ${hostRule}`],
  [{ host: '2130706433' }, `host is "2130706433"; ${hostRule}`],
  [{ host: 'fe80::1%eth0' }, `host is "fe80::1%eth0"; ${hostRule}`],
  [{ host: { a: 1 } }, `host is of type object; ${hostRule}`],
  [{ hostType: 'SMTP' }, 'hostType is "SMTP"; it must be IMAP or POP3.'],
  [{ hostType: undefined }, 'hostType is missing; it must be IMAP or POP3.'],
  ...[
    ['fromFilter', ',', '*@example.com, !noreply@*'],
    ['toFilter', 'a, !', 'orders@example.com, orders+*@example.com'],
    ['subjectFilter', '! ', 'order, invoice, !out of office'],
    ['attachmentFilter', ', ,', '*.pdf, *.xml, !logo*'],
  ].map(([name = '', text = '', example]): readonly [Entity, string] => [
    { [name]: text },
    `${name} is ${JSON.stringify(text.trim())}; it must be patterns of at most 4096 characters, separated by commas, such as ${example}.`,
  ]),
  [{ unmatchedMails: 'delete' }, 'unmatchedMails is "delete"; it must be leave or markRead.'],
  [{ unpackWinmail: 'yes' }, 'unpackWinmail is "yes"; it must be true or false.'],
  [
    { moveToFolder: 'A\r\nB' },
    'moveToFolder is "A\\r\\nB"; it must be text of at most 1024 characters without line breaks or NUL.',
  ],
  [
    { moveToFolder: 'Done', deleteMessages: true },
    'moveToFolder is given while deleteMessages is true; only one of them may say what becomes of a delivered mail.',
  ],
  [{ moveToFolder: 'inbox' }, 'moveToFolder is the folder that is polled; it must be another one.'],
  [
    { moveToFolder: 'Done', folder: 'Done' },
    'moveToFolder is the folder that is polled; it must be another one.',
  ],
  ...['fromFilter', 'toFilter', 'subjectFilter', 'moveToFolder'].map((name): readonly [Entity, string] => [
    { hostType: 'POP3', [name]: 'x' },
    `${name} is given while hostType is POP3; it must be left out, since only IMAP has it.`,
  ]),
  [
    { hostType: 'POP3', unmatchedMails: 'markRead' },
    'unmatchedMails is markRead while hostType is POP3; it must be left out, since POP3 has no read mark.',
  ],
  [
    { username: undefined },
    'username is missing; it must be text of at most 1024 characters without line breaks or NUL.',
  ],
  [
    { username: 'u\r\nA1 LOGOUT' },
    'username is "u\\r\\nA1 LOGOUT"; it must be text of at most 1024 characters without line breaks or NUL.',
  ],
  [
    { folder: 'INBOX\0' },
    'folder is "INBOX\\u0000"; it must be text of at most 1024 characters without line breaks or NUL.',
  ],
  [
    { password: 'hunter2\r\nDELE 1' },
    'password is not valid; it must be text of at most 8192 characters without line breaks or NUL.',
  ],
  [
    { password: 12345678 },
    'password is not valid; it must be text of at most 8192 characters without line breaks or NUL.',
  ],
  [
    { password: undefined },
    'password is missing; it, passwordSetting or passwordVaultSecret must be given with authType=password.',
  ],
  [
    { passwordSetting: 'MAILBOX_PW' },
    'passwordSetting is given together with password; only one of them may be given.',
  ],
  [
    { password: '@Microsoft.KeyVault(SecretUri=https://v/s)' },
    'password is a Key Vault reference, which works in app settings only; put it into one and name that in passwordSetting, or name the secret in passwordVaultSecret.',
  ],
  [
    { password: undefined, passwordSetting: 'MAILBOX_NOT_THERE' },
    'passwordSetting names the app setting MAILBOX_NOT_THERE, which does not exist or is empty; add it to the function app.',
  ],
  [
    { password: undefined, passwordSetting: 'MAILBOX_EMPTY' },
    'passwordSetting names the app setting MAILBOX_EMPTY, which does not exist or is empty; add it to the function app.',
  ],
  [
    { password: undefined, passwordSetting: 'MAILBOX_UNRESOLVED' },
    "passwordSetting names the app setting MAILBOX_UNRESOLVED, whose Key Vault reference is not resolved; check the reference and that the app's identity may read the secret.",
  ],
  [
    { password: undefined, passwordSetting: 'MAILBOX_TWO_LINES' },
    'passwordSetting names the app setting MAILBOX_TWO_LINES, whose value must be text of at most 8192 characters without line breaks or NUL; store it so.',
  ],
  [{ password: undefined, passwordSetting: 'my p@ssword!' }, settingRule],
  [{ password: undefined, passwordSetting: 'AzureWebJobsStorage' }, foreignSetting],
  [{ password: undefined, passwordSetting: 'APPSETTING_AzureWebJobsStorage' }, foreignSetting],
  [{ password: undefined, passwordSetting: 'mailbox_PW' }, foreignSetting],
  [{ password: undefined, passwordSetting: 'hunter2' }, foreignSetting],
  [
    { passwordVaultSecret: 'mailbox-pw' },
    'passwordVaultSecret is given together with password; only one of them may be given.',
  ],
  [
    { password: undefined, passwordVaultSecret: 'mailbox_pw' },
    'passwordVaultSecret is not valid; it must be the name of a secret in Key Vault (1 to 127 letters, digits or hyphens).',
  ],
  [
    { password: undefined, passwordVaultSecret: 'storage-key' },
    'passwordVaultSecret names a secret that does not begin with mailbox-; rename the secret so, since only those may be used (SECRETS_VAULT_PREFIX).',
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
  [{ cron: '0 0 30 2 *' }, 'cron is "0 0 30 2 *"; it must name a time that comes.'],
  [
    { timeZone: 'Mars/Base' },
    'timeZone is "Mars/Base"; it must be an IANA time zone, such as Europe/Berlin.',
  ],
  [{ timeZone: '+01:00' }, 'timeZone is "+01:00"; it must be an IANA time zone, such as Europe/Berlin.'],
  [
    { sendAttachments: 'false', sendMessageBody: false },
    'sendMessageBody and sendAttachments are both false; one of them must be true, or mail would be consumed and nothing sent.',
  ],
  [
    { caCertificate: 'MIIB' },
    'caCertificate is not valid; it must be one or more certificates in PEM, without a private key.',
  ],
  [
    { caCertificate: caPem.replace('MIIB', 'AAAA') },
    'caCertificate is not valid; it must be one or more certificates in PEM, without a private key.',
  ],
  [
    { caCertificate: `${caPem}-----BEGIN PRIVATE KEY-----` },
    'caCertificate is not valid; it must be one or more certificates in PEM, without a private key.',
  ],
  [{ bodyFormat: 'rtf' }, 'bodyFormat is "rtf"; it must be text, html or eml.'],
  [{ sessions: 'one' }, 'sessions is "one"; it must be none, connection or mail.'],
  [{ authType: 'ntlm' }, 'authType is "ntlm"; it must be password or oauth2.'],
  [
    { queueName: '/orders' },
    'queueName is "/orders"; it must be the name of a Service Bus queue or topic (at most 260 letters, digits, and any of . - _ / between them).',
  ],
  [
    { PartitionKey: 'a/b' },
    'PartitionKey is "a/b"; it must be 1 to 63 letters, digits, dots, underscores or hyphens, beginning with a letter or digit.',
  ],
  [
    { RowKey: '..' },
    'RowKey is ".."; it must be 1 to 63 letters, digits, dots, underscores or hyphens, beginning with a letter or digit.',
  ],
  [
    { RowKey: undefined },
    'RowKey is missing; it must be 1 to 63 letters, digits, dots, underscores or hyphens, beginning with a letter or digit.',
  ],
];

for (const [columns, sentence] of refused) {
  test(`refused: ${sentence.slice(0, 80)}`, () => {
    assert.deepEqual(Object.values(wrong({ ...base, ...columns })), [sentence]);
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

test('a password comes from the app setting that passwordSetting names', () => {
  const config = good({ ...base, password: '', passwordSetting: 'MAILBOX_PW' });
  assert.deepEqual(config.auth, { kind: 'password', password: 'pw from a setting' });
});

test('a setting is found by the name that Linux makes of it, and nothing is one by inheritance', () => {
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

test('a mangled PEM is put right', () => {
  const config = good({ ...base, caCertificate: `"${caPem.replaceAll('\n', '\\n')}"` });
  assert.equal(config.caCertificate, caPem);
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
  const endpoint = {
    ...entra,
    oauth2TenantId: undefined,
    oauth2TokenEndpoint: 'https://id.example.com/token',
    oauth2ClientSecret: undefined,
    oauth2ClientSecretSetting: 'MAILBOX_PW',
  };
  assert.deepEqual(good(endpoint).auth, {
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

test('managed identity needs nothing more', () => {
  const scope = 'https://outlook.office365.com/.default';
  const grant = { kind: 'managedIdentity', scope };
  const identity = { ...oauth2, oauth2Grant: 'managedIdentity', host: 'outlook.office365.com' };
  assert.deepEqual(good(identity).auth, { kind: 'oauth2', grant });
  assert.equal(good({ ...identity, useSsl: false, startTls: true }).security, 'starttls');
  for (const host of [
    'Outlook.Office365.com',
    'outlook.office365.us',
    'partner.outlook.cn',
    'relay.own.example',
  ]) {
    assert.equal(good({ ...identity, host }).auth.kind, 'oauth2', host);
  }
});

const endpointRule =
  'oauth2TokenEndpoint is not valid; it must be an https URL without user name or fragment (http only on loopback).';

const identityHosts =
  "oauth2Grant is managedIdentity, and a token of the app's identity goes to Microsoft's mail hosts only, such as outlook.office365.com; correct host, or add it to the app setting MANAGED_IDENTITY_HOSTS.";

const oauth2Refused: readonly (readonly [Entity, readonly string[]])[] = [
  ...['thief.example', 'outlook.office365.com.thief.example', 'own.example', '192.0.2.1', 'localhost'].map(
    (host): readonly [Entity, readonly string[]] => [
      { ...oauth2, oauth2Grant: 'managedIdentity', host },
      [identityHosts],
    ],
  ),
  [
    { ...oauth2, oauth2Grant: 'managedIdentity', host: 'outlook.office365.com', useSsl: false },
    [
      "oauth2Grant is managedIdentity, and a token of the app's identity is sent over TLS only; set useSsl or startTls to true.",
    ],
  ],
  [oauth2, ['oauth2Grant is missing; it must be given with authType=oauth2.']],
  [
    { ...oauth2, oauth2Grant: 'password' },
    ['oauth2Grant is "password"; it must be clientCredentials, refreshToken or managedIdentity.'],
  ],
  [
    { ...oauth2, oauth2Grant: 'clientCredentials' },
    [
      'oauth2ClientId is missing; it must be given with oauth2Grant=clientCredentials.',
      'oauth2TenantId is missing; it or oauth2TokenEndpoint must be given with oauth2Grant=clientCredentials.',
      'oauth2ClientSecret is missing; it, oauth2ClientSecretSetting or oauth2ClientSecretVaultSecret must be given with oauth2Grant=clientCredentials.',
    ],
  ],
  [
    { ...oauth2, oauth2Grant: 'refreshToken' },
    [
      'oauth2ClientId is missing; it must be given with oauth2Grant=refreshToken.',
      'oauth2TenantId is missing; it or oauth2TokenEndpoint must be given with oauth2Grant=refreshToken.',
      'oauth2RefreshToken is missing; it, oauth2RefreshTokenSetting or oauth2RefreshTokenVaultSecret must be given with oauth2Grant=refreshToken.',
    ],
  ],
  [
    { ...entra, oauth2TokenEndpoint: 'https://id.example.com/token' },
    ['oauth2TokenEndpoint is given together with oauth2TenantId; only one of them may be given.'],
  ],
  [
    { ...entra, oauth2ClientSecretSetting: 'MAILBOX_PW' },
    ['oauth2ClientSecretSetting is given together with oauth2ClientSecret; only one of them may be given.'],
  ],
  [
    { ...entra, oauth2TenantId: '../common' },
    ['oauth2TenantId is "../common"; it must be an Entra tenant: its id or one of its domain names.'],
  ],
  ...[
    'http://id.example.com/token',
    'http://127.0.0.1.example.com/',
    'ftp://localhost/',
    'https://user:pw@id.example.com/',
    'x',
  ].map((url): readonly [Entity, readonly string[]] => [
    { ...entra, oauth2TenantId: undefined, oauth2TokenEndpoint: url },
    [endpointRule],
  ]),
];

for (const [entity, sentences] of oauth2Refused) {
  test(`refused: ${sentences[0]?.slice(0, 80)}`, () => {
    assert.deepEqual(Object.values(wrong(entity)), sentences);
  });
}

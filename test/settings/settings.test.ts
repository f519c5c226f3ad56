import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Env } from '../../shared/settings/reader.ts';
import { readSettings, type Settings } from '../../shared/settings/settings.ts';

const key = 'S3cretKeyThatMustNotShow==';
const storage = `DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=${key};EndpointSuffix=core.windows.net`;
const serviceBus = `Endpoint=sb://acme.servicebus.windows.net/;SharedAccessKeyName=app;SharedAccessKey=${key}`;
const base: Env = { AzureWebJobsStorage: storage, ServiceBusConnection: serviceBus };

function good(env: Env): Settings {
  const read = readSettings(env);
  assert.ok(read.ok, read.ok ? '' : read.failure.message);
  return read.settings;
}

function sentence(env: Env): string {
  const read = readSettings({ ...base, ...env });
  assert.ok(!read.ok);
  assert.equal(read.failure.reason, 'setting');
  assert.ok(!read.failure.message.includes(key));
  return read.failure.message;
}

test('two connection strings are enough; the rest has defaults', () => {
  assert.deepEqual(good(base), {
    storage: {
      ...{ kind: 'key', accountName: 'acme', accountKey: key },
      blobEndpoint: 'https://acme.blob.core.windows.net',
      queueEndpoint: 'https://acme.queue.core.windows.net',
      tableEndpoint: 'https://acme.table.core.windows.net',
    },
    serviceBus: { kind: 'connectionString', connectionString: `${serviceBus};`, transport: 'tcp' },
    queueName: 'email-inbound',
    maxMessageBytes: 4_194_304,
    maxMailBytes: 157_286_400,
    pollTimeBudgetMs: 240_000,
    retryMaxAgeMs: 144 * 3_600_000,
    denyPrivateNetworks: false,
    secretSettingsPrefix: 'MAILBOX_',
    secretsVaultPrefix: 'mailbox-',
    managedIdentityHosts: [],
    journal: 'full',
    mailHostsAllowed: undefined,
    secretsVault: undefined,
    applicationInsightsConnectionString: undefined,
    applicationInsightsIdentity: undefined,
  });
});

test('every setting is taken, with white space around it cut', () => {
  const settings = good({
    ...base,
    EMAIL_QUEUE_NAME: 'orders/mail',
    EMAIL_MAX_MESSAGE_BYTES: ' 200000 ',
    EMAIL_MAX_MAIL_BYTES: '1048576',
    POLL_TIME_BUDGET_SECONDS: '30',
    RETRY_MAX_AGE_HOURS: '0.5',
    MAIL_HOSTS_ALLOWED: 'Mail.Example.com, *.example.org,192.0.2.1,::1,',
    MAIL_DENY_PRIVATE_NETWORKS: 'True',
    SECRET_SETTINGS_PREFIX: 'Boxes.',
    SECRETS_VAULT: 'https://Acme.vault.azure.net/',
    SECRETS_VAULT_PREFIX: 'mail-',
    MANAGED_IDENTITY_HOSTS: 'Mail.Example.com, *.example.org',
    JOURNAL: 'IDs',
    APPLICATIONINSIGHTS_CONNECTION_STRING: 'InstrumentationKey=0;IngestionEndpoint=https://x/',
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=1234; authorization=aad;',
  });
  assert.deepEqual(settings, {
    ...good(base),
    queueName: 'orders/mail',
    maxMessageBytes: 200_000,
    maxMailBytes: 1_048_576,
    pollTimeBudgetMs: 30_000,
    retryMaxAgeMs: 1_800_000,
    mailHostsAllowed: ['mail.example.com', '*.example.org', '192.0.2.1', '::1'],
    denyPrivateNetworks: true,
    secretSettingsPrefix: 'Boxes.',
    secretsVault: 'https://acme.vault.azure.net',
    secretsVaultPrefix: 'mail-',
    managedIdentityHosts: ['mail.example.com', '*.example.org'],
    journal: 'ids',
    applicationInsightsConnectionString: 'InstrumentationKey=0;IngestionEndpoint=https://x/',
    applicationInsightsIdentity: { kind: 'managedIdentity', clientId: '1234' },
  });
});

const optional = [
  'EMAIL_QUEUE_NAME',
  'EMAIL_MAX_MESSAGE_BYTES',
  'POLL_TIME_BUDGET_SECONDS',
  'RETRY_MAX_AGE_HOURS',
  'MAIL_HOSTS_ALLOWED',
  'MAIL_DENY_PRIVATE_NETWORKS',
  'SECRET_SETTINGS_PREFIX',
  'SECRETS_VAULT',
  'SECRETS_VAULT_PREFIX',
  'MANAGED_IDENTITY_HOSTS',
  'JOURNAL',
  'APPLICATIONINSIGHTS_CONNECTION_STRING',
  'APPLICATIONINSIGHTS_AUTHENTICATION_STRING',
];

test('on a Node.js that is too old for the app, that is what is said', () => {
  for (const version of ['20.20.2', '18.20.8']) {
    const read = readSettings(base, version);
    const wanted = `This app needs Node.js 22 or later and runs on ${version}; choose a newer one in the function app's stack settings.`;
    assert.equal(read.ok ? '' : read.failure.message, wanted);
  }
  for (const version of ['22.18.0', '24.1.0', '100.0.0']) assert.ok(readSettings(base, version).ok, version);
});

test('empty settings count as missing', () => {
  assert.deepEqual(good({ ...base, ...Object.fromEntries(optional.map((name) => [name, ' '])) }), good(base));
});

test('the storage account by identity: its name stands for the three services', () => {
  const { storage: read } = good({
    ServiceBusConnection: serviceBus,
    AzureWebJobsStorage__accountName: 'acme',
    AzureWebJobsStorage__credential: 'managedidentity',
    AzureWebJobsStorage__clientId: 'client',
  });
  assert.deepEqual(read, {
    kind: 'identity',
    blobEndpoint: 'https://acme.blob.core.windows.net',
    queueEndpoint: 'https://acme.queue.core.windows.net',
    tableEndpoint: 'https://acme.table.core.windows.net',
    identity: { kind: 'managedIdentity', clientId: 'client' },
  });
});

test('the storage account by identity: its services by their addresses', () => {
  const env = {
    ServiceBusConnection: serviceBus,
    AzureWebJobsStorage__blobServiceUri: 'https://b.example.com/',
    AzureWebJobsStorage__queueServiceUri: 'https://q.example.com',
    AzureWebJobsStorage__tableServiceUri: 'https://t.example.com',
  };
  assert.deepEqual(good(env).storage, {
    kind: 'identity',
    blobEndpoint: 'https://b.example.com',
    queueEndpoint: 'https://q.example.com',
    tableEndpoint: 'https://t.example.com',
    identity: { kind: 'default' },
  });
  const missing = readSettings({ ...env, AzureWebJobsStorage__queueServiceUri: '' });
  assert.equal(
    missing.ok ? '' : missing.failure.message,
    'App setting AzureWebJobsStorage__queueServiceUri is missing; set it too, or AzureWebJobsStorage__accountName for all three.',
  );
});

test('Service Bus by identity, over TCP and over web sockets', () => {
  const env = {
    AzureWebJobsStorage: storage,
    ServiceBusConnection__fullyQualifiedNamespace: 'acme.servicebus.windows.net',
  };
  const byIdentity = {
    kind: 'identity',
    fullyQualifiedNamespace: 'acme.servicebus.windows.net',
    identity: { kind: 'default' },
    transport: 'tcp',
  };
  assert.deepEqual(good(env).serviceBus, byIdentity);
  const overWebSockets = good({ ...env, ServiceBusConnection__transportType: 'amqpWebSockets' });
  assert.deepEqual(overWebSockets.serviceBus, { ...byIdentity, transport: 'webSockets' });
});

test('a user-assigned identity is named by client, resource or object id', () => {
  const identity = (setting: string) => {
    const { serviceBus: read } = good({
      AzureWebJobsStorage: storage,
      ServiceBusConnection__fullyQualifiedNamespace: 'acme.example.com',
      [`ServiceBusConnection__${setting}`]: 'id',
    });
    return read.kind === 'identity' && read.identity;
  };
  const kind = 'managedIdentity';
  assert.deepEqual(identity('managedIdentityResourceId'), { kind, resourceId: 'id' });
  assert.deepEqual(identity('managedIdentityObjectId'), { kind, objectId: 'id' });
  assert.deepEqual(identity('clientId'), { kind: 'default', clientId: 'id' });
});

const secondsRule = 'a whole number of seconds from 2 to 86400';
const hostsRule = 'a comma-separated list of host names, IP addresses or patterns such as *.example.com';
const queueRule =
  'the name of a Service Bus queue or topic (at most 260 letters, digits, and any of . - _ / between them)';
const foreignRule = 'a beginning that no setting of the app or the platform has, and';
const insightsRule = 'Authorization=AAD, or Authorization=AAD;ClientId=…';
const namespaceRule = 'a host name such as example.servicebus.windows.net, without scheme or path';
const accountRule = 'a storage account name of 3 to 24 lower-case letters and digits';
const vaultRule = 'the address of a Key Vault, such as https://example.vault.azure.net';

/** A storage account and a namespace that are reached by an identity. */
const accountAlone = { AzureWebJobsStorage: '', AzureWebJobsStorage__accountName: 'acme' };
const namespaceAlone = {
  ServiceBusConnection: '',
  ServiceBusConnection__fullyQualifiedNamespace: 'acme.example.com',
};

/** Values that their sentences show, what they must be, and the settings beside. */
const wrongValues: readonly (readonly [name: string, value: string, rule: string, env?: Env])[] = [
  ['POLL_TIME_BUDGET_SECONDS', 'abc', secondsRule],
  ['POLL_TIME_BUDGET_SECONDS', '1', secondsRule],
  ['EMAIL_MAX_MAIL_BYTES', '1e9', 'a whole number of bytes from 1024 to 2147483648'],
  ['EMAIL_MAX_MESSAGE_BYTES', '1500.5', 'a whole number of bytes from 1024 to 104857600'],
  ['RETRY_MAX_AGE_HOURS', '-1', 'a number of hours from 0 to 87600'],
  ['MAIL_DENY_PRIVATE_NETWORKS', 'yes', 'true or false'],
  ['MAIL_HOSTS_ALLOWED', ',', hostsRule],
  ['MANAGED_IDENTITY_HOSTS', 'https://x', hostsRule],
  ['EMAIL_QUEUE_NAME', 'a queue', queueRule],
  ['JOURNAL', 'all', 'full, ids or off'],
  ['SECRET_SETTINGS_PREFIX', 'Azure', `${foreignRule} AzureWebJobs… has it`],
  ['SECRET_SETTINGS_PREFIX', 'servicebusconnection__', `${foreignRule} ServiceBusConnection… has it`],
  ['SECRET_SETTINGS_PREFIX', 'DOCKER_REGISTRY_SERVER_', `${foreignRule} DOCKER_… has it`],
  ['SECRET_SETTINGS_PREFIX', 'APPSETTING.', `${foreignRule} APPSETTING_… has it`],
  ['SECRET_SETTINGS_PREFIX', 'MYSQLCONNSTR_', `${foreignRule} MYSQLCONNSTR_… has it`],
  ['SECRET_SETTINGS_PREFIX', 'RedisCacheConnStr_mail', `${foreignRule} REDISCACHECONNSTR_… has it`],
  ['SECRET_SETTINGS_PREFIX', '*', "the beginning of an app setting's name, such as MAILBOX_"],
  ['SECRETS_VAULT_PREFIX', 'mail_', "the beginning of a secret's name: letters, digits and hyphens"],
  ['APPLICATIONINSIGHTS_AUTHENTICATION_STRING', 'Authorization=Basic', insightsRule],
  ['AzureWebJobsStorage__accountName', 'Not A Name', accountRule, { AzureWebJobsStorage: '' }],
  ['AzureWebJobsStorage__credential', 'mine', 'managedidentity, or left out', accountAlone],
  ['ServiceBusConnection__fullyQualifiedNamespace', 'sb://acme', namespaceRule, namespaceAlone],
  ['ServiceBusConnection__transportType', 'NetMessaging', 'Amqp or AmqpWebSockets', namespaceAlone],
];

const refused: readonly (readonly [Env, string])[] = [
  ...wrongValues.map(([name, value, rule, env]): readonly [Env, string] => [
    { ...env, [name]: value },
    `App setting ${name} is ${JSON.stringify(value)}; it must be ${rule}.`,
  ]),
  ...['acme', 'http://acme.vault.azure.net', 'http://127.0.0.1:8443'].map((url): readonly [Env, string] => [
    { SECRETS_VAULT: url },
    `App setting SECRETS_VAULT is not valid; it must be ${vaultRule}.`,
  ]),
  [
    { MAIL_HOSTS_ALLOWED: 'ok.example.com,https://x' },
    `App setting MAIL_HOSTS_ALLOWED is "https://x"; it must be ${hostsRule}.`,
  ],
  [
    { AzureWebJobsStorage: '', AzureWebJobsStorage__accountName: `AccountName=acme;AccountKey=${key}` },
    `App setting AzureWebJobsStorage__accountName is not valid; it must be ${accountRule}.`,
  ],
  [
    { ...namespaceAlone, ServiceBusConnection__fullyQualifiedNamespace: `SharedAccessKey = ${key}` },
    `App setting ServiceBusConnection__fullyQualifiedNamespace is not valid; it must be ${namespaceRule}.`,
  ],
  [
    { MAIL_HOSTS_ALLOWED: `https://x?sig=${key}` },
    `App setting MAIL_HOSTS_ALLOWED is not valid; it must be ${hostsRule}.`,
  ],
  [
    { APPLICATIONINSIGHTS_CONNECTION_STRING: key },
    'App setting APPLICATIONINSIGHTS_CONNECTION_STRING is not valid; it must be the connection string of an Application Insights resource (InstrumentationKey=…), or be left out.',
  ],
  [
    { AzureWebJobsStorage: '' },
    'App setting AzureWebJobsStorage is missing; set it to a storage connection string, or AzureWebJobsStorage__accountName to use a managed identity.',
  ],
  [
    { AzureWebJobsStorage: `AccountName=;AccountKey=${key}` },
    'App setting AzureWebJobsStorage is not valid: AccountName is missing; it must be a storage connection string (AccountName=…;AccountKey=…), "UseDevelopmentStorage=true", or be replaced by AzureWebJobsStorage__accountName.',
  ],
  ...[
    ...['AzureWebJobsStorage', 'ServiceBusConnection', 'APPLICATIONINSIGHTS_CONNECTION_STRING'],
    ...['EMAIL_QUEUE_NAME', 'POLL_TIME_BUDGET_SECONDS', 'MAIL_HOSTS_ALLOWED', 'SECRETS_VAULT', 'JOURNAL'],
  ].map((name): readonly [Env, string] => [
    { [name]: '@Microsoft.KeyVault(VaultName=v;SecretName=s)' },
    `App setting ${name} is a Key Vault reference that is not resolved; check the reference and that the app's identity may read the secret.`,
  ]),
  [
    { ...accountAlone, AzureWebJobsStorage__tableServiceUri: `https://t.example.com?sig=${key}` },
    'App setting AzureWebJobsStorage__tableServiceUri is not valid; it must be an https URL such as https://example.table.core.windows.net, without a query.',
  ],
  [
    { ServiceBusConnection: '' },
    'App setting ServiceBusConnection is missing; set it to a Service Bus connection string, or ServiceBusConnection__fullyQualifiedNamespace to use a managed identity.',
  ],
  [
    { ServiceBusConnection: `Endpoint=sb:///;SharedAccessKeyName=a;SharedAccessKey=${key}` },
    'App setting ServiceBusConnection is not valid: its Endpoint is no address such as sb://example.servicebus.windows.net/; it must be a Service Bus connection string (Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…), or be replaced by ServiceBusConnection__fullyQualifiedNamespace.',
  ],
  [
    {
      ...accountAlone,
      AzureWebJobsStorage__clientId: 'c',
      AzureWebJobsStorage__managedIdentityResourceId: 'r',
    },
    'App settings AzureWebJobsStorage__clientId and AzureWebJobsStorage__managedIdentityResourceId are both given; an identity is named by one of them.',
  ],
  [
    { ...accountAlone, AzureWebJobsStorage__clientSecret: key },
    'App setting AzureWebJobsStorage__clientSecret is not supported; remove it, and use a managed identity (AzureWebJobsStorage__credential = managedidentity) or a connection string.',
  ],
];

for (const [env, expected] of refused) {
  test(`${Object.keys(env).at(-1)} is refused: ${expected.slice(0, 70)}`, () => {
    assert.equal(sentence(env), expected);
  });
}

test('several wrong settings are named together', () => {
  const text = sentence({
    POLL_TIME_BUDGET_SECONDS: 'x',
    RETRY_MAX_AGE_HOURS: 'y',
    ServiceBusConnection: '',
  });
  for (const name of ['POLL_TIME_BUDGET_SECONDS', 'RETRY_MAX_AGE_HOURS', 'ServiceBusConnection']) {
    assert.ok(text.includes(`App setting ${name} is`), name);
  }
});

test('whatever the environment holds, reading it throws nothing and shows no connection string', () => {
  const names = fc.constantFrom(
    'AzureWebJobsStorage__accountName',
    'AzureWebJobsStorage__blobServiceUri',
    'AzureWebJobsStorage__clientId',
    'ServiceBusConnection__fullyQualifiedNamespace',
    'EMAIL_QUEUE_NAME',
    'EMAIL_MAX_MAIL_BYTES',
    'MAIL_HOSTS_ALLOWED',
    'RETRY_MAX_AGE_HOURS',
  );
  fc.assert(
    fc.property(fc.dictionary(names, fc.string({ unit: 'binary' })), fc.string(), (env, noise) => {
      for (const name of ['AzureWebJobsStorage', 'ServiceBusConnection']) {
        const read = readSettings({ ...base, ...env, [name]: `${noise};${key}` });
        if (!read.ok) assert.ok(!read.failure.message.includes(key));
      }
    }),
  );
});

test('the settings sample is valid as it stands and names every setting', async () => {
  const sample: unknown = JSON.parse(
    await readFile(new URL('../../local.settings.sample.json', import.meta.url), 'utf8'),
  );
  assert.ok(typeof sample === 'object' && sample !== null && 'Values' in sample);
  const values = sample.Values as Record<string, string>;
  const settings = good(values);
  assert.equal(settings.maxMailBytes, 157_286_400);
  assert.equal(values.FUNCTIONS_WORKER_RUNTIME, 'node');
  assert.equal(values.POLL_SCHEDULE, '0 * * * * *');
  assert.equal(values.RETRY_SCHEDULE, '30 * * * * *');
  for (const name of optional) assert.ok(name in values, name);
});

test('the host keeps a poll longer than its time budget and hands orders on quickly', async () => {
  const host = JSON.parse(await readFile(new URL('../../host.json', import.meta.url), 'utf8'));
  const [hours, minutes, seconds] = String(host.functionTimeout).split(':').map(Number);
  const timeoutMs = ((hours ?? 0) * 3600 + (minutes ?? 0) * 60 + (seconds ?? 0)) * 1000;
  // Consumption allows ten minutes; a run may need a minute's endpoint retry after its budget, and the last mail.
  assert.equal(timeoutMs, 600_000);
  assert.ok(timeoutMs >= good(base).pollTimeBudgetMs + 120_000);
  assert.equal(host.extensions.queues.messageEncoding, 'base64');
  assert.equal(host.extensions.queues.maxDequeueCount, 5);
  assert.equal(host.telemetryMode, 'OpenTelemetry');
});

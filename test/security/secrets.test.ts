import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { hostOptions, mailboxColumns, type Parts, queueName, startParts } from '../app/testbed.ts';
import { startIngestion } from '../telemetry/ingestion.ts';
import { type Dovecot, startDovecot } from '../testbed/dovecot.ts';
import { type HostProcess, startHostProcess } from '../testbed/host/hostProcess.ts';
import { seedMaildir } from '../testbed/seed.ts';
import { type IdentityProvider, oauth2Config, startIdentityProvider } from './identityProvider.ts';
import { storageTraces, type Trace, tracesOf } from './traces.ts';

const newSecret = (of: string) => `${of}~${randomBytes(9).toString('base64')}+/$`;

/** Each is put where an operator puts such a thing, and none may come out anywhere. */
const secrets = {
  password: newSecret('password'),
  wrongPassword: newSecret('wrong-password'),
  passwordOfSetting: newSecret('password-of-setting'),
  wrongPasswordOfSetting: newSecret('wrong-password-of-setting'),
  passwordInWrongColumn: newSecret('password in the wrong column'),
  passwordWithLineBreak: newSecret('password-with-break'),
  clientSecret: newSecret('client-secret'),
  refreshToken: newSecret('refresh-token'),
  keyInCaCertificate: newSecret('private-key'),
  passwordByHttp: newSecret('password-by-http'),
  unknownColumnByHttp: newSecret('unknown-column'),
  serviceBusKey: randomBytes(32).toString('base64'),
  storageKey: randomBytes(64).toString('base64'),
  malformedServiceBus: newSecret('malformed-service-bus'),
  malformedStorage: newSecret('malformed-storage'),
} as const;

/** In a mail's subject, its header, its body and its attachment. */
const content = {
  subject: `subject-${randomBytes(9).toString('hex')}`,
  header: `header-${randomBytes(9).toString('hex')}`,
  body: `body-${randomBytes(9).toString('hex')}`,
  attachment: `attachment-${randomBytes(9).toString('hex')}`,
} as const;

const users = ['right', 'setting', 'undelivered', 'damaged', 'http'];
const traces: Trace[] = [];
let folder: string;
let parts: Parts;
let dovecot: Dovecot;
let provider: IdentityProvider;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'testbed-secrets-'));
  provider = await startIdentityProvider('right');
  [parts, dovecot] = await Promise.all([
    startParts(),
    startDovecot({
      users: users.map((user) => ({
        user,
        password: user === 'setting' ? secrets.passwordOfSetting : secrets.password,
      })),
      extraConfig: oauth2Config(folder, provider, 'xoauth2 plain login'),
    }),
  ]);
});
after(async () => {
  await Promise.all([parts.stop(), dovecot.stop(), provider.stop()]);
  rmSync(folder, { recursive: true });
});

const ordinaryMail = Buffer.from(
  [
    `Subject: ${content.subject}`,
    `X-Note: ${content.header}`,
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    '',
    `${content.body} ${'and more '.repeat(1_000)}`,
    '--b',
    'Content-Disposition: attachment; filename=a.txt',
    '',
    content.attachment,
    '--b--',
    '',
  ].join('\r\n'),
);
/** A multipart without a boundary: sent as it is, with a warning. */
const damagedMail = Buffer.from(
  `Subject: ${content.subject}\r\nX-Note: ${content.header}\r\nContent-Type: multipart/mixed\r\n\r\n${content.body}\r\n`,
);

/** Runs the app with these settings besides the right ones, and keeps what it logged and wrote. */
async function withApp(
  name: string,
  settings: Readonly<Record<string, string>>,
  use: (host: HostProcess) => Promise<void>,
): Promise<void> {
  const ingestion = await startIngestion();
  const host = await startHostProcess(
    hostOptions(parts, {
      EMAIL_MAX_MESSAGE_BYTES: '4096',
      APPLICATIONINSIGHTS_CONNECTION_STRING: ingestion.connectionString,
      MAILBOX_RIGHT_PASSWORD: secrets.passwordOfSetting,
      MAILBOX_WRONG_PASSWORD: secrets.wrongPasswordOfSetting,
      ...settings,
    }),
  );
  try {
    await use(host);
  } finally {
    await host.stop();
    await ingestion.stop();
  }
  traces.push({ where: `${name}, output`, text: host.output() });
  for (const entry of host.logs) traces.push({ where: `${name}, log`, text: JSON.stringify(entry) });
  for (const envelope of ingestion.envelopes) {
    traces.push({ where: `${name}, telemetry`, text: JSON.stringify(envelope) });
  }
}

async function tick(host: HostProcess): Promise<void> {
  await host.fireTimer('schedulePolls').catch(() => undefined);
  await host.drainQueue();
  await host.fireTimer('retryDeliveries').catch(() => undefined);
}

async function call(host: HostProcess, target: string, body?: object): Promise<number> {
  const request =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
  const answer = await host.invokeHttp(target, request);
  const text = `${JSON.stringify(answer.headers)} ${answer.body.toString('utf8')}`;
  traces.push({ where: `answer to ${target}`, text });
  return answer.status;
}

test('the app works, and fails in every way it can, with secrets of its own for each', async () => {
  const { addConnection, azurite, broker } = parts;
  const columns = (hostType: 'IMAP' | 'POP3', user: string) => ({
    ...mailboxColumns(dovecot, hostType, user),
    password: secrets.password,
  });
  const byName = { ...columns('IMAP', 'right'), password: '' };
  const oauth2 = {
    ...byName,
    authType: 'oauth2',
    oauth2TokenEndpoint: provider.tokenEndpoint,
    oauth2ClientId: 'client',
    oauth2ClientSecret: secrets.clientSecret,
  };
  const { wrongPassword, keyInCaCertificate } = secrets;
  const pem = (label: string) => `-----BEGIN ${label}-----\n${keyInCaCertificate}\n-----END ${label}-----`;
  const wrong: Record<string, Record<string, unknown>> = {
    'wrong-imap': { ...columns('IMAP', 'right'), password: wrongPassword },
    'wrong-pop3': { ...columns('POP3', 'right'), password: wrongPassword },
    'wrong-setting': { ...byName, passwordSetting: 'MAILBOX_WRONG_PASSWORD' },
    'wrong-column': { ...byName, passwordSetting: secrets.passwordInWrongColumn },
    'line-break': { ...columns('IMAP', 'right'), password: `${secrets.passwordWithLineBreak}\r\nA LOGOUT` },
    nul: { ...columns('POP3', 'right'), password: `${secrets.passwordWithLineBreak}\0` },
    'unknown-host': { ...columns('IMAP', 'right'), host: 'mail.invalid' },
    'refused-port': { ...columns('POP3', 'right'), port: 1 },
    'not-trusted': { ...columns('IMAP', 'right'), useSsl: true, port: dovecot.imapsPort },
    'no-folder': { ...columns('IMAP', 'right'), folder: 'Nowhere' },
    'no-queue': { ...columns('IMAP', 'right'), queueName: 'nowhere' },
    'key-as-ca': { ...columns('IMAP', 'right'), caCertificate: pem('PRIVATE KEY') },
    'bad-ca': { ...columns('IMAP', 'right'), caCertificate: pem('CERTIFICATE') },
    'token-stranger': { ...oauth2, oauth2Grant: 'clientCredentials', username: 'http' },
  };
  const refusedTokens: Record<string, Record<string, unknown>> = {
    'refused-client': { ...oauth2, oauth2Grant: 'clientCredentials', oauth2ClientId: 'refused' },
    'refused-refresh': {
      ...oauth2,
      oauth2Grant: 'refreshToken',
      oauth2RefreshToken: `${secrets.refreshToken}-old`,
    },
  };

  await withApp('right settings', {}, async (host) => {
    for (const user of ['right', 'setting', 'http']) await seedMaildir(dovecot.maildir(user), [ordinaryMail]);
    await seedMaildir(dovecot.maildir('damaged'), [damagedMail]);
    await addConnection('right', columns('IMAP', 'right'));
    await addConnection('damaged', columns('IMAP', 'damaged'));
    await addConnection('setting', {
      ...columns('POP3', 'setting'),
      password: '',
      passwordSetting: 'MAILBOX_RIGHT_PASSWORD',
    });
    provider.rotate = true;
    await addConnection('token', { ...oauth2, oauth2Grant: 'clientCredentials' });
    await addConnection('refresh', {
      ...oauth2,
      oauth2Grant: 'refreshToken',
      oauth2RefreshToken: secrets.refreshToken,
    });
    for (const [name, each] of Object.entries(wrong)) await addConnection(name, each);
    await tick(host);

    provider.refuseWith = 'invalid_grant';
    for (const [name, each] of Object.entries(refusedTokens)) await addConnection(name, each);
    await tick(host);
    provider.refuseWith = undefined;

    broker.faults.quotaExceeded = true;
    await seedMaildir(dovecot.maildir('undelivered'), [ordinaryMail]);
    await addConnection('undelivered', columns('IMAP', 'undelivered'));
    await tick(host);
    broker.faults.quotaExceeded = false;

    const http = '/api/connections/acme/http';
    const { password: _, ...rest } = columns('IMAP', 'http');
    assert.equal(await call(host, `PUT ${http}`, { ...rest, password: secrets.passwordByHttp }), 201);
    assert.equal(await call(host, `PUT ${http}`, rest), 200);
    await call(host, `PUT ${http}`, { ...rest, password: { value: secrets.passwordByHttp } });
    await call(host, `PUT ${http}`, { ...rest, password: `${secrets.passwordByHttp}\r\n` });
    const misspelt = { ...rest, passwort: secrets.unknownColumnByHttp };
    assert.equal(await call(host, `PUT ${http}`, misspelt), 400);
    for (const [name, each] of Object.entries({ ...wrong, ...refusedTokens })) {
      await call(host, `PUT /api/connections/acme/${name}`, each);
      await call(host, `POST /api/connections/acme/${name}/test`);
    }
    await call(host, `POST ${http}/test`);
    await call(host, `POST ${http}/poll`);
    await call(host, `GET ${http}`);
    await call(host, 'GET /api/connections');
    await host.drainQueue();
  });

  const wrongKey = broker.connectionString.replace(
    /SharedAccessKey=[^;]+/,
    `SharedAccessKey=${secrets.serviceBusKey}`,
  );
  await seedMaildir(dovecot.maildir('http'), [ordinaryMail]);
  await withApp('wrong Service Bus key', { ServiceBusConnection: wrongKey }, tick);
  const away = azurite.connectionString
    .replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:1')
    .replace(/AccountKey=[^;]+/, `AccountKey=${secrets.storageKey}`);
  await withApp('storage away', { AzureWebJobsStorage: away }, async (host) => {
    await host.fireTimer('schedulePolls').catch(() => undefined);
    await call(host, 'GET /api/connections');
  });
  const wrongStorageKey = azurite.connectionString.replace(
    /AccountKey=[^;]+/,
    `AccountKey=${secrets.storageKey}`,
  );
  await withApp('wrong storage key', { AzureWebJobsStorage: wrongStorageKey }, async (host) => {
    await host.fireTimer('schedulePolls').catch(() => undefined);
  });
  await withApp('malformed Service Bus', { ServiceBusConnection: secrets.malformedServiceBus }, tick);
  await withApp('malformed storage', { AzureWebJobsStorage: secrets.malformedStorage }, tick);

  traces.push(...(await storageTraces(azurite.connectionString)));
  for (const { body: _, ...properties } of broker.queue(queueName).messages) {
    traces.push({ where: 'Service Bus message', text: JSON.stringify(properties) });
  }
});

test('what was meant to happen did, so that the search has something to search', () => {
  const lastErrors = traces.filter(({ where }) => where.endsWith('column lastError')).map(({ text }) => text);
  assert.ok(lastErrors.filter((text) => text !== '').length >= 10, lastErrors.join('\n'));
  for (const where of [
    'telemetry',
    'Service Bus message',
    'container email-undelivered',
    'table EmailUndelivered',
  ]) {
    assert.ok(
      traces.some((trace) => trace.where.includes(where)),
      where,
    );
  }
  assert.ok(provider.issued.length > 2);
  assert.ok(parts.broker.queue(queueName).messages.length >= 6);
});

test('no secret is in anything that the app logged, wrote, sent or answered', () => {
  for (const [name, secret] of Object.entries(secrets)) assert.deepEqual(tracesOf(secret, traces), [], name);
  for (const token of provider.issued) assert.deepEqual(tracesOf(token, traces), [], token);
  const key = /SharedAccessKey=([^;]+)/.exec(parts.broker.connectionString)?.[1] ?? '';
  assert.ok(key.length > 20);
  assert.deepEqual(tracesOf(key, traces), [], 'the Service Bus key');
  const accountKey = /AccountKey=([^;]+)/.exec(parts.azurite.connectionString)?.[1] ?? '';
  assert.ok(accountKey.length > 20);
  assert.deepEqual(tracesOf(accountKey, traces), [], 'the storage key');
});

test('what a mail says is only where mails are kept', () => {
  const kept = /^container email-(undelivered|payloads), /;
  const outside = traces.filter(({ where }) => !kept.test(where));
  for (const part of ['header', 'body', 'attachment'] as const) {
    assert.deepEqual(tracesOf(content[part], outside), [], part);
  }
  const subjects = outside.filter(
    ({ where }) =>
      !/^(Service Bus message|container email-journal, |table EmailUndelivered, column emailSubject|answer to .*undelivered)/.test(
        where,
      ),
  );
  assert.deepEqual(tracesOf(content.subject, subjects), [], 'subject');
});

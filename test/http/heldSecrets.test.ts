import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSecretColumn } from '../../shared/connection/columns.ts';
import { Refusal } from '../../shared/http/answer.ts';
import { readConnectionBody } from '../../shared/http/connectionBody.ts';
import { keepSecrets, refuseHeldSecrets } from '../../shared/http/heldSecrets.ts';
import { caPem } from '../mailbox/caPem.ts';

const key = { customer: 'acme', connection: 'orders' };
const mailbox = { host: 'outlook.office365.com', hostType: 'IMAP', username: 'a', authType: 'oauth2' };
const client = {
  ...mailbox,
  oauth2Grant: 'clientCredentials',
  oauth2TenantId: 'example.com',
  oauth2ClientId: 'client',
};
const secret = { oauth2ClientSecret: 'typed' };
const sources = {
  settingsPrefix: 'MAILBOX_',
  readSetting: (name: string) => (/^MAILBOX_(ONE|TWO)$/.test(name) ? 'from a setting' : undefined),
  vaultPrefix: 'mailbox-',
  identityHosts: ['thief.example'],
};

/** The columns that keep `body` from being tested while `saved` is stored. */
function refused(body: object, saved?: object): string[] {
  const stored = saved && { key, columns: { ...saved }, etag: '*' };
  const read = readConnectionBody({ ...body }, key, stored, sources);
  try {
    refuseHeldSecrets(read, stored);
    return [];
  } catch (error) {
    return columnsOf(error);
  }
}

function columnsOf(error: unknown): string[] {
  assert.ok(error instanceof Refusal);
  const { errors } = error.answer.json as { errors: { column: string }[] };
  return errors.map(({ column }) => column);
}

test('a client secret goes to the saved token endpoint only, and its token to the saved server only', () => {
  const saved = { ...client, ...secret };
  assert.deepEqual(refused(client, saved), []);
  assert.deepEqual(refused({ ...client, port: 993, host: 'OUTLOOK.office365.com' }, saved), []);
  const { oauth2TenantId: _, ...endpoint } = client;
  const elsewhere = [
    { ...endpoint, oauth2TokenEndpoint: 'https://thief.example/token' },
    { ...client, oauth2TenantId: 'thief.example' },
    { ...client, host: 'thief.example' },
    { ...client, oauth2Scope: 'https://vault.azure.net/.default' },
    { ...client, oauth2ClientId: 'another' },
    { ...client, useSsl: false, port: 993 },
  ];
  for (const body of elsewhere) {
    assert.deepEqual(refused(body, saved), ['oauth2ClientSecret'], JSON.stringify(body));
    assert.deepEqual(refused({ ...body, ...secret }, saved), []);
    assert.deepEqual(refused({ ...body, ...secret }), []);
  }
});

test('every secret of a grant counts, and those that it does not use do not', () => {
  const saved = {
    ...client,
    ...secret,
    oauth2Grant: 'refreshToken',
    oauth2RefreshToken: 'stored',
    password: 'stored',
  };
  const body = { ...client, oauth2Grant: 'refreshToken', host: 'thief.example' };
  assert.deepEqual(refused(body, saved), ['oauth2RefreshToken', 'oauth2ClientSecret']);
  assert.deepEqual(refused({ ...body, oauth2RefreshToken: 'typed' }, saved), ['oauth2ClientSecret']);
  assert.deepEqual(refused({ ...body, oauth2RefreshToken: 'typed', oauth2ClientSecret: 'typed' }, saved), []);
});

test('an app setting counts as stored where the saved connection names the same', () => {
  const body = { ...client, oauth2ClientSecretSetting: 'MAILBOX_ONE' };
  assert.deepEqual(refused(body), ['oauth2ClientSecretSetting']);
  assert.deepEqual(refused(body, body), []);
  assert.deepEqual(refused({ ...body, oauth2ClientSecretSetting: 'MAILBOX_TWO' }, body), [
    'oauth2ClientSecretSetting',
  ]);
  assert.deepEqual(refused({ ...body, host: 'thief.example' }, body), ['oauth2ClientSecretSetting']);
});

test("the app's identity gives its token to the saved server and for the saved scope only", () => {
  const body = { ...mailbox, oauth2Grant: 'managedIdentity' };
  assert.deepEqual(refused(body), ['oauth2Grant']);
  assert.deepEqual(refused(body, body), []);
  assert.deepEqual(refused({ ...body, host: 'thief.example' }, body), ['oauth2Grant']);
  assert.deepEqual(refused({ ...body, oauth2Scope: 'https://vault.azure.net/.default' }, body), [
    'oauth2Grant',
  ]);
});

test('what is wrong in another column of the saved connection changes nothing about its target', () => {
  assert.deepEqual(refused(client, { ...client, ...secret, pollingIntervalSeconds: 1 }), []);
});

const password = { host: 'mail.example.com', hostType: 'IMAP', username: 'anna', caCertificate: caPem };
/** Everything that decides who gets a password. */
const otherTargets: readonly Readonly<Record<string, unknown>>[] = [
  { host: 'thief.example' },
  { port: 1993 },
  { useSsl: false },
  { useSsl: false, port: 993 },
  { useSsl: false, startTls: true, port: 993 },
  { caCertificate: undefined },
  { caCertificate: caPem + caPem },
  { username: 'Anna' },
  { username: 'anna ' },
  { hostType: 'POP3', port: 993 },
];
const sameTargets: readonly Readonly<Record<string, unknown>>[] = [
  { folder: 'Orders' },
  { host: 'MAIL.example.com' },
  { port: '993', useSsl: 'TRUE', startTls: false },
  { caCertificate: `"${caPem.replaceAll('\n', '\\n')}"` },
  { hostType: 'imap' },
];

test('a stored password is tested against the very server that it was stored for, and saved with no other', () => {
  const saved = { ...password, password: 'stored' };
  for (const change of otherTargets) {
    const body = { ...password, ...change };
    assert.deepEqual(refused(body, saved), ['password'], JSON.stringify(change));
    assert.deepEqual(kept(body, saved), { errors: ['password'] }, JSON.stringify(change));
    assert.deepEqual(kept({ ...body, password: 'typed' }, saved), { password: 'typed' });
  }
  for (const change of sameTargets) {
    const body = { ...password, ...change };
    assert.deepEqual(refused(body, saved), [], JSON.stringify(change));
    assert.deepEqual(kept(body, saved), { password: 'stored' }, JSON.stringify(change));
  }
});

test('a password that is sent after an upgrade to TLS is sent without one to nobody', () => {
  const upgraded = { ...password, useSsl: false, startTls: true };
  const saved = { ...upgraded, password: 'stored' };
  assert.deepEqual(refused(upgraded, saved), []);
  assert.deepEqual(refused({ ...upgraded, startTls: false }, saved), ['password']);
});

test('a setting or a secret of the vault may be named for any target that is saved', () => {
  const saved = { ...password, passwordVaultSecret: 'mailbox-anna' };
  const body = { ...saved, host: 'thief.example' };
  assert.deepEqual(refused(body, saved), ['passwordVaultSecret']);
  assert.deepEqual(refused({ ...saved, passwordVaultSecret: 'mailbox-bert' }, saved), [
    'passwordVaultSecret',
  ]);
  assert.deepEqual(refused(saved, saved), []);
  assert.deepEqual(kept(body, saved), {});
});

test('a secret that the new config does not use is kept with its target, and is dropped with it', () => {
  const saved = { ...password, password: 'stored', ...secret };
  const oauth2 = { ...client, ...password, authType: 'oauth2', oauth2ClientSecret: 'typed' };
  assert.deepEqual(kept(oauth2, saved), { password: 'stored', oauth2ClientSecret: 'typed' });
  assert.deepEqual(kept({ ...oauth2, host: 'thief.example' }, saved), { oauth2ClientSecret: 'typed' });
  const identity = { ...mailbox, oauth2Grant: 'managedIdentity', host: 'outlook.office.com' };
  assert.deepEqual(kept(identity, { ...client, ...secret }), {});
  const thief = { ...password, password: 'typed', oauth2TokenEndpoint: 'https://thief.example/token' };
  assert.deepEqual(kept(thief, saved), { password: 'typed' });
});

test('a secret that takes the place of a named one is not kept beside it', () => {
  const saved = { ...password, password: 'stored' };
  assert.deepEqual(kept({ ...password, passwordVaultSecret: 'mailbox-anna' }, saved), {});
});

/** The secrets that are stored when `body` is put over `saved`, or the columns that are refused. */
function kept(body: object, saved: object): Record<string, unknown> {
  const stored = { key, columns: { ...saved }, etag: '*' };
  const read = readConnectionBody({ ...body }, key, stored, sources);
  try {
    const columns = Object.entries(keepSecrets(read, stored));
    return Object.fromEntries(columns.filter(([name]) => isSecretColumn(name)));
  } catch (error) {
    return { errors: columnsOf(error) };
  }
}

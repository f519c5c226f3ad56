import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeConnection } from '../../shared/connection/decode.ts';
import { readConnectionBody } from '../../shared/http/connectionBody.ts';
import { refuseHeldSecrets } from '../../shared/http/heldSecrets.ts';

const key = { customer: 'acme', connection: 'orders' };
const mailbox = { host: 'outlook.office365.com', hostType: 'IMAP', username: 'a', authType: 'oauth2' };
const client = {
  ...mailbox,
  oauth2Grant: 'clientCredentials',
  oauth2TenantId: 'example.com',
  oauth2ClientId: 'client',
};
const secret = { oauth2ClientSecret: 'typed' };
const readSetting = (name: string) => (name === 'ONE' || name === 'TWO' ? 'from a setting' : undefined);

/** The columns that keep `body` from being tested while `saved` is stored. */
function refused(body: object, saved?: object): string[] {
  const stored = saved && { key, columns: { ...saved }, etag: '*' };
  const decoded =
    saved && decodeConnection({ ...saved, PartitionKey: 'acme', RowKey: 'orders' }, readSetting);
  const read = readConnectionBody({ ...body }, key, stored, decodeConnection, readSetting);
  assert.ok(read.ok, read.ok ? '' : JSON.stringify(read.errors));
  const errors = refuseHeldSecrets(read, decoded?.ok ? decoded.config : undefined, stored);
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
  const body = { ...client, oauth2ClientSecretSetting: 'ONE' };
  assert.deepEqual(refused(body), ['oauth2ClientSecretSetting']);
  assert.deepEqual(refused(body, body), []);
  assert.deepEqual(refused({ ...body, oauth2ClientSecretSetting: 'TWO' }, body), [
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

test('a saved connection that is wrong lends nothing', () => {
  assert.deepEqual(refused(client, { ...client, ...secret, pollingIntervalSeconds: 1 }), [
    'oauth2ClientSecret',
  ]);
});

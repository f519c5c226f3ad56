import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { mailboxColumns, type RunningApp, startApp } from '../app/testbed.ts';
import { type Dovecot, startDovecot } from '../testbed/dovecot.ts';
import { listMaildir, seedMaildir } from '../testbed/seed.ts';
import { type IdentityProvider, oauth2Config, startIdentityProvider } from './identityProvider.ts';

const user = 'anna';
const mechanisms = ['xoauth2', 'oauthbearer'] as const;

let app: RunningApp;
let provider: IdentityProvider;
const servers = new Map<string, Dovecot>();
let folder: string;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'testbed-oauth2-'));
  provider = await startIdentityProvider(user);
  const startWith = async (mechanism: string): Promise<void> => {
    const server = await startDovecot({
      users: [{ user, password: 'no password of ours' }],
      extraConfig: oauth2Config(folder, provider, mechanism),
    });
    servers.set(mechanism, server);
  };
  [app] = await Promise.all([startApp(), ...mechanisms.map(startWith)]);
});
after(async () => {
  await app.stop();
  await Promise.all([provider.stop(), ...[...servers.values()].map((server) => server.stop())]);
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  provider.refuseWith = undefined;
  provider.rotate = false;
});

const clientCredentials = () => ({
  authType: 'oauth2',
  oauth2Grant: 'clientCredentials',
  oauth2TokenEndpoint: provider.tokenEndpoint,
  oauth2ClientId: 'client-7',
  oauth2ClientSecret: 'client-secret-Zk3v',
  oauth2Scope: 'mail.read',
});

function columnsOn(mechanism: string, hostType: 'IMAP' | 'POP3'): Record<string, unknown> {
  const server = serverOf(mechanism);
  const { password: _password, ...columns } = mailboxColumns(server, hostType, user);
  return columns;
}

function serverOf(mechanism: string): Dovecot {
  const server = servers.get(mechanism);
  assert.ok(server);
  return server;
}

const mail = Buffer.from('Subject: hello\r\n\r\nHello\r\n');

for (const mechanism of mechanisms) {
  for (const hostType of ['IMAP', 'POP3'] as const) {
    test(`a mailbox is read with a token: ${hostType}, ${mechanism.toUpperCase()} alone`, async () => {
      const maildir = serverOf(mechanism).maildir(user);
      await seedMaildir(maildir, [mail]);
      const name = `${mechanism}-${hostType.toLowerCase()}`;
      await app.addConnection(name, {
        ...columnsOn(mechanism, hostType),
        ...clientCredentials(),
        deleteMessages: true,
      });
      const state = await app.poll(name);
      assert.deepEqual([state.lastError, state.lastMailCount], ['', 1]);
      assert.deepEqual(await listMaildir(maildir), []);
      const sent = provider.requests.at(-1);
      assert.equal(sent?.get('grant_type'), 'client_credentials');
      assert.equal(sent?.get('scope'), 'mail.read');
    });
  }
}

test('a cached token serves the next polls; one that is refused is fetched anew, once', async () => {
  await app.addConnection('cached', { ...columnsOn('xoauth2', 'IMAP'), ...clientCredentials() });
  assert.equal((await app.poll('cached')).lastError, '');
  const issued = provider.issued.length;
  assert.equal((await app.poll('cached')).lastError, '');
  assert.equal(provider.issued.length, issued, 'the second poll asks for none');

  provider.revokeAll();
  assert.equal((await app.poll('cached')).lastError, '');
  assert.equal(provider.issued.length, issued + 1);
});

test('a rotated refresh token is written back to its column, and used next', async () => {
  provider.rotate = true;
  await app.addConnection('rotating', {
    ...columnsOn('xoauth2', 'POP3'),
    authType: 'oauth2',
    oauth2Grant: 'refreshToken',
    oauth2TokenEndpoint: provider.tokenEndpoint,
    oauth2ClientId: 'client-7',
    oauth2RefreshToken: 'first-refresh-token-Zk3v',
  });
  const first = await app.poll('rotating');
  assert.equal(first.lastError, '');
  const second = String(first.oauth2RefreshToken);
  assert.match(second, /^refresh-token-/);
  assert.equal(provider.requests.at(-1)?.get('refresh_token'), 'first-refresh-token-Zk3v');

  provider.revokeAll();
  const later = await app.poll('rotating');
  assert.equal(later.lastError, '');
  assert.equal(provider.requests.at(-1)?.get('refresh_token'), second);
  assert.notEqual(later.oauth2RefreshToken, second);
});

test('a token that the mail server goes on refusing is asked for twice, not more', async () => {
  const issued = provider.issued.length;
  await app.addConnection('stranger', {
    ...columnsOn('xoauth2', 'IMAP'),
    ...clientCredentials(),
    username: 'bert',
  });
  const state = await app.poll('stranger');
  assert.equal(state.lastStatus, 'failed');
  assert.match(String(state.lastError), /^IMAP login to 127\.0\.0\.1:\d+ as bert was refused/);
  assert.doesNotMatch(String(state.lastError), /access-token/);
  assert.equal(provider.issued.length, issued + 2);
});

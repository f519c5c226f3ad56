import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { type RunningApp, serverColumns, startApp } from '../app/testbed.ts';
import { type Listening, listening } from '../testbed/listening.ts';

/** A server that only counts who comes. */
let trap: Listening;
let visits = 0;
let allowlisted: RunningApp;
before(async () => {
  const server = createServer((socket) => {
    visits += 1;
    socket.destroy();
  });
  trap = await listening(server);
});
after(async () => {
  await allowlisted?.stop();
  await trap.stop();
});

const columnsFor = (hostType: 'IMAP' | 'POP3') => serverColumns(hostType, trap.port);

async function failsUntouched(app: RunningApp, columns: Record<string, unknown>, sentence: RegExp) {
  const before = visits;
  const { total } = app.broker.connections;
  await app.addConnection('hostile', columns);
  const state = await app.poll('hostile');
  const what = JSON.stringify(columns);
  assert.equal(state.lastStatus, 'failed', what);
  assert.match(String(state.lastError), sentence, what);
  assert.doesNotMatch(String(state.lastError), /horse/, what);
  assert.doesNotMatch(String(state.lastError), /[\r\n\0]/, what);
  assert.equal(visits, before, `nobody came: ${what}`);
  assert.equal(app.broker.connections.total, total);
}

test('a host inside the network is refused by MAIL_DENY_PRIVATE_NETWORKS, in every disguise', async () => {
  const app = await startApp({ settings: { MAIL_DENY_PRIVATE_NETWORKS: 'true' } });
  try {
    const denied = /^Host .* is not allowed: .*MAIL_DENY_PRIVATE_NETWORKS/;
    const loopback = ['127.0.0.1', 'localhost', '::1', '[::1]', '::ffff:127.0.0.1'];
    for (const host of [...loopback, '10.0.0.1', '169.254.169.254']) {
      for (const hostType of ['IMAP', 'POP3'] as const) {
        await failsUntouched(app, { ...columnsFor(hostType), host }, denied);
      }
    }
    for (const host of ['2130706433', '0x7f.1', '0177.0.0.1', '127.1']) {
      await failsUntouched(app, { ...columnsFor('IMAP'), host }, /^host is .*; it must be a host name/);
    }
  } finally {
    await app.stop();
  }
});

test('a host that is not in MAIL_HOSTS_ALLOWED is refused', async () => {
  allowlisted = await startApp({ settings: { MAIL_HOSTS_ALLOWED: '*.example.com,mail.example.org' } });
  const denied =
    /^Host .* is not allowed: it is not in MAIL_HOSTS_ALLOWED\. Add it there, or correct host\.$/;
  const others = ['127.0.0.1', 'example.com', 'mail.example.com.evil.test', 'evilexample.com'];
  for (const host of others) {
    await failsUntouched(allowlisted, { ...columnsFor('IMAP'), host }, denied);
    await failsUntouched(allowlisted, { ...columnsFor('POP3'), host }, denied);
  }
});

test('a token endpoint inside the network is refused like a host', async () => {
  const columns = { ...columnsFor('IMAP'), host: 'mail.example.org', password: '' };
  await failsUntouched(
    allowlisted,
    {
      ...columns,
      authType: 'oauth2',
      oauth2Grant: 'clientCredentials',
      oauth2TokenEndpoint: `http://127.0.0.1:${trap.port}/token`,
      oauth2ClientId: 'client',
      oauth2ClientSecret: 'horse-secret',
    },
    /not allowed/,
  );
});

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import * as tls from 'node:tls';
import { startLocalVault } from '../connection/localVault.ts';
import { mailboxColumns, password, startAppTestbed } from './testbed.ts';

/** The endpoint that App Service gives an app for tokens of its identity. Answers with its address. */
async function startIdentity(context: TestContext, asked: string[]): Promise<string> {
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url ?? '', 'http://localhost');
    asked.push(`${request.headers['x-identity-header']} ${searchParams.get('resource')}`);
    const expiresOn = Math.floor(Date.now() / 1000) + 3_600;
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(
      JSON.stringify({
        access_token: 'token-of-the-app',
        expires_on: String(expiresOn),
        token_type: 'Bearer',
      }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/msi/token`;
}

/** Has this process trust the vault's CA, as it does those of the system. */
function trust(context: TestContext, caCertificate: string): void {
  const before = tls.getCACertificates('default');
  tls.setDefaultCACertificates([...before, caCertificate]);
  context.after(() => tls.setDefaultCACertificates(before));
}

test('a password of the vault is polled and tested with, and a rotation needs no restart', async (context) => {
  const vault = await startLocalVault(context);
  trust(context, vault.caCertificate);
  const identityAsked: string[] = [];
  const bed = await startAppTestbed({
    users: ['anna'],
    settings: {
      SECRETS_VAULT: vault.url,
      IDENTITY_ENDPOINT: await startIdentity(context, identityAsked),
      IDENTITY_HEADER: 'header-of-the-app',
    },
  });
  context.after(() => bed.stop());
  const { password: _, ...columns } = mailboxColumns(bed.dovecot, 'IMAP', 'anna');
  await bed.addConnection('orders', { ...columns, passwordVaultSecret: 'mailbox-orders' });

  const missing = await bed.poll('orders');
  assert.match(
    String(missing.lastError),
    /^passwordVaultSecret names the secret mailbox-orders, which the Key Vault \S+ does not have/,
  );
  assert.deepEqual(identityAsked, ['header-of-the-app https://vault.azure.net']);

  vault.secrets.set('mailbox-orders', 'the one before');
  assert.match(String((await bed.poll('orders')).lastError), /login to .* was refused/);
  vault.secrets.set('mailbox-orders', password);
  const asked = vault.asked.length;
  assert.equal((await bed.poll('orders')).lastStatus, 'ok');
  assert.equal((await bed.poll('orders')).lastStatus, 'ok');
  assert.equal(vault.asked.length, asked + 1);

  vault.secrets.set('mailbox-orders', `${password} `);
  const tested = await bed.host.invokeHttp('POST /api/connections/acme/orders/test');
  assert.match(tested.text(), /The password has a blank or an invisible character at its end/);
  await bed.addConnection('foreign', { ...columns, passwordVaultSecret: 'storage-key' });
  assert.match(String((await bed.poll('foreign')).lastError), /a secret that does not begin with mailbox-/);
  assert.equal(vault.asked.includes('storage-key'), false);

  const shown = await bed.host.invokeHttp('GET /api/connections/acme/orders');
  assert.match(shown.text(), /"passwordVaultSecret":"mailbox-orders"/);
  const written = JSON.stringify([shown.text(), tested.text(), bed.host.logs, await bed.state('orders')]);
  for (const secret of [password, 'the one before', 'token-of-the-app']) {
    assert.equal(written.includes(secret), false);
  }
});

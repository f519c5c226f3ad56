import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import * as tls from 'node:tls';
import { startLocalVault } from '../connection/localVault.ts';
import { startIdentityEndpoint } from '../testbed/identityEndpoint.ts';
import { mailboxColumns, password, startAppTestbed } from './testbed.ts';

/** Has this process trust the vault's CA, as it does those of the system. */
function trust(context: TestContext, caCertificate: string): void {
  const before = tls.getCACertificates('default');
  tls.setDefaultCACertificates([...before, caCertificate]);
  context.after(() => tls.setDefaultCACertificates(before));
}

test('a password of the vault is polled and tested with, and a rotation needs no restart', async (context) => {
  const vault = await startLocalVault(context);
  trust(context, vault.caCertificate);
  const identity = await startIdentityEndpoint();
  context.after(() => identity.stop());
  const bed = await startAppTestbed({
    users: ['anna'],
    settings: { SECRETS_VAULT: vault.url, ...identity.env },
  });
  context.after(() => bed.stop());
  const { password: _, ...columns } = mailboxColumns(bed.dovecot, 'IMAP', 'anna');
  await bed.addConnection('orders', { ...columns, passwordVaultSecret: 'mailbox-orders' });

  const missing = await bed.poll('orders');
  assert.match(
    String(missing.lastError),
    /^passwordVaultSecret names the secret mailbox-orders, which the Key Vault \S+ does not have/,
  );
  assert.deepEqual(
    identity.asked.map((query) => query.get('resource')),
    ['https://vault.azure.net'],
  );

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
  for (const secret of [password, 'the one before', 'identity-token']) {
    assert.equal(written.includes(secret), false);
  }
});

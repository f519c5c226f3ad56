import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createServer } from 'node:tls';
import type { ConnectionConfig } from '../../shared/connection/config.ts';
import { Failure } from '../../shared/failure/failure.ts';
import type { HttpDependencies } from '../../shared/http/dependencies.ts';
import { testInSteps } from '../../shared/http/testSteps.ts';
import type { MailboxSession } from '../../shared/mailbox/mailbox.ts';
import { checkServer } from '../../shared/mailbox/serverCheck.ts';
import { testCertificate } from '../testbed/certificates.ts';
import { startDovecot } from '../testbed/dovecot.ts';
import { listening } from '../testbed/listening.ts';
import { dependenciesWith } from './dependencies.ts';

function stepsWith(change: Partial<HttpDependencies>, certificateEndsAt = new Date('2027-01-01')) {
  const config = { host: 'mail.example.com', port: 993, protocol: 'imap', security: 'tls', username: 'anna' };
  const dependencies = dependenciesWith({
    checkServer: async () => ({ addresses: ['192.0.2.1'], certificateEndsAt }),
    now: () => new Date('2026-11-26T12:00:00.000Z'),
    ...change,
  });
  return testInSteps(config as Partial<ConnectionConfig> as ConnectionConfig, dependencies);
}

test('a session that ends after the queue was reached fails at the mails', async () => {
  const session: Partial<MailboxSession> = {
    sample: () => Promise.reject(new Failure('connection-lost', 'Gone.')),
    close: async () => true,
  };
  const { ok, steps } = await stepsWith({
    openSession: async () => session as MailboxSession,
    openQueue: async () => 'orders',
  });
  assert.equal(ok, false);
  assert.deepEqual(steps.slice(-2), [
    { step: 'queue', result: 'ok', text: 'orders is reached.' },
    { step: 'mails', result: 'failed', text: 'Gone.' },
  ]);
});

test('a certificate that ends within fourteen days is warned of', async () => {
  const resultOn = async (day: string) =>
    (await stepsWith({}, new Date(day))).steps.find(({ step }) => step === 'certificate');
  assert.deepEqual(await resultOn('2026-12-11T00:00:00.000Z'), {
    step: 'certificate',
    result: 'ok',
    text: 'Its certificate is trusted, and good until 2026-12-11.',
  });
  assert.deepEqual(await resultOn('2026-12-09T00:00:00.000Z'), {
    step: 'certificate',
    result: 'warning',
    text: 'Its certificate ends on 2026-12-09: the polls fail then. Tell the server’s owner.',
  });
});

test('a server’s certificate is read without being trusted, and a silent port costs nothing but time', async () => {
  const dovecot = await startDovecot({ users: [{ user: 'anna', password: 'x' }] });
  try {
    const server = { host: '127.0.0.1', security: 'tls' } as const;
    const { certificateEndsAt } = await checkServer({ ...server, port: dovecot.imapsPort });
    assert.ok(certificateEndsAt !== undefined && certificateEndsAt > new Date());
    assert.deepEqual(await checkServer({ ...server, port: dovecot.imapPort }), { addresses: [] });
    const { addresses } = await checkServer({ host: 'localhost', port: 1, security: 'plain' });
    assert.ok(addresses.length > 0);
  } finally {
    await dovecot.stop();
  }
});

test('a server is told which name it is asked by, since it may have a certificate for each, and is left at once', async (t) => {
  const { certificate: cert, key } = await testCertificate();
  const names: string[] = [];
  const closed: Promise<unknown>[] = [];
  const SNICallback = (name: string, done: (error: null) => void) => {
    names.push(name);
    done(null);
  };
  const server = createServer({ cert, key, SNICallback });
  server.on('connection', (socket) => closed.push(new Promise((resolve) => socket.once('close', resolve))));
  const { port, stop } = await listening(server);
  t.after(stop);
  const { certificateEndsAt } = await checkServer({ host: 'localhost', port, security: 'tls' });
  assert.ok(certificateEndsAt);
  assert.deepEqual(names, ['localhost']);
  await Promise.all(closed);
  // Nothing is said to a port that begins without TLS.
  await checkServer({ host: 'localhost', port, security: 'plain' });
  assert.equal(closed.length, 1);
});

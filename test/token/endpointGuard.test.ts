import assert from 'node:assert/strict';
import { createServer } from 'node:https';
import { test } from 'node:test';
import tls from 'node:tls';
import { exchange, type TokenAnswer } from '../../shared/token/exchange.ts';
import { guardEndpoint, requestToken } from '../../shared/token/tokenEndpoint.ts';
import { type Certificate, testCertificate } from '../testbed/certificates.ts';
import { onClientSocket } from '../testbed/clientSockets.ts';
import { listening } from '../testbed/listening.ts';
import { clientCredentials, quickLimits } from './fixtures.ts';
import { issuing, startEndpoint } from './localEndpoint.ts';

const denyPrivate = { denyPrivate: true };

test('an endpoint inside the network is asked nothing when private networks are denied', async (context) => {
  const endpoint = await startEndpoint(context, issuing());
  await assert.rejects(requestToken(clientCredentials(endpoint.url), denyPrivate, 0, quickLimits), {
    reason: 'host-denied',
    message:
      'Token endpoint 127.0.0.1 is not allowed: it is a private address and MAIL_DENY_PRIVATE_NETWORKS is on. Use a public host.',
  });
  assert.equal(endpoint.requests.length, 0);
});

test('every spelling of a private endpoint is denied', async () => {
  const hosts = ['[::1]', '[::ffff:10.0.0.1]', '169.254.169.254', '2130706433', '0x7f.1', '[fd00:ec2::254]'];
  for (const host of hosts) {
    await assert.rejects(guardEndpoint(new URL(`https://${host}/token`), denyPrivate, 5_000), {
      reason: 'host-denied',
    });
  }
  const lookUp = async () => [{ address: '10.0.0.5' }];
  await assert.rejects(guardEndpoint(new URL('https://login.example/'), { ...denyPrivate, lookUp }, 5_000), {
    message:
      /^Token endpoint login\.example is not allowed: it resolves to a private address \(10\.0\.0\.5\)/,
  });
});

test('with MAIL_HOSTS_ALLOWED only listed endpoints and those of known providers are asked', async () => {
  const rules = { allowed: ['*.example.com'], denyPrivate: false };
  for (const host of ['login.example.com', 'oauth2.googleapis.com', 'login.microsoftonline.com']) {
    assert.deepEqual(await guardEndpoint(new URL(`https://${host}/token`), rules, 5_000), {});
  }
  await assert.rejects(guardEndpoint(new URL('https://evil.example/token'), rules, 5_000), {
    reason: 'host-denied',
    message: /^Token endpoint evil\.example is not allowed: it is not in MAIL_HOSTS_ALLOWED\./,
  });
});

test('the address that was checked is the one connected to, though DNS changes its mind', async () => {
  // Never assigned to anyone, so that nobody is bothered.
  const answers = ['3ffe::1', '127.0.0.1'];
  let lookUps = 0;
  const lookUp = async () => [{ address: answers[lookUps++] ?? '127.0.0.1' }];
  const attempts = new Set<string>();
  const stopListening = onClientSocket((socket) => {
    socket.on('connectionAttempt', (address: string) => attempts.add(address));
  });
  const limits = { ...quickLimits, tryTimeoutMs: 200 };
  const grant = clientCredentials('https://login.example/token');
  await assert.rejects(requestToken(grant, { denyPrivate: true, lookUp }, 0, limits), { reason: 'token' });
  stopListening();
  assert.equal(lookUps, 1);
  assert.deepEqual([...attempts], ['3ffe::1']);
});

/** Runs a server with this certificate while `use` posts to it under names that DNS does not know. */
async function withHttps(
  certificate: Certificate,
  use: (post: (host: string) => Promise<TokenAnswer>) => Promise<void>,
): Promise<readonly unknown[]> {
  const names: unknown[] = [];
  const server = createServer(
    { cert: certificate.certificate, key: certificate.key },
    (incoming, response) => {
      if (incoming.socket instanceof tls.TLSSocket) names.push(incoming.socket.servername);
      incoming.resume();
      response.end('{}');
    },
  );
  const { port, stop } = await listening(server);
  await use((host) => {
    const url = new URL(`https://${host}:${port}/token`);
    return exchange({ url, headers: {}, body: '', addresses: ['127.0.0.1'] }, quickLimits);
  });
  await stop();
  return names;
}

test('at a given address TLS still verifies the endpoint’s name', async () => {
  const certificate = await testCertificate({ names: ['login.test'] });
  const before = tls.getCACertificates('default');
  tls.setDefaultCACertificates([...before, certificate.caCertificate]);
  const names = await withHttps(certificate, async (post) => {
    assert.equal((await post('login.test')).kind, 'answer');
    const wrong = await post('other.test');
    assert.deepEqual(wrong, { kind: 'unreachable', code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  });
  tls.setDefaultCACertificates(before);
  assert.deepEqual(names, ['login.test']);
});

test('an endpoint whose certificate nobody vouches for is not spoken to', async () => {
  const names = await withHttps(await testCertificate({ names: ['login.test'] }), async (post) => {
    assert.equal((await post('login.test')).kind, 'unreachable');
  });
  assert.deepEqual(names, []);
});

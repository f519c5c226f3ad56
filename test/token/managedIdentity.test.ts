import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GetCredential } from '../../shared/storage/access.ts';
import { IdentityFailure } from '../../shared/storage/storageFailure.ts';
import { requestIdentityToken } from '../../shared/token/managedIdentity.ts';
import { createTokenSource } from '../../shared/token/tokenSource.ts';
import { quickLimits, tokenDeps } from './fixtures.ts';

const scope = 'https://outlook.office365.com/.default';
const grant = { kind: 'managedIdentity', scope } as const;

function giving(token: string, asked: unknown[] = []): GetCredential {
  return async (identity) => ({
    getToken: async (scopes) => {
      asked.push([identity, scopes]);
      return { token, expiresOnTimestamp: 5_000_000 };
    },
  });
}

test('the identity is asked once and its token kept', async () => {
  const asked: unknown[] = [];
  const deps = tokenDeps({ getCredential: giving('at-1', asked), now: () => 1_000_000 });
  const source = createTokenSource({ ...grant, clientId: 'id-1' }, deps);
  assert.deepEqual([await source.getToken(false), await source.getToken(false)], ['at-1', 'at-1']);
  assert.deepEqual(asked, [[{ kind: 'managedIdentity', clientId: 'id-1' }, scope]]);
});

test('a token goes to the host that a config names, so it is got for mail only', async () => {
  const asked: unknown[] = [];
  const scopes = [
    'https://storage.azure.com/.default',
    'https://vault.azure.net/.default',
    'https://management.azure.com/.default',
    'https://graph.microsoft.com/.default',
    'api://AzureADTokenExchange/.default',
    'https://outlook.office365.com.evil.example/.default',
    'https://outlook.office365.com/.default https://vault.azure.net/.default',
  ];
  for (const foreign of scopes) {
    const asking = requestIdentityToken({ ...grant, scope: foreign }, giving('at', asked), quickLimits);
    await assert.rejects(asking, { reason: 'config', message: /^oauth2Scope .* is not for mail; / });
  }
  assert.deepEqual(asked, []);
});

for (const [name, error, message] of [
  [
    'an app without the identity gets a sentence',
    Object.assign(new Error('IMDS said: secret-internal'), { name: 'CredentialUnavailableError' }),
    'No token for https://outlook.office365.com/.default from managed identity id-1 (CredentialUnavailableError). Check that the function app has this identity and oauth2ClientId.',
  ],
  [
    'why the identity endpoint gave none is said',
    new IdentityFailure('No token for the managed identity id-1: it is away.'),
    'No mail can be read by managed identity id-1. No token for the managed identity id-1: it is away.',
  ],
] as const) {
  test(name, async () => {
    const failing: GetCredential = async () => ({ getToken: () => Promise.reject(error) });
    const asking = requestIdentityToken({ ...grant, clientId: 'id-1' }, failing, quickLimits);
    await assert.rejects(asking, { reason: 'token', message });
  });
}

test('an identity that never answers ends at the deadline', async (context) => {
  // What keeps a process alive in which nothing but an unanswered request is left.
  const alive = setInterval(() => {}, 1_000);
  context.after(() => clearInterval(alive));
  const silent: GetCredential = async () => ({ getToken: () => new Promise(() => {}) });
  await assert.rejects(requestIdentityToken(grant, silent, { ...quickLimits, tryTimeoutMs: 20 }), {
    reason: 'token',
    message: /\(timeout\)/,
  });
});

test('a token that would break the login line is refused', async () => {
  await assert.rejects(requestIdentityToken(grant, giving('a\r\nb'), quickLimits), { reason: 'token' });
});

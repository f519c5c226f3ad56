import assert from 'node:assert/strict';
import { registerHooks } from 'node:module';
import { type TestContext, test } from 'node:test';
import { openSecretsVault, type SecretsVaultOptions } from '../../shared/connection/secretsVault.ts';
import { IdentityFailure } from '../../shared/storage/storageFailure.ts';
import { startLocalVault, vaultHost } from './localVault.ts';

const minute = 60_000;
const secret = { vaultSecret: 'mailbox-orders', column: 'passwordVaultSecret' };

async function open(
  context: TestContext,
  { host = vaultHost, ...change }: Partial<SecretsVaultOptions> & { readonly host?: string } = {},
) {
  const vault = await startLocalVault(context);
  let now = Date.parse('2026-06-01T12:00:00Z');
  const warnings: string[] = [];
  const log = { warn: (sentence: string) => void warnings.push(sentence) };
  const secrets = openSecretsVault({
    url: vault.url.replace(vaultHost, host),
    getCredential: async () => ({
      getToken: async () => ({ token: 'token-of-the-app', expiresOnTimestamp: Date.now() + 3_600_000 }),
    }),
    now: () => now,
    deadlineMs: 5_000,
    clientOptions: { tlsOptions: { ca: vault.caCertificate }, retryOptions: { maxRetries: 0 } },
    ...change,
  });
  return {
    vault,
    warnings,
    /** Moves the clock on. */
    pass: (ms: number) => {
      now += ms;
    },
    read: (refused?: string) => secrets.read(secret, log, refused),
  };
}

test("a secret is read with the app's own identity, once for all who ask, and remembered for five minutes", async (context) => {
  const { vault, read, pass } = await open(context);
  vault.secrets.set('mailbox-orders', 'one');
  assert.deepEqual(await Promise.all([read(), read(), read()]), ['one', 'one', 'one']);
  assert.deepEqual(vault.asked, ['mailbox-orders']);
  assert.deepEqual([...vault.tokens], ['token-of-the-app']);
  vault.secrets.set('mailbox-orders', 'two');
  pass(5 * minute - 1);
  assert.equal(await read(), 'one');
  pass(1);
  assert.equal(await read(), 'two');
  assert.equal(vault.asked.length, 2);
});

test('its library is loaded when a secret is first read', async (context) => {
  const loaded: string[] = [];
  const hooks = registerHooks({
    resolve: (specifier, resolving, next) => {
      loaded.push(specifier);
      return next(specifier, resolving);
    },
  });
  context.after(() => hooks.deregister());
  const { vault, read } = await open(context);
  vault.secrets.set('mailbox-orders', 'one');
  const isLoaded = () => loaded.includes('@azure/keyvault-secrets');
  assert.equal(isLoaded(), false);
  await read();
  assert.equal(isLoaded(), true);
});

test('after a refused login it is asked for at once, unless memory has got another value since', async (context) => {
  const { vault, read } = await open(context);
  vault.secrets.set('mailbox-orders', 'old');
  assert.equal(await read(), 'old');
  vault.secrets.set('mailbox-orders', 'new');
  assert.equal(await read('old'), 'new');
  assert.equal(await read('old'), 'new');
  assert.equal(vault.asked.length, 2);
});

test('while the vault is away the last good value is used for an hour, and said once', async (context) => {
  const { vault, read, pass, warnings } = await open(context);
  vault.secrets.set('mailbox-orders', 'good');
  await read();
  vault.away = true;
  pass(6 * minute);
  assert.equal(await read(), 'good');
  assert.equal(await read('good'), 'good');
  pass(2 * minute);
  assert.equal(await read(), 'good');
  assert.equal(warnings.length, 1);
  assert.match(
    warnings[0] ?? '',
    /^The Key Vault mail-secrets\.vault\.azure\.net:\d+ could not be asked for the secret mailbox-orders \(ECONN\w+\).*for an hour at most\.$/,
  );
  pass(53 * minute);
  await assert.rejects(read(), {
    reason: 'secret',
    message: /could not be asked .* the next run asks again\.$/,
  });
  vault.away = false;
  assert.equal(await read(), 'good');
});

test('a vault that failed is not asked again for a minute while there is a value, not after a refused login either', async (context) => {
  const { vault, read, pass } = await open(context);
  vault.secrets.set('mailbox-orders', 'good');
  await read();
  vault.secrets.set('mailbox-orders', { status: 503, code: 'Unavailable' });
  pass(6 * minute);
  for (const [passedMs, asked] of [
    [0, 2],
    [minute - 1, 2],
    [1, 3],
  ] as const) {
    pass(passedMs);
    assert.deepEqual([await read(), await read('good')], ['good', 'good']);
    assert.equal(vault.asked.length, asked);
  }
});

test('after an outage is over the next one is said again', async (context) => {
  const { vault, read, pass, warnings } = await open(context);
  vault.secrets.set('mailbox-orders', 'good');
  for (let outage = 0; outage < 2; outage += 1) {
    await read();
    vault.away = true;
    pass(6 * minute);
    assert.equal(await read(), 'good');
    vault.away = false;
    pass(2 * minute);
  }
  assert.equal(warnings.length, 2);
});

for (const [answer, says] of [
  [
    { status: 404, code: 'SecretNotFound' },
    /^passwordVaultSecret names the secret mailbox-orders, which the Key Vault mail-secrets\.\S+ does not have; add it there, or correct the name\.$/,
  ],
  [
    { status: 403, code: 'Forbidden', innerCode: 'AccessDenied' },
    /^The app's identity may not read the secret mailbox-orders in the Key Vault \S+ \(HTTP 403\), which passwordVaultSecret names; give it the role Key Vault Secrets User\.$/,
  ],
  [
    { status: 403, code: 'Forbidden', innerCode: 'ForbiddenByRbac' },
    /^The app's identity may not read the secret mailbox-orders in the Key Vault \S+ \(HTTP 403\), which passwordVaultSecret names; give it the role Key Vault Secrets User\.$/,
  ],
  [
    { status: 403, code: 'Forbidden', innerCode: 'SecretDisabled' },
    /^passwordVaultSecret names the secret mailbox-orders, which is disabled or outside its dates in the Key Vault \S+; enable it there\.$/,
  ],
  [
    { status: 403, code: 'Forbidden', innerCode: 'ForbiddenByFirewall' },
    /^The Key Vault \S+ does not let the app in by its network rules \(Forbidden, ForbiddenByFirewall\)/,
  ],
  [
    'two\nlines',
    /whose value must be text of at most 8192 characters without line breaks or NUL; store it so\.$/,
  ],
  ['', /whose value must be text/],
] as const) {
  const name = typeof answer === 'string' ? JSON.stringify(answer) : (Object.values(answer).at(-1) ?? '');
  test(`said in one sentence, at once and for good: ${name}`, async (context) => {
    const { vault, read, pass } = await open(context);
    vault.secrets.set('mailbox-orders', 'good');
    assert.equal(await read(), 'good');
    vault.secrets.set('mailbox-orders', answer);
    pass(5 * minute);
    const expected = { reason: 'secret', message: says };
    await assert.rejects(read(), expected);
    await assert.rejects(read(), expected);
    assert.equal(vault.asked.length, 3);
    vault.away = true;
    await assert.rejects(read(), { message: /could not be asked/ });
  });
}

test('a vault that throttles, fails or keeps silent is away', async (context) => {
  const { vault, read } = await open(context, { deadlineMs: 300 });
  for (const [answer, why] of [
    [{ status: 429, code: 'Throttled' }, /\(HTTP 429 Throttled\)/],
    [{ status: 503, code: 'Unavailable' }, /\(HTTP 503 Unavailable\)/],
    ['silence', /\(TimeoutError\)/],
  ] as const) {
    vault.secrets.set('mailbox-orders', answer);
    await assert.rejects(read(), { reason: 'secret', message: why });
  }
});

test('a token that never comes ends in time', async (context) => {
  const getCredential = async () => ({ getToken: () => new Promise<never>(() => {}) });
  const { read } = await open(context, { getCredential, deadlineMs: 200 });
  await assert.rejects(read(), { reason: 'secret', message: /\(TimeoutError\)/ });
});

test('while the identity gets no token the last good value is used, and the sentence says what it was for', async (context) => {
  const token = { token: 'token-of-the-app', expiresOnTimestamp: Date.now() + 1 };
  let asked = 0;
  const getToken = async () => {
    asked += 1;
    if (asked === 1) return token;
    throw new IdentityFailure('No token for the app’s identity: its endpoint failed (HTTP 500).');
  };
  const { vault, read, pass, warnings } = await open(context, {
    getCredential: async () => ({ getToken }),
    deadlineMs: 300,
  });
  vault.secrets.set('mailbox-orders', 'good');
  assert.equal(await read(), 'good');
  pass(6 * minute);
  assert.equal(await read(), 'good');
  const why =
    /^The Key Vault mail-secrets\S+ could not be asked for the secret mailbox-orders, which passwordVaultSecret names\. No token for the app’s identity: its endpoint failed \(HTTP 500\)\./;
  assert.match(warnings[0] ?? '', why);
  pass(60 * minute);
  await assert.rejects(read(), { reason: 'secret', message: why });
});

test('a challenge for another domain gets no token', async (context) => {
  const asked: unknown[] = [];
  const getToken = async (scopes: unknown) => {
    asked.push(scopes);
    return { token: 'x', expiresOnTimestamp: Date.now() + 3_600_000 };
  };
  const getCredential = async () => ({ getToken });
  const { vault, read } = await open(context, { getCredential, host: '127.0.0.1' });
  await assert.rejects(read(), { reason: 'secret' });
  assert.equal(vault.challenges, 1);
  assert.deepEqual(asked, []);
});

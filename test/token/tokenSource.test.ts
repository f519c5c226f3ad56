import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Recent } from '../../shared/connection/recent.ts';
import { createTokenCache, renewalTime, type TokenState } from '../../shared/token/tokenCache.ts';
import { createTokenSource } from '../../shared/token/tokenSource.ts';
import { clientCredentials, clientSecret, refreshGrant, refreshToken, tokenDeps } from './fixtures.ts';
import { issuing, sendJson, startEndpoint } from './localEndpoint.ts';

const rotating = issuing((number) => ({ refresh_token: `rt-${number}` }));

test('a token serves every source of the same grant until five minutes before its end', async (context) => {
  const endpoint = await startEndpoint(context, issuing());
  let now = 1_000_000;
  const deps = tokenDeps({ now: () => now });
  const grant = clientCredentials(endpoint.url);
  assert.equal(await createTokenSource(grant, deps).getToken(false), 'at-1');
  now += 3_299_999;
  assert.equal(await createTokenSource(grant, deps).getToken(false), 'at-1');
  now += 1;
  assert.equal(await createTokenSource(grant, deps).getToken(false), 'at-2');
});

test('a short-lived token is renewed a tenth of its life before its end, and none is trusted for more than a day', () => {
  assert.equal(renewalTime(0, 60_000), 54_000);
  assert.equal(renewalTime(0, 3_600_000), 3_300_000);
  assert.equal(renewalTime(0, Number.MAX_SAFE_INTEGER), 86_400_000 - 300_000);
  assert.equal(renewalTime(1_000, 500), 1_000);
});

test('a token that is at its end when it comes is given out and not kept', async (context) => {
  const answer = issuing(() => ({ expires_in: 0 }));
  const endpoint = await startEndpoint(context, answer);
  const source = createTokenSource(clientCredentials(endpoint.url), tokenDeps());
  assert.deepEqual([await source.getToken(false), await source.getToken(false)], ['at-1', 'at-2']);
});

test('after a refusal a fresh token is asked for, and then serves all', async (context) => {
  const endpoint = await startEndpoint(context, issuing());
  const deps = tokenDeps();
  const source = createTokenSource(clientCredentials(endpoint.url), deps);
  assert.equal(await source.getToken(false), 'at-1');
  assert.equal(await source.getToken(true), 'at-2');
  assert.equal(await source.getToken(false), 'at-2');
  assert.equal(await createTokenSource(clientCredentials(endpoint.url), deps).getToken(false), 'at-2');
});

test('a source whose token was refused takes the one that another has got since', async (context) => {
  const endpoint = await startEndpoint(context, issuing());
  const deps = tokenDeps();
  const one = createTokenSource(clientCredentials(endpoint.url), deps);
  const other = createTokenSource(clientCredentials(endpoint.url), deps);
  assert.deepEqual([await one.getToken(false), await other.getToken(false)], ['at-1', 'at-1']);
  assert.deepEqual([await one.getToken(true), await other.getToken(true)], ['at-2', 'at-2']);
  assert.equal(await createTokenSource(clientCredentials(endpoint.url), deps).getToken(true), 'at-3');
});

test('those who ask at the same time share one request', async (context) => {
  const endpoint = await startEndpoint(context, issuing());
  const deps = tokenDeps();
  const sources = Array.from({ length: 20 }, () => createTokenSource(clientCredentials(endpoint.url), deps));
  const tokens = await Promise.all(sources.map((source, index) => source.getToken(index % 2 === 0)));
  assert.deepEqual(new Set(tokens), new Set(['at-1']));
  assert.equal(endpoint.requests.length, 1);
});

test('a failed request is shared too, and the next ask starts anew', async (context) => {
  const endpoint = await startEndpoint(context, (response, request, number) =>
    number === 1
      ? sendJson(response, 400, { error: 'invalid_client' })
      : issuing()(response, request, number),
  );
  const source = createTokenSource(clientCredentials(endpoint.url), tokenDeps());
  const [one, other] = await Promise.allSettled([source.getToken(false), source.getToken(false)]);
  assert.deepEqual([one.status, other.status], ['rejected', 'rejected']);
  assert.equal(endpoint.requests.length, 1);
  assert.equal(await source.getToken(false), 'at-2');
});

test('customers, connections and changed secrets never get each other’s token', async (context) => {
  const endpoint = await startEndpoint(context, issuing());
  const deps = tokenDeps();
  const grant = clientCredentials(endpoint.url);
  const tokens = [
    await createTokenSource(grant, deps).getToken(false),
    await createTokenSource(grant, { ...deps, customer: 'fabrikam' }).getToken(false),
    await createTokenSource(grant, { ...deps, connection: 'invoices' }).getToken(false),
    await createTokenSource(grant, { ...deps, customer: 'contosoorders', connection: '' }).getToken(false),
    await createTokenSource({ ...grant, clientSecret: 'renewed' }, deps).getToken(false),
    await createTokenSource({ ...grant, scope: 'other' }, deps).getToken(false),
    await createTokenSource({ ...grant, clientId: 'client-2' }, deps).getToken(false),
    await createTokenSource(grant, deps).getToken(false),
  ];
  assert.deepEqual(tokens, ['at-1', 'at-2', 'at-3', 'at-4', 'at-5', 'at-6', 'at-7', 'at-1']);
});

test('the cache holds so many tokens and no more, those asked for last', async (context) => {
  const endpoint = await startEndpoint(context, issuing());
  const deps = tokenDeps({ cache: createTokenCache(2) });
  const ask = (connection: string) =>
    createTokenSource(clientCredentials(endpoint.url), { ...deps, connection }).getToken(false);
  await ask('a');
  await ask('b');
  await ask('a');
  await ask('c');
  assert.equal(await ask('a'), 'at-1');
  assert.equal(await ask('b'), 'at-4');
});

test('a rotated refresh token is saved, and the config that then holds it gets the cached token', async (context) => {
  const endpoint = await startEndpoint(context, rotating);
  const deps = tokenDeps();
  assert.equal(await createTokenSource(refreshGrant(endpoint.url), deps).getToken(false), 'at-1');
  assert.deepEqual(deps.saved, [['rt-1', refreshToken]]);
  const renewed = createTokenSource(refreshGrant(endpoint.url, { refreshToken: 'rt-1' }), deps);
  assert.equal(await renewed.getToken(false), 'at-1');
  assert.equal(await renewed.getToken(true), 'at-2');
  assert.deepEqual(deps.saved.at(-1), ['rt-2', 'rt-1']);
  // A run that read its config before all that uses the newest as well.
  await createTokenSource(refreshGrant(endpoint.url), deps).getToken(true);
  assert.deepEqual(
    endpoint.requests.map(({ form }) => form.get('refresh_token')),
    [refreshToken, 'rt-1', 'rt-2'],
  );
  assert.deepEqual(deps.warnings, []);
});

test('a refresh token that comes back unchanged, or not at all, is not saved', async (context) => {
  const answer = issuing((number) => (number === 1 ? { refresh_token: refreshToken } : {}));
  const endpoint = await startEndpoint(context, answer);
  const deps = tokenDeps();
  const source = createTokenSource(refreshGrant(endpoint.url), deps);
  await source.getToken(false);
  await source.getToken(true);
  assert.deepEqual(deps.saved, []);
});

test('a rotated refresh token that could not be saved is used and saved later', async (context) => {
  const endpoint = await startEndpoint(context, rotating);
  const saved: string[][] = [];
  let broken = true;
  const deps = tokenDeps({
    saveRefreshToken: async (token, replaced) => {
      if (broken) throw new Error(`disk full at ${token}`);
      saved.push([token, replaced]);
    },
  });
  const source = createTokenSource(refreshGrant(endpoint.url), deps);
  assert.equal(await source.getToken(false), 'at-1');
  assert.match(deps.warnings.join(), /could not be written to oauth2RefreshToken yet/);
  assert.doesNotMatch(deps.warnings.join(), /rt-1/);
  assert.equal(await source.getToken(true), 'at-2');
  broken = false;
  assert.equal(await source.getToken(false), 'at-2');
  assert.deepEqual(saved, [['rt-2', refreshToken]]);
  assert.equal(endpoint.requests[1]?.form.get('refresh_token'), 'rt-1');
});

test('a refresh token from an app setting is kept in memory, with one warning', async (context) => {
  const endpoint = await startEndpoint(context, rotating);
  const deps = tokenDeps();
  const source = createTokenSource(refreshGrant(endpoint.url, { refreshTokenFrom: 'setting' }), deps);
  await source.getToken(false);
  await source.getToken(true);
  await source.getToken(true);
  assert.deepEqual(
    endpoint.requests.map(({ form }) => form.get('refresh_token')),
    [refreshToken, 'rt-1', 'rt-2'],
  );
  assert.deepEqual(deps.saved, []);
  assert.equal(deps.warnings.length, 1);
  assert.match(deps.warnings[0] ?? '', /oauth2RefreshTokenSetting/);
});

test('when the rotated refresh token is refused, the config’s own is tried next', async (context) => {
  const endpoint = await startEndpoint(context, (response, request, number) =>
    request.form.get('refresh_token') === 'rt-1'
      ? sendJson(response, 400, { error: 'invalid_grant' })
      : rotating(response, request, number),
  );
  const source = createTokenSource(refreshGrant(endpoint.url, { refreshTokenFrom: 'setting' }), tokenDeps());
  await source.getToken(false);
  await assert.rejects(source.getToken(true), { reason: 'token' });
  assert.equal(await source.getToken(true), 'at-3');
  assert.equal(endpoint.requests[2]?.form.get('refresh_token'), refreshToken);
});

test('an unusable refresh token in the answer is not taken', async (context) => {
  const answer = issuing((number) => ({ refresh_token: number === 1 ? 'a\r\nb' : 'x'.repeat(8_193) }));
  const endpoint = await startEndpoint(context, answer);
  const deps = tokenDeps();
  const source = createTokenSource(refreshGrant(endpoint.url), deps);
  assert.equal(await source.getToken(false), 'at-1');
  assert.equal(await source.getToken(true), 'at-2');
  assert.deepEqual(deps.saved, []);
  assert.equal(endpoint.requests[1]?.form.get('refresh_token'), refreshToken);
});

test('cache keys tell no secret', async (context) => {
  const endpoint = await startEndpoint(context, issuing());
  const keys: string[] = [];
  class WatchedCache extends Recent<TokenState> {
    override get(key: string): TokenState | undefined {
      keys.push(key);
      return super.get(key);
    }
  }
  const cache = new WatchedCache(1);
  await createTokenSource(clientCredentials(endpoint.url), tokenDeps({ cache })).getToken(false);
  assert.equal(keys.length, 1);
  assert.match(keys[0] ?? '', /^[A-Za-z0-9+/]{43}=$/);
  assert.doesNotMatch(keys.join(), new RegExp(clientSecret));
});

import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { toDeliveryProblem } from '../../shared/destination/serviceBusFailure.ts';
import type { Identity } from '../../shared/settings/account.ts';
import { createGetCredential, type TokenLimits } from '../../shared/storage/credential.ts';
import { failing, IdentityFailure } from '../../shared/storage/storageFailure.ts';
import { openTable } from '../../shared/storage/tables.ts';
import { type IdentityAnswer, startIdentityEndpoint } from '../testbed/identityEndpoint.ts';

const limits: TokenLimits = { tokenMs: 3_000, tryMs: 600, maxRetryAfterMs: 1_000 };
const getCredential = createGetCredential(limits);
const system: Identity = { kind: 'managedIdentity' };

const endpoint = await startIdentityEndpoint();
Object.assign(process.env, endpoint.env);
afterEach(() => {
  endpoint.answer = () => ({ kind: 'token', token: 'identity-token' });
});
after(async () => {
  for (const name of Object.keys(endpoint.env)) delete process.env[name];
  await endpoint.stop();
});

/** The library keeps tokens by identity and resource for the process's life, so each test has its own. */
let resources = 0;
const freshScope = () => `https://resource-${++resources}.example/.default`;

async function failureOf(answer: IdentityAnswer, identity: Identity = system) {
  endpoint.answer = () => answer;
  const startedMs = performance.now();
  const credential = await getCredential(identity);
  try {
    await credential.getToken(freshScope());
  } catch (error) {
    assert.ok(error instanceof IdentityFailure);
    return { error, message: error.message, tookMs: performance.now() - startedMs };
  }
  return assert.fail('there was a token');
}

test('an identity endpoint that never answers ends in time, and the next call asks anew', async () => {
  const { message, tookMs } = await failureOf({ kind: 'silence' });
  assert.equal(
    message,
    "No token for the app's system-assigned identity: the identity endpoint did not answer within 3 s. The app asks anew by itself; if it goes on, restart the function app.",
  );
  assert.ok(tookMs < limits.tokenMs + 300, `${tookMs} ms`);
  const credential = await getCredential(system);
  const scope = freshScope();
  await assert.rejects(credential.getToken(scope), IdentityFailure);
  endpoint.answer = () => ({ kind: 'token', token: 'later' });
  assert.equal((await credential.getToken(scope))?.token, 'later');
});

test('one answer that is lost costs a try, and no token', async () => {
  let answers = 0;
  endpoint.answer = () => (++answers === 1 ? { kind: 'silence' } : { kind: 'token', token: 'second' });
  const credential = await getCredential(system);
  assert.equal((await credential.getToken(freshScope()))?.token, 'second');
});

test('nothing is left waiting after a silence', async () => {
  await failureOf({ kind: 'silence' });
  const asked = endpoint.asked.length;
  for (let waitedMs = 0; endpoint.openConnections > 0 && waitedMs < 15_000; waitedMs += 100) await wait(100);
  assert.equal(endpoint.openConnections, 0);
  assert.ok(endpoint.asked.length - asked <= 4);
});

test('Retry-After is heeded where it fits the time, and is no reason to wait where it does not', async () => {
  let answers = 0;
  endpoint.answer = () =>
    ++answers === 1
      ? { kind: 'refusal', status: 429, retryAfter: '1' }
      : { kind: 'token', token: 'after a second' };
  const credential = await getCredential(system);
  const startedMs = performance.now();
  assert.equal((await credential.getToken(freshScope()))?.token, 'after a second');
  assert.ok(performance.now() - startedMs >= 950);
  const { message, tookMs } = await failureOf({ kind: 'refusal', status: 429, retryAfter: '3600' });
  assert.match(message, /is throttling \(HTTP 429\)/);
  assert.ok(tookMs < 500, `${tookMs} ms`);
});

const refusals: readonly (readonly [number, Identity, string])[] = [
  [
    400,
    { kind: 'managedIdentity', clientId: 'id-1' },
    'No token for the managed identity id-1: the identity endpoint does not know this identity (HTTP 400). Assign it to the function app, or correct the app setting that names it.',
  ],
  [
    403,
    system,
    "No token for the app's system-assigned identity: the identity endpoint refused (HTTP 403). Check that this identity is assigned to the function app.",
  ],
  [
    429,
    system,
    "No token for the app's system-assigned identity: the identity endpoint is throttling (HTTP 429). The app asks anew by itself.",
  ],
  [
    500,
    system,
    "No token for the app's system-assigned identity: the identity endpoint failed (HTTP 500). The app asks anew by itself; if it goes on, restart the function app.",
  ],
];

for (const [status, identity, sentence] of refusals) {
  test(`HTTP ${status} of the identity endpoint is named as what it is`, async () => {
    const asked = endpoint.asked.length;
    assert.equal((await failureOf({ kind: 'refusal', status }, identity)).message, sentence);
    if (status === 500) assert.ok(endpoint.asked.length - asked > 1, 'it is tried again');
  });
}

test('a user-assigned identity is asked for by the id that the settings give', async () => {
  const ids = [
    [{ clientId: 'c' }, 'client_id'],
    [{ objectId: 'o' }, 'object_id'],
    [{ resourceId: '/subscriptions/1/r' }, 'mi_res_id'],
  ] as const;
  for (const [named, parameter] of ids) {
    const credential = await getCredential({ kind: 'managedIdentity', ...named });
    await credential.getToken(freshScope());
    assert.equal(endpoint.asked.at(-1)?.get(parameter), Object.values(named)[0]);
  }
});

test('a call of storage by identity ends with the token’s own failure, and works once there is a token', async () => {
  const access = {
    kind: 'identity',
    blobEndpoint: 'https://b.invalid',
    queueEndpoint: 'https://q.invalid',
    tableEndpoint: 'https://t.invalid',
    identity: { kind: 'managedIdentity', clientId: 'storage' },
  } as const;
  const quick = { tries: 1, tryMs: 10_000, callMs: 20_000, firstDelayMs: 1, maxDelayMs: 1 };
  const table = await openTable(access, 'Connections', getCredential, quick);
  endpoint.answer = () => ({ kind: 'silence' });
  const read = () => table.getEntity('a', 'b').catch(failing('reading the table EmailConnections'));
  await assert.rejects(read(), {
    reason: 'storage',
    message:
      /^Storage could not be used while reading the table EmailConnections\. No token for the managed identity storage: the identity endpoint did not answer within 3 s\./,
  });
  endpoint.answer = () => ({ kind: 'token', token: 'identity-token' });
  await assert.rejects(read(), /Storage at t\.invalid could not be reached \((ENOTFOUND|EAI_AGAIN)\)/);
});

test('Service Bus by identity: the same words', async () => {
  const { error } = await failureOf({ kind: 'refusal', status: 403 });
  const { failure, retry, scope } = toDeliveryProblem(error, { queueName: 'orders', namespace: 'ns' });
  assert.deepEqual([failure.reason, retry, scope], ['token', 'reconnect', 'queue']);
  assert.equal(
    failure.message,
    "Service Bus namespace ns could not be used. No token for the app's system-assigned identity: the identity endpoint refused (HTTP 403). Check that this identity is assigned to the function app.",
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectionAuth } from '../../shared/connection/config.ts';
import { openWithSecrets, outerBlanksHint, type ResolvedAuth } from '../../shared/connection/withSecrets.ts';
import { Failure } from '../../shared/failure/failure.ts';

const named = (name: string) => ({ vaultSecret: name, column: 'passwordVaultSecret' });
const byVault: ConnectionAuth = { kind: 'password', password: named('mailbox-orders') };
const refused = () => new Failure('login', 'Refused. Check username and password.');

/** A vault whose secret is `old` in memory, and `current` when asked anew. */
function vaultWith(current: string) {
  const reads: (string | undefined)[] = [];
  const read = async (_secret: unknown, rejected?: string) => {
    reads.push(rejected);
    return rejected === undefined ? 'old' : current;
  };
  return { reads, read };
}

test('after a refusal it is tried once more, with what the vault has by now', async () => {
  const { reads, read } = vaultWith('new');
  const tried: ResolvedAuth[] = [];
  const opened = await openWithSecrets({ auth: byVault, username: 'anna' }, read, async (auth) => {
    tried.push(auth);
    if (tried.length === 1) throw refused();
    return 'open';
  });
  assert.equal(opened, 'open');
  assert.deepEqual(tried, [
    { kind: 'password', password: 'old' },
    { kind: 'password', password: 'new' },
  ]);
  assert.deepEqual(reads, [undefined, 'old']);
});

test('with the same value it is not: every try may count toward locking the account', async () => {
  const { read } = vaultWith('old');
  let tries = 0;
  const opening = openWithSecrets({ auth: byVault, username: 'anna' }, read, async () => {
    tries += 1;
    throw refused();
  });
  await assert.rejects(opening, { reason: 'login', message: 'Refused. Check username and password.' });
  assert.equal(tries, 1);
});

test('what fails for another reason, and a secret that stands in the config, is tried once', async () => {
  for (const [auth, failure] of [
    [byVault, new Failure('timeout', 'Late.')],
    [{ kind: 'password', password: 'p' }, refused()],
  ] as const) {
    const { reads, read } = vaultWith('new');
    let tries = 0;
    const opening = openWithSecrets({ auth, username: 'anna' }, read, async () => {
      tries += 1;
      throw failure;
    });
    await assert.rejects(opening, failure);
    assert.deepEqual([tries, reads.filter((each) => each !== undefined)], [1, []]);
  }
});

test('both secrets of a grant come from the vault, and a refused client has them read anew', async () => {
  const auth: ConnectionAuth = {
    kind: 'oauth2',
    grant: {
      kind: 'refreshToken',
      authority: { kind: 'tenant', tenantId: 'example.com' },
      clientId: 'client',
      clientSecret: named('mailbox-client'),
      refreshToken: named('mailbox-token'),
      refreshTokenFrom: 'vault',
    },
  };
  const current = new Map([
    ['mailbox-client', 'client 1'],
    ['mailbox-token', 'token 1'],
  ]);
  const tried: unknown[] = [];
  await openWithSecrets(
    { auth, username: 'anna' },
    async ({ vaultSecret }) => current.get(vaultSecret) ?? '',
    async (resolved) => {
      assert.ok(resolved.kind === 'oauth2' && resolved.grant.kind === 'refreshToken');
      tried.push([resolved.grant.clientSecret, resolved.grant.refreshToken]);
      current.set('mailbox-client', 'client 2');
      if (tried.length === 1) throw new Failure('token', 'invalid_client');
    },
  );
  assert.deepEqual(tried, [
    ['client 1', 'token 1'],
    ['client 2', 'token 1'],
  ]);
});

test('white space and invisible characters around a value are said after a refusal, and shown never', async () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ['secret', undefined],
    ['two words', undefined],
    [' secret', 'start'],
    ['secret\t', 'end'],
    ['\ufeffsecret', 'start'],
    ['secret\u200b', 'end'],
    ['\u00a0secret\u00a0', 'start and end'],
    ['secret\u2060', 'end'],
    ['\u00adsecret', 'start'],
    ['secret\u3000', 'end'],
    ['secret\u2800', 'end'],
    [' ', 'start and end'],
  ];
  for (const [value, places] of cases) {
    const sentence =
      places &&
      `The password has a blank or an invisible character at its ${places}; if that is not meant, store it without.`;
    assert.equal(outerBlanksHint('The password', value), sentence, JSON.stringify(value));
  }
  const fail = (username: string, password: string) =>
    openWithSecrets(
      { auth: { kind: 'password', password }, username },
      async () => '',
      async () => {
        throw refused();
      },
    );
  await assert.rejects(fail('anna\u00a0', 'secret '), (error: Error) => {
    assert.equal(
      error.message,
      'Refused. Check username and password. The user name has a blank or an invisible character at its end; if that is not meant, store it without. The password has a blank or an invisible character at its end; if that is not meant, store it without.',
    );
    return true;
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectionStore } from '../../shared/connection/connectionStore.ts';
import { Failure } from '../../shared/failure/failure.ts';
import type { HttpDependencies } from '../../shared/http/dependencies.ts';
import { testConnection } from '../../shared/http/testConnection.ts';
import type { MailboxSession } from '../../shared/mailbox/mailbox.ts';
import { dependenciesWith, requestOf } from './dependencies.ts';

const columns = { host: 'mail.example.com', hostType: 'IMAP', username: 'anna', password: 'hunter2' };

function testing(openSession: HttpDependencies['openSession'], testTimeoutMs = 30_000) {
  const store: Partial<ConnectionStore> = { read: async () => undefined };
  return testConnection(
    requestOf('POST', { customer: 'acme', connection: 'orders' }, columns),
    dependenciesWith({ connections: async () => store as ConnectionStore, openSession, testTimeoutMs }),
  );
}

function sessionOf(count: () => Promise<number>, onClose: () => void): MailboxSession {
  const session: Partial<MailboxSession> = {
    sample: async () => ({ count: await count(), heads: [] }),
    close: async () => {
      onClose();
      return true;
    },
  };
  return session as MailboxSession;
}

test('a server that keeps silent ends the test in time, and its connection is closed when it can be', async () => {
  const listing = Promise.withResolvers<never>();
  const closed = Promise.withResolvers<void>();
  const answer = await testing(async () => sessionOf(() => listing.promise, closed.resolve), 50);
  assert.equal(answer.status, 200);
  assert.match(JSON.stringify(answer.json), /"ok":false,"error":"The test took longer than 0.05 s/);
  listing.reject(new Failure('timeout', 'Late.'));
  await closed.promise;
});

test('a session whose count fails is closed all the same', async () => {
  let closed = 0;
  const failing = () => Promise.reject(new Failure('protocol', 'The server is confused.'));
  const answer = await testing(async () => sessionOf(failing, () => (closed += 1)));
  assert.deepEqual(answer.json, { ok: false, error: 'The server is confused.' });
  assert.equal(closed, 1);
});

test('an error that was not foreseen is said without its text', async () => {
  const answer = await testing(() => Promise.reject(new TypeError('hunter2')));
  assert.deepEqual(answer.json, { ok: false, error: 'Unexpected TypeError while testing the connection.' });
});

test('only so many tests run at a time; the next is told to wait', async () => {
  const opening = Promise.withResolvers<MailboxSession>();
  const running = Array.from({ length: 8 }, () => testing(() => opening.promise));
  // Each is counted once it has asked for its session.
  let refused = await testing(() => Promise.reject(new Failure('refused', 'No.')));
  while (refused.status === 200) refused = await testing(() => Promise.reject(new Failure('refused', 'No.')));
  assert.equal(refused.status, 429);
  assert.equal(refused.headers?.['Retry-After'], '60');
  const noMails = async () => 0;
  opening.resolve(sessionOf(noMails, () => undefined));
  for (const answer of await Promise.all(running)) assert.deepEqual(answer.json, { ok: true, mails: 0 });
  const next = await testing(() => Promise.reject(new Failure('refused', 'No.')));
  assert.deepEqual(next.json, { ok: false, error: 'No.' });
});

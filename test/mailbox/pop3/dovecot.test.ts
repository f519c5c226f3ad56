import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { MailboxOptions, MailboxSession } from '../../../shared/mailbox/mailbox.ts';
import { openPop3Mailbox } from '../../../shared/mailbox/pop3/pop3Mailbox.ts';
import { type Dovecot, startDovecot } from '../../testbed/dovecot.ts';
import { listMaildir, seedMaildir } from '../../testbed/seed.ts';
import { fetchAll } from '../memory.ts';
import { drain, failureOf, measured, password, pop3Options, sources } from './sessions.ts';
import { variedMails } from './variedMails.ts';

const users = ['plain', 'starttls', 'tls', 'stream', 'early'];

describe('POP3 against Dovecot', () => {
  let dovecot: Dovecot;
  before(async () => {
    dovecot = await startDovecot({ users: users.map((user) => ({ user, password })) });
  });
  after(() => dovecot.stop());

  const optionsFor = (user: string, changes: Partial<MailboxOptions> = {}) =>
    pop3Options(dovecot.pop3Port, { username: user, caCertificate: dovecot.caCertificate, ...changes });

  for (const security of ['plain', 'starttls', 'tls'] as const) {
    it(`drains 200 varied mails byte for byte and deletes them (${security})`, async () => {
      const mails = variedMails(200);
      await seedMaildir(dovecot.maildir(security), mails);
      const port = security === 'tls' ? dovecot.pop3sPort : dovecot.pop3Port;
      const options = optionsFor(security, { security, port });
      const session = await openPop3Mailbox(options);
      assert.equal(session.endpoint, `${security === 'tls' ? 'pop3s' : 'pop3'}://127.0.0.1:${port}`);

      const { answers, confirmed } = await drain(session);

      assert.equal(confirmed, true);
      assert.deepEqual(sources(answers), mails);
      assert.equal(new Set(answers.map(({ mail }) => mail.key)).size, mails.length);
      assert.equal(session.mailboxId, `["pop3","127.0.0.1","${security}"]`);
      assert.deepEqual(await listMaildir(dovecot.maildir(security)), []);
    });
  }

  it('gives the same keys in the next session, and the oldest first', async () => {
    await seedMaildir(dovecot.maildir('stream'), variedMails(10));
    const first = await openPop3Mailbox(optionsFor('stream'));
    const all = await first.list(100);
    assert.equal(await first.close(), true);
    const second = await openPop3Mailbox(optionsFor('stream'));
    const oldest = await second.list(3);
    await second.close();
    assert.deepEqual(
      oldest.map(({ key }) => key),
      all.slice(0, 3).map(({ key }) => key),
    );
  });

  it('streams a mail with the same bytes, and deletes nothing unasked', async () => {
    await seedMaildir(dovecot.maildir('early'), variedMails(10));
    const session = await openPop3Mailbox(optionsFor('early', { wholeBytes: 0 }));
    const mails = await measured(session);
    const streamed = await fetchAll(session, mails);
    assert.deepEqual(sources(streamed), variedMails(10));
    assert.ok(streamed.every((one) => one.kind === 'mail' && !one.isWhole));
    await session.close();
    assert.equal((await listMaildir(dovecot.maildir('early'))).length, 10);
  });
});

describe('POP3 against a Dovecot that lets one in', () => {
  it('fails as busy when there are too many connections, and gets in later', async () => {
    const dovecot = await startDovecot({ users: [{ user: 'x', password }], maxConnectionsPerUser: 1 });
    try {
      const first = await openPop3Mailbox(pop3Options(dovecot.pop3Port));
      const failure = await failureOf(openPop3Mailbox(pop3Options(dovecot.pop3Port)), 'busy');
      // 2.4 leaves the code out.
      assert.match(failure.message, /met too many connections: (\[IN-USE\]|Maximum)/);
      assert.equal(await first.close(), true);
      // The server notices a little later that a session is over.
      let opened: MailboxSession | undefined;
      while (opened === undefined)
        opened = await openPop3Mailbox(pop3Options(dovecot.pop3Port)).catch(() => undefined);
      await opened.close();
    } finally {
      await dovecot.stop();
    }
  });
});

import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import type { MailboxSession } from '../../../shared/mailbox/mailbox.ts';
import { openPop3Mailbox } from '../../../shared/mailbox/pop3/pop3Mailbox.ts';
import { startDovecot } from '../../testbed/dovecot.ts';
import { listMaildir, seedMaildir } from '../../testbed/seed.ts';
import { failureOf } from '../outcomes.ts';
import { drain, password, pop3Options, sources } from './sessions.ts';
import { variedMails } from './variedMails.ts';

const securities = ['plain', 'starttls', 'tls'] as const;

const dovecot = await startDovecot({ users: securities.map((user) => ({ user, password })) });
after(() => dovecot.stop());

describe('POP3 against Dovecot', () => {
  for (const security of securities) {
    it(`drains 200 varied mails byte for byte and deletes them (${security})`, async () => {
      const mails = variedMails(200);
      await seedMaildir(dovecot.maildir(security), mails);
      const port = security === 'tls' ? dovecot.pop3sPort : dovecot.pop3Port;
      const { caCertificate } = dovecot;
      const session = await openPop3Mailbox(
        pop3Options(port, { username: security, security, caCertificate }),
      );
      assert.equal(session.endpoint, `${security === 'tls' ? 'pop3s' : 'pop3'}://127.0.0.1:${port}`);

      const { answers, confirmed } = await drain(session);

      assert.equal(confirmed, true);
      assert.deepEqual(sources(answers), mails);
      assert.equal(new Set(answers.map(({ mail }) => mail.key)).size, mails.length);
      assert.equal(session.mailboxId, `["pop3","127.0.0.1","${security}"]`);
      assert.deepEqual(await listMaildir(dovecot.maildir(security)), []);
    });
  }
});

describe('POP3 against a Dovecot that lets one in', () => {
  it('fails as busy when there are too many connections, and gets in later', async (t) => {
    const small = await startDovecot({ users: [{ user: 'x', password }], maxConnectionsPerUser: 1 });
    t.after(() => small.stop());
    const options = pop3Options(small.pop3Port);
    const first = await openPop3Mailbox(options);
    const failure = await failureOf(openPop3Mailbox(options), 'busy');
    // 2.4 leaves the code out.
    assert.match(failure.message, /met too many connections: (\[IN-USE\]|Maximum)/);
    assert.equal(await first.close(), true);
    // The server notices a little later that a session is over.
    let opened: MailboxSession | undefined;
    while (opened === undefined) opened = await openPop3Mailbox(options).catch(() => undefined);
    await opened.close();
  });
});

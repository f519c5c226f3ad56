import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MailboxSession, MeasuredMail } from '../../../shared/mailbox/mailbox.ts';
import { openPop3Mailbox } from '../../../shared/mailbox/pop3/pop3Mailbox.ts';
import { type ScriptedServer, startScriptedServer } from './scriptedServer.ts';
import { fetched, measured, pop3Options } from './sessions.ts';

const mails = Array.from({ length: 4 }, (_, index) => Buffer.from(`Subject: ${index}\r\n\r\nhello\r\n`));

/** Gmail keeps from later sessions what was retrieved in one that ended by QUIT, deleted or not. */
async function withSession(
  host: string,
  use: (session: MailboxSession, server: ScriptedServer) => Promise<void>,
): Promise<void> {
  const answer = (command: string) => (command === 'RETR 4' ? '-ERR not available\r\n' : undefined);
  const server = await startScriptedServer({ mails, answer });
  try {
    await use(await openPop3Mailbox(pop3Options(server.port, { host, addresses: ['127.0.0.1'] })), server);
  } finally {
    await server.stop();
  }
}

async function fetchAll(session: MailboxSession): Promise<readonly MeasuredMail[]> {
  const mails: MeasuredMail[] = [];
  for await (const { kind, mail } of fetched(session, await measured(session))) {
    if (kind === 'mail') mails.push(mail);
  }
  return mails;
}

const quits = ({ commands }: ScriptedServer) => commands.filter((line) => line === 'QUIT').length;

describe('Gmail by POP3', () => {
  it('is left without QUIT while a mail was retrieved and not delivered, and has deleted none then', () =>
    withSession('pop.gmail.com', async (session, server) => {
      const fetched = await fetchAll(session);
      await session.settle(fetched.slice(0, 2));
      assert.equal(await session.close(), false);
      assert.equal(quits(server), 0);
      assert.equal(server.deleted(), 0);
    }));

  it('is left without QUIT when nothing was delivered, which leaves nothing to confirm', () =>
    withSession('POP.GMAIL.COM', async (session, server) => {
      await fetchAll(session);
      assert.equal(await session.close(), true);
      assert.equal(quits(server), 0);
    }));

  it('is left without QUIT when a consumer stopped while more was on the wire', () =>
    withSession('pop.googlemail.com', async (session, server) => {
      const all = await measured(session);
      const [first] = all;
      assert.ok(first);
      for await (const { mail } of fetched(session, all)) {
        assert.equal(mail.id, first.id);
        break;
      }
      await session.settle([first]);
      assert.equal(await session.close(), false);
      assert.equal(quits(server), 0);
    }));

  it('is left by QUIT when all that it handed over was delivered', () =>
    withSession('pop.gmail.com', async (session, server) => {
      await session.settle(await fetchAll(session));
      assert.equal(await session.close(), true);
      assert.equal(server.deleted(), 3);
    }));

  it('is the only one to be left so', () =>
    withSession('notgmail.com', async (session, server) => {
      const fetched = await fetchAll(session);
      await session.settle(fetched.slice(0, 2));
      assert.equal(await session.close(), true);
      assert.equal(server.deleted(), 2);
    }));
});

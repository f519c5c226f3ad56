import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MailboxSession, MeasuredMail } from '../../../shared/mailbox/mailbox.ts';
import { fetchAll, fetched } from '../memory.ts';
import { fullCapabilities, type ScriptedServer } from './scriptedServer.ts';
import { measured, withSession } from './sessions.ts';

const mails = Array.from({ length: 4 }, (_, index) => Buffer.from(`Subject: ${index}\r\n\r\nhello\r\n`));

/** A server of this host name, or with this capability, that withholds the last of four mails. */
const withServerOf = (
  name: string,
  use: (session: MailboxSession, server: ScriptedServer) => Promise<void>,
) =>
  withSession(
    {
      ...{ mails, answer: { 'RETR 4': '-ERR not available\r\n' } },
      ...(/^expire/i.test(name)
        ? { capa: [...fullCapabilities, name] }
        : { options: { host: name, addresses: ['127.0.0.1'] } }),
    },
    use,
  );

async function retrieveAll(session: MailboxSession): Promise<readonly MeasuredMail[]> {
  const answers = await fetchAll(session, await measured(session));
  return answers.filter(({ kind }) => kind === 'mail').map(({ mail }) => mail);
}

const isQuit = ({ commands }: ScriptedServer) => commands.includes('QUIT');

describe('A POP3 server that hides from later sessions what was retrieved in one that ended by QUIT', () => {
  for (const name of [
    ...['pop.gmail.com', 'POP.GMAIL.COM', 'pop.googlemail.com'],
    ...['EXPIRE 0', 'EXPIRE0', 'expire 0 USER'],
  ]) {
    it(`is left without it while a mail was retrieved and not delivered, and has deleted none then (${name})`, () =>
      withServerOf(name, async (session, server) => {
        await session.settle((await retrieveAll(session)).slice(0, 2));
        assert.equal(await session.close(), false);
        assert.deepEqual([isQuit(server), server.deleted()], [false, 0]);
      }));

    it(`is left by QUIT when all that it handed over was delivered (${name})`, () =>
      withServerOf(name, async (session, server) => {
        await session.settle(await retrieveAll(session));
        assert.equal(await session.close(), true);
        assert.equal(server.deleted(), 3);
      }));
  }

  for (const name of ['notgmail.com', 'EXPIRE 60', 'EXPIRE NEVER']) {
    it(`is none by its name or capability (${name}), and left by QUIT`, () =>
      withServerOf(name, async (session, server) => {
        await session.settle((await retrieveAll(session)).slice(0, 2));
        assert.equal(await session.close(), true);
        assert.deepEqual([isQuit(server), server.deleted()], [true, 2]);
      }));
  }

  it('is left by QUIT when the others were withheld, or gone, as their keys were to be made from their content', () => {
    const answer = { 'RETR 2': '-ERR disk error\r\n', 'RETR 3': '-ERR no such message\r\n' };
    const script = { mails, answer, uidls: false, capa: ['PIPELINING', 'USER', 'EXPIRE 0'] } as const;
    return withSession(script, async (session, server) => {
      await session.settle(await retrieveAll(session));
      assert.equal(await session.close(), true);
      assert.equal(server.deleted(), 2);
    });
  });

  it('is left without QUIT when nothing was delivered, which leaves nothing to confirm', () =>
    withServerOf('pop.gmail.com', async (session, server) => {
      await retrieveAll(session);
      assert.equal(await session.close(), true);
      assert.ok(!isQuit(server));
    }));

  it('is asked for no mail ahead, so that a consumer who stops early hides none and can still end by QUIT', () =>
    withServerOf('EXPIRE 0', async (session, server) => {
      const all = await measured(session);
      for await (const { mail } of fetched(session, all)) {
        assert.equal(mail.id, 1);
        break;
      }
      await session.settle(all.slice(0, 1));
      assert.equal(await session.close(), true);
      assert.equal(server.deleted(), 1);
      assert.deepEqual(
        server.commands.filter((line) => line.startsWith('RETR')),
        ['RETR 1'],
      );
    }));

  it('is left without it while a mail that was retrieved for its key alone was not delivered', () => {
    const script = { mails, uidls: false, capa: ['PIPELINING', 'USER', 'EXPIRE 0'] } as const;
    return withSession(script, async (session, server) => {
      await session.settle((await measured(session)).slice(0, 3));
      assert.equal(await session.close(), false);
      assert.deepEqual([isQuit(server), server.deleted()], [false, 0]);
    });
  });

  it('is left without it, too, when it is closed as the last mails are being deleted', () =>
    withServerOf('EXPIRE 0', async (session, server) => {
      const settling = session.settle((await retrieveAll(session)).slice(0, 2));
      assert.equal(await session.close(), false);
      await settling;
      assert.deepEqual([isQuit(server), server.deleted()], [false, 0]);
    }));
});

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { MailboxSession } from '../../../shared/mailbox/mailbox.ts';
import { readMaildir } from '../../testbed/seed.ts';
import { flagDeleted, newUser, optionsOn, startServer } from './dovecotUsers.ts';
import { failureOf, fetchAll, listAndMeasure, onServer, withSession } from './drain.ts';
import { type Answer, aMail, optionsFor, smallMails, withServer } from './scriptedImapServer.ts';

const server = await startServer();
after(() => server.stop());

test('mails that were flagged and not expunged, for the connection was lost, are found and expunged', async () => {
  const user = await newUser(smallMails(4), server);
  const options = optionsOn(server, user, { deleteMails: true });
  // As a run leaves them whose connection goes between STORE and EXPUNGE.
  await flagDeleted(options, '2:3');
  await withSession(options, async (session) => {
    assert.deepEqual(
      (await session.list(10)).map(({ id }) => id),
      [1, 4],
      'they are no candidates any more',
    );
    const half = await session.listHalfSettled();
    assert.deepEqual(half, [
      { key: '2', id: 2 },
      { key: '3', id: 3 },
    ]);
    const heads = await session.readHeads(half, 10);
    assert.deepEqual(
      half.map((mail) => heads.get(mail)?.toString()),
      ['Subject: 2', 'Subject: 3'],
    );
    await session.settle(half);
    assert.deepEqual(await session.listHalfSettled(), []);
  });
  assert.deepEqual(await readMaildir(server.maildir(user)), [smallMails(1)[0], smallMails(4)[3]]);
});

test('a connection lost between STORE and EXPUNGE fails the settle and leaves the mails flagged', async () => {
  const answers: Record<string, Answer> = {
    'UID EXPUNGE': ({ earlier }, wire) => {
      if (earlier === 0) wire.reset();
      return undefined;
    },
    'UID SEARCH': ({ args }) => (/\bDELETED/.test(args) ? '* SEARCH 1 2\r\nTAG OK done\r\n' : undefined),
  };
  await withServer({ answers }, async ({ port, commands }) => {
    const options = optionsFor(port, { deleteMails: true });
    await withSession(options, async (session) => {
      const failure = await failureOf(session.settle(await listAndMeasure(session)));
      assert.equal(failure.reason, 'connection-lost');
    });
    await withSession(options, async (session) => session.settle(await session.listHalfSettled()));
    assert.equal(commands.filter(({ name }) => name === 'UID EXPUNGE').at(-1)?.args, '1:2');
  });
});

test('a session that marks mails as read has none half done, and asks the server nothing', async () => {
  await onServer({ mails: [aMail] }, async (session, { commands }) => {
    assert.deepEqual(await session.listHalfSettled(), []);
    assert.equal(commands.filter(({ name }) => name === 'UID SEARCH').length, 0);
  });
});

test('the beginnings of mails that are gone are left out, and of none nothing is asked', async () => {
  const user = await newUser(smallMails(2), server);
  await withSession(optionsOn(server, user), async (session) => {
    const [first] = await session.list(10);
    assert.ok(first);
    const unknown = { key: '99', id: 99 };
    const heads = await session.readHeads([first, unknown], 1_000_000);
    assert.deepEqual([...heads], [[first, smallMails(1)[0]]]);
    assert.equal((await session.readHeads([], 10)).size, 0);
  });
});

test('what was left half settled is found among 200,000 read mails', async () => {
  const found = Array.from({ length: 200_000 }, (_, index) => index + 1);
  const SEARCH: Answer = ({ args }) =>
    /\bSEEN/.test(args) ? `* SEARCH ${found.join(' ')}\r\nTAG OK done\r\n` : undefined;
  await onServer(
    { answers: { 'UID SEARCH': SEARCH }, options: { moveToFolder: 'Done' } },
    async (session) => {
      assert.equal((await session.listHalfSettled()).length, found.length);
    },
  );
});

for (const [name, changes, capabilities] of [
  ['deleted', { deleteMails: true }, 'IMAP4rev1 UIDPLUS'],
  ['moved by COPY', { moveToFolder: 'Done' }, 'IMAP4rev1 UIDPLUS'],
  ['moved by MOVE', { moveToFolder: 'Done' }, 'IMAP4rev1 MOVE'],
] as const) {
  test(`mails that are ${name} take no other with them where the session connects anew and has neither MOVE nor UIDPLUS then`, async () => {
    const LOGIN: Answer = ({ earlier }) =>
      `TAG OK [CAPABILITY ${earlier === 0 ? capabilities : 'IMAP4rev1'}] logged in\r\n`;
    let settling: Promise<unknown> | undefined;
    const answers: Record<string, Answer> = {
      LOGIN,
      // Another's is flagged too.
      'UID SEARCH': ({ args }) => (/\bDELETED/.test(args) ? '* SEARCH 1 9\r\nTAG OK done\r\n' : undefined),
      FETCH: (_command, wire) => {
        if (settling !== undefined) return undefined;
        settling = session?.settle([{ key: '1', id: 1 }]);
        wire.reset();
        return '';
      },
    };
    let session: MailboxSession | undefined;
    await onServer({ capabilities: 'IMAP4rev1', answers, options: changes }, async (opened, { commands }) => {
      session = opened;
      await fetchAll(opened, await listAndMeasure(opened));
      const stay = await settling;
      const done = commands
        .map(({ name: command }) => command)
        .filter((one) => /EXPUNGE|COPY|MOVE/.test(one));
      assert.deepEqual(done, 'moveToFolder' in changes ? ['UID COPY'] : []);
      assert.deepEqual(stay, [{ key: '1', id: 1 }], 'it stays flagged, for a later run');
    });
  });
}

for (const [step, capabilities, changes, order] of [
  ['UID SEARCH', '', { deleteMails: true }, ['EXPUNGE', 'UID FETCH']],
  ['UID COPY', ' UIDPLUS', { moveToFolder: 'Done' }, ['UID EXPUNGE', 'UID FETCH']],
] as const) {
  test(`no fetch, which may connect anew, comes between ${step} and EXPUNGE`, async () => {
    let fetching: Promise<unknown> | undefined;
    let session: MailboxSession | undefined;
    const answers: Record<string, Answer> = {
      LOGIN: ({ earlier }) =>
        `TAG OK [CAPABILITY IMAP4rev1${earlier === 0 ? capabilities : ' UIDPLUS'}] logged in\r\n`,
      [step]: ({ args }) => {
        if (/\bDELETED|Done/.test(args))
          fetching = session && fetchAll(session, [{ key: '2', id: 2, sizeBytes: 20 }]);
        return undefined;
      },
      FETCH: ({ earlier }, wire) => {
        if (earlier === 0) wire.reset();
        return undefined;
      },
    };
    await withServer({ capabilities: 'IMAP4rev1', answers }, async ({ port, commands }) => {
      await withSession(optionsFor(port, changes), async (opened) => {
        session = opened;
        assert.deepEqual(await opened.settle(await opened.list(10)), []);
        await fetching;
      });
      const done = commands.filter(({ name }) => /EXPUNGE|FETCH/.test(name)).map(({ name }) => name);
      assert.deepEqual(done.slice(0, 2), order);
    });
  });
}

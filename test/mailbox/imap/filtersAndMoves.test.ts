import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createHeaderFilter } from '../../../shared/mail/headerFilter.ts';
import type { MailboxOptions } from '../../../shared/mailbox/mailbox.ts';
import {
  countMails,
  inMailProgram,
  type MailServer,
  seedFolder,
  startMailServer,
} from '../../servers/mailServers.ts';
import {
  assertFails,
  assertRefused,
  drain,
  drained,
  fetchAll,
  listAndMeasure,
  sourcesOf,
  withSession,
} from './drain.ts';
import { type Answer, optionsFor, withServer } from './scriptedImapServer.ts';

const password = 'pass-7391-word';
const users = Array.from({ length: 20 }, (_, index) => `user${index}`);

const servers: readonly (readonly [string, () => Promise<MailServer>])[] = [
  ['Dovecot', () => startMailServer.Dovecot({ users, password })],
  [
    'Dovecot without MOVE',
    () => startMailServer.Dovecot({ users, password }, { withoutImapCapabilities: ['MOVE'] }),
  ],
  ['Cyrus', () => startMailServer.Cyrus({ users, password })],
];

const mail = (subject: string, from = 'ann@example.com', to = 'orders@example.com') =>
  Buffer.from(
    `From: ${from}\r\nTo: ${to}\r\nSubject: ${subject}\r\nMessage-ID: <${subject}@x>\r\n\r\n${subject}\r\n`,
  );

for (const [name, start] of servers) {
  describe(`mails that are filtered and moved, ${name}`, () => {
    let server: MailServer;
    let used = 0;
    before(async () => {
      server = await start();
    });
    after(() => server.stop());

    const newMailbox = () => ({ server, user: users[used++] ?? 'none', password });
    const optionsOf = (user: string, changes: Partial<MailboxOptions> = {}) =>
      optionsFor(server.imapPort, { username: user, ...changes });
    /** As a run does: gives the sources of what came, and the mark. */
    const poll = (options: MailboxOptions) =>
      withSession(options, async (session) => {
        const fetched = await fetchAll(session, await listAndMeasure(session));
        await session.settle(fetched.map((one) => one.mail));
        return { sources: sourcesOf(fetched), lookedAt: session.lookedAt, leftOut: session.takeLeftOut() };
      });

    for (const folder of ['Processed', 'Erledigt & Größe', 'Done/2026/März']) {
      it(`moves what was settled, read, to "${folder}", and makes it where it is missing`, async () => {
        const mailbox = newMailbox();
        await seedFolder(mailbox, [mail('one'), mail('two'), mail('three')]);
        const options = optionsOf(mailbox.user, { moveToFolder: folder });
        await withSession(options, async (session) => {
          const [first, , third] = await listAndMeasure(session);
          assert.ok(first && third);
          await session.settle([first, third]);
        });
        assert.deepEqual(await countMails(mailbox), { count: 1, seen: 0 });
        const there = await inMailProgram(mailbox, async (program) => {
          assert.equal(program.capabilities.has('MOVE'), name !== 'Dovecot without MOVE');
          const all = await program.list();
          const made = all.find((one) => one.path.replaceAll(one.delimiter, '/').endsWith(folder));
          assert.ok(made, all.map(({ path }) => path).join());
          return program.status(made.path, { messages: true, unseen: true });
        });
        assert.ok(there);
        assert.deepEqual([there.messages, there.unseen], [2, 0]);
        assert.equal((await poll(options)).sources.length, 1);
        assert.deepEqual(await countMails(mailbox), { count: 0, seen: 0 });
      });
    }

    it('finds what was marked and not moved, and moves it', async () => {
      const mailbox = newMailbox();
      await seedFolder(mailbox, [mail('one'), mail('two'), mail('three')]);
      await inMailProgram(mailbox, async (program) => {
        await program.mailboxOpen('INBOX');
        await program.messageFlagsAdd('2', ['\\Seen'], { uid: true });
      });
      await withSession(optionsOf(mailbox.user, { moveToFolder: 'Done' }), async (session) => {
        const half = await session.listHalfSettled();
        assert.deepEqual(half, [{ key: '2', id: 2 }]);
        await session.settle(half);
      });
      assert.deepEqual(await countMails(mailbox), { count: 2, seen: 0 });
      assert.deepEqual(await countMails(mailbox, 'Done'), { count: 1, seen: 1 });
    });

    it('takes what the filter takes, and looks at the rest once', async () => {
      const mailbox = newMailbox();
      await seedFolder(mailbox, [
        mail('order 1'),
        mail('news'),
        mail('=?utf-8?q?=C3=B6rder_2?='),
        mail('order 3', 'Bob <bob@example.org>'),
        mail('order 4', 'ann@example.com', 'x@example.com, "Team" <Orders@Example.com>'),
      ]);
      const seen: string[] = [];
      const headerFilter = createHeaderFilter({
        from: (values) => values.some((value) => value.endsWith('@example.com')),
        to: (values) => values.some((value) => value.toLowerCase() === 'orders@example.com'),
        subject: ([value = '']) => {
          seen.push(value);
          return /order|örder/.test(value);
        },
        fingerprint: 'f1',
      });
      const first = await poll(optionsOf(mailbox.user, { headerFilter }));
      assert.deepEqual(
        first.sources.map((source) => /Subject: (.*)\r\n/.exec(source.toString())?.[1]),
        ['order 1', '=?utf-8?q?=C3=B6rder_2?=', 'order 4'],
      );
      assert.deepEqual(await countMails(mailbox), { count: 5, seen: 3 });
      seen.length = 0;
      await seedFolder(mailbox, [mail('order 6')]);
      const second = await poll(optionsOf(mailbox.user, { headerFilter, lookedAt: first.lookedAt ?? '' }));
      assert.equal(second.sources.length, 1);
      assert.deepEqual(seen, ['order 6']);
      const idle = await poll(optionsOf(mailbox.user, { headerFilter, lookedAt: second.lookedAt ?? '' }));
      assert.deepEqual([idle.sources, idle.lookedAt, seen.length], [[], second.lookedAt, 1]);
    });

    it('marks as read what the filter leaves out, where that is wanted, and neither moves nor deletes it', async () => {
      const mailbox = newMailbox();
      await seedFolder(mailbox, [mail('order 1'), mail('news')]);
      const headerFilter = createHeaderFilter({
        subject: ([value = '']) => value.startsWith('order'),
        fingerprint: 'f1',
      });
      const options = { headerFilter, unmatchedMails: 'markRead', moveToFolder: 'Done' } as const;
      const { sources, leftOut } = await poll(optionsOf(mailbox.user, options));
      assert.equal(sources.length, 1);
      assert.equal(leftOut.length, 1);
      assert.match(leftOut[0]?.header.toString() ?? '', /Message-ID: <news@x>/i);
      assert.deepEqual(await countMails(mailbox), { count: 1, seen: 1 });
      assert.deepEqual(await countMails(mailbox, 'Done'), { count: 1, seen: 1 });
    });
  });
}

describe('mails that can not be moved', () => {
  const without = { capabilities: 'IMAP4rev1' };
  const withMove = { capabilities: 'IMAP4rev1 MOVE' };

  it('are said so before any is fetched, where the server has neither MOVE nor UIDPLUS', async () => {
    const sentence = /can't be moved to folder "Done" at .*: the server has neither MOVE nor UIDPLUS/;
    await assertRefused(without, 'folder', sentence, { moveToFolder: 'Done' });
  });

  it('are said so where the folder is the one that is polled', async () => {
    const sentence = /moveToFolder is the folder that is polled/;
    await assertRefused(withMove, 'config', sentence, { moveToFolder: 'Inbox' });
  });

  it('fail in the words of the server where the folder can neither be found nor made', async () => {
    const answers = {
      'UID MOVE': 'TAG NO [TRYCREATE] No such mailbox\r\n',
      CREATE: 'TAG NO [NOPERM] Not here\r\n',
    };
    await assertFails(
      drained({ ...withMove, answers, options: { moveToFolder: 'Done' } }),
      'protocol',
      /refused moving mails to folder "Done": NO \[TRYCREATE\] No such mailbox/,
    );
  });

  it('are moved to a folder that is named as the server has its folders, with its prefix and separator', async () => {
    for (const [folder, made] of [
      ['Done', 'INBOX.Done'],
      ['INBOX.Done', 'INBOX.Done'],
      ['Done/2026', 'INBOX.Done.2026'],
    ] as const) {
      const answers: Record<string, Answer> = {
        NAMESPACE: '* NAMESPACE (("INBOX." ".")) NIL NIL\r\nTAG OK done\r\n',
        'UID MOVE': ({ earlier }) => (earlier > 0 ? undefined : 'TAG NO [TRYCREATE] No such mailbox\r\n'),
      };
      await withServer({ capabilities: 'IMAP4rev1 MOVE NAMESPACE', answers }, async ({ port, commands }) => {
        await drain(optionsFor(port, { moveToFolder: folder }));
        const named = commands.flatMap(({ name, args }) =>
          /CREATE|MOVE/.test(name) ? [`${name} ${args}`] : [],
        );
        assert.deepEqual(named.slice(-2), [`CREATE ${made}`, `UID MOVE 1:2 ${made}`]);
      });
    }
  });

  it('that were copied and flagged are only expunged, not copied again', async () => {
    const search: Answer = ({ args }) => `* SEARCH ${args.includes('SEEN') ? '1 2' : '2'}\r\nTAG OK done\r\n`;
    await withServer({ answers: { 'UID SEARCH': search } }, async ({ port, commands }) => {
      await withSession(optionsFor(port, { moveToFolder: 'Done' }), async (session) => {
        await session.settle(await session.listHalfSettled());
      });
      assert.deepEqual(
        commands.flatMap(({ name, args }) => (/COPY|EXPUNGE/.test(name) ? [`${name} ${args}`] : [])),
        ['UID COPY 1 Done', 'UID EXPUNGE 1', 'UID EXPUNGE 2'],
      );
    });
  });

  for (const [step, capabilities] of [
    ['UID MOVE', 'IMAP4rev1 MOVE'],
    ['UID COPY', 'IMAP4rev1 UIDPLUS'],
  ] as const) {
    for (const refusals of [1, 2]) {
      it(`since one of them was removed just before are asked for again, ${refusals} refusals of ${step}`, async () => {
        // Dovecot's words, which come where nothing was moved or copied.
        const refusal = 'TAG NO [EXPUNGEISSUED] Some of the requested messages no longer exist.\r\n';
        const answer: Answer = ({ earlier }) => (earlier < refusals ? refusal : undefined);
        await withServer({ capabilities, answers: { [step]: answer } }, async ({ port, commands }) => {
          const drained = drain(optionsFor(port, { moveToFolder: 'Done' }));
          if (refusals > 1) await assertFails(drained, 'protocol', /NO \[EXPUNGEISSUED\] Some of/);
          else await drained;
          const done = commands.filter(({ name }) => /COPY|MOVE|EXPUNGE/.test(name)).map(({ name }) => name);
          const removes = step === 'UID COPY' && refusals === 1;
          assert.deepEqual(done, [step, step, ...(removes ? ['UID EXPUNGE'] : [])]);
        });
      });
    }
  }
});

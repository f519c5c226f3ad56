import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { createPop3Opener } from '../../../shared/mailbox/pop3/pop3Mailbox.ts';
import { fetchAll } from '../memory.ts';
import { failureOf, sentenceIn } from '../outcomes.ts';
import { fullCapabilities, multiLine, type Script } from './scriptedServer.ts';
import {
  drained,
  kinds,
  measured,
  openAndDrain,
  pop3Options,
  sources,
  withServer,
  withSession,
} from './sessions.ts';

const mails = ['same\r\n', 'other\r\n.\r\n', 'same\r\n', 'last\r\n'].map((text) => Buffer.from(text));
const hashKey = (index: number, number: number) =>
  `sha256:${createHash('sha256')
    .update(mails[index] ?? '')
    .digest('hex')}:${number}`;

/** The keys of one session's list, and how many mails were retrieved for it. */
const keys = (script: Script, limit = 100) =>
  withSession({ mails, ...script }, async (session, { commands }) => ({
    keys: (await session.list(limit)).map(({ key }) => key),
    retrieved: commands.filter((line) => line.startsWith('RETR')).length,
  }));

describe('POP3 keys', () => {
  it('are the UIDLs, for which no mail is retrieved', async () => {
    const uidls = ['a', 'b', '"c\\', '~'];
    assert.deepEqual(await keys({ uidls }), { keys: uidls, retrieved: 0 });
    const UIDL = multiLine(uidls.flatMap((uidl, index) => [`${index + 1} ${uidl}`, `${index + 1} ${uidl}`]));
    assert.deepEqual(await keys({ answer: { UIDL } }), { keys: uidls, retrieved: 0 }, 'each line twice');
  });

  for (const capa of [['PIPELINING', 'USER'], ['USER'], false] as const) {
    it(`are hash and number without UIDL (CAPA: ${capa})`, async () => {
      const listed = await keys({ uidls: false, capa });
      assert.deepEqual(listed.keys, [hashKey(0, 1), hashKey(1, 1), hashKey(2, 2), hashKey(3, 1)]);
    });
  }

  it('take no more mails than the limit to make, and are the same as without a limit', async () => {
    const listed = await keys({ uidls: false, capa: false }, 2);
    assert.deepEqual(listed, { keys: [hashKey(0, 1), hashKey(1, 1)], retrieved: 2 });
  });

  it('fall back to the hash for mails that share a UIDL, have none, or a bad one', async () => {
    const shared = await keys({ uidls: ['x', 'ok', 'x', undefined] });
    assert.deepEqual(shared.keys, [hashKey(0, 1), 'ok', hashKey(2, 2), hashKey(3, 1)]);
    for (const bad of ['b\x7f', 'ü', 'with space', 'x'.repeat(256), `sha256:${'0'.repeat(64)}:1`]) {
      assert.deepEqual(
        (await keys({ uidls: ['a', bad, 'c', 'd'] })).keys,
        ['a', hashKey(1, 1), 'c', 'd'],
        bad,
      );
    }
  });

  it('are not made up when a server that has UIDL fails to give them now', async () => {
    const refusing = (text: string) => ({ answer: { UIDL: `-ERR ${text}\r\n` } });
    await failureOf(keys({ ...refusing('not now'), capa: fullCapabilities }), 'protocol');
    await failureOf(keys({ ...refusing('[SYS/TEMP] not now'), capa: false }), 'busy');
  });

  it('are hashes where a server announces UIDL but does not know it', async () => {
    const listed = await keys({ answer: { UIDL: '-ERR Unknown command\r\n' }, capa: fullCapabilities });
    assert.equal(listed.keys[0], hashKey(0, 1));
  });

  it('also bring the mails of a server without UIDL, and without CAPA', async () => {
    const { answers, confirmed, server } = await drained({ mails, uidls: false, capa: false });
    assert.deepEqual(sources(answers), mails);
    assert.deepEqual([confirmed, server.deleted()], [true, mails.length]);
  });

  it('report a mail without UIDL that is withheld, under a key that stays, and leave out one that is gone', async () => {
    const answer = { 'RETR 2': '-ERR disk error\r\n', 'RETR 3': '-ERR no such message\r\n' };
    const seen = new Set<string | undefined>();
    for (let run = 0; run < 2; run += 1) {
      const script = { mails, uidls: false, capa: ['PIPELINING', 'USER'], answer } as const;
      await withSession(script, async (session) => {
        const answers = await fetchAll(session, await measured(session));
        assert.deepEqual(
          answers.map(({ kind, mail }) => `${kind} ${mail.id}`),
          ['mail 1', 'unavailable 2', 'mail 4'],
        );
        seen.add(answers[1]?.mail.key);
      });
    }
    assert.match([...seen].join(), /^sha256:[0-9a-f]{64}:1$/);
  });

  it('of other mails are made though one ends each session in which it is retrieved', () => {
    const some = ['first\r\n', 'of a size of its own\r\n', 'of a size of its own\r\n'].map((text) =>
      Buffer.from(text),
    );
    const script = { mails: some, uidls: false, capa: ['USER'], answer: { 'RETR 2': 'rst' } } as const;
    return withServer(script, async ({ port }) => {
      const open = createPop3Opener();
      for (let run = 0; run < 2; run += 1)
        await failureOf(openAndDrain(pop3Options(port), open), 'connection-lost');
      const { answers, confirmed } = await openAndDrain(pop3Options(port), open);
      assert.deepEqual([kinds(answers), confirmed], [['mail', 'unavailable', 'mail'], true]);
      assert.match(
        sentenceIn(answers),
        /ended the session whenever it was asked for its mail 2\. Look at it in a mail program\.$/,
      );
    });
  });

  it('of another session are refused, since numbers mean other mails there', () =>
    withSession({ mails }, async (session, server) => {
      await session.list(100);
      const foreign = { key: 'of-yesterday', id: 1, sizeBytes: 6 };
      await failureOf(fetchAll(session, [foreign]), 'internal');
      await failureOf(session.settle([foreign]), 'internal');
      await session.close();
      assert.equal(server.deleted(), 0);
    }));

  it('are those of the oldest mails when the list is limited, in whatever order they are listed', () =>
    withSession({ mails, answer: { LIST: multiLine(['4 6', '2 9', '1 6', '3 6']) } }, async (session) => {
      const listed = await session.list(2);
      assert.deepEqual([listed.map(({ key }) => key), session.hasMore], [['uid-1', 'uid-2'], true]);
      assert.deepEqual(await session.list(2), [], 'a session gives one page');
    }));
});

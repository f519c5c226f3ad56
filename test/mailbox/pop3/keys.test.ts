import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { openPop3Mailbox } from '../../../shared/mailbox/pop3/pop3Mailbox.ts';
import { fetchAll } from '../memory.ts';
import { fullCapabilities, type Script, startScriptedServer } from './scriptedServer.ts';
import { failureOf, fetched, measured, openAndDrain, pop3Options, sources } from './sessions.ts';

const mails = ['same\r\n', 'other\r\n.\r\n', 'same\r\n', 'last\r\n'].map((text) => Buffer.from(text));
const hashKey = (index: number, number: number) =>
  `sha256:${createHash('sha256')
    .update(mails[index] ?? '')
    .digest('hex')}:${number}`;

/** The keys of one session's list, and what it asked the server. */
async function keys(
  script: Script,
  limit = 100,
): Promise<{ keys: readonly string[]; commands: readonly string[] }> {
  const server = await startScriptedServer({ mails, ...script });
  try {
    const session = await openPop3Mailbox(pop3Options(server.port));
    const list = await session.list(limit);
    await session.close();
    return { keys: list.map(({ key }) => key), commands: server.commands };
  } finally {
    await server.stop();
  }
}

describe('POP3 keys', () => {
  it('are the UIDLs, for which no mail is retrieved', async () => {
    const listed = await keys({ uidls: ['a', 'b', '"c\\', '~'] });
    assert.deepEqual(listed.keys, ['a', 'b', '"c\\', '~']);
    assert.ok(listed.commands.every((line) => !line.startsWith('RETR')));
  });

  for (const capa of [['PIPELINING', 'USER'], ['USER'], false] as const) {
    it(`are hash and number without UIDL (CAPA: ${capa})`, async () => {
      const listed = await keys({ uidls: false, capa });
      assert.deepEqual(listed.keys, [hashKey(0, 1), hashKey(1, 1), hashKey(2, 2), hashKey(3, 1)]);
    });
  }

  it('take no more mails than the limit to make, and are the same as without a limit', async () => {
    const listed = await keys({ uidls: false, capa: false }, 2);
    assert.deepEqual(listed.keys, [hashKey(0, 1), hashKey(1, 1)]);
    assert.equal(listed.commands.filter((line) => line.startsWith('RETR')).length, 2);
  });

  it('fall back to the hash for mails that share a UIDL, have none, or a bad one', async () => {
    assert.deepEqual((await keys({ uidls: ['x', 'ok', 'x', undefined] })).keys, [
      hashKey(0, 1),
      'ok',
      hashKey(2, 2),
      hashKey(3, 1),
    ]);
    assert.deepEqual((await keys({ uidls: ['a', 'b\x7f', 'ü', 'with space'] })).keys, [
      'a',
      hashKey(1, 1),
      hashKey(2, 1),
      hashKey(3, 1),
    ]);
    assert.equal((await keys({ uidls: ['a', 'x'.repeat(256), 'c', 'd'] })).keys[1], hashKey(1, 1));
    const posing = `sha256:${'0'.repeat(64)}:1`;
    assert.equal((await keys({ uidls: ['a', posing, 'c', 'd'] })).keys[1], hashKey(1, 1));
  });

  it('are not made up when a server that has UIDL fails to give them now', async () => {
    const answer = (line: string) => (line === 'UIDL' ? '-ERR not now\r\n' : undefined);
    await failureOf(keys({ answer, capa: fullCapabilities }), 'protocol');
    const temporary = (line: string) => (line === 'UIDL' ? '-ERR [SYS/TEMP] not now\r\n' : undefined);
    await failureOf(keys({ answer: temporary, capa: false }), 'busy');
  });

  it('are hashes where a server announces UIDL but does not know it', async () => {
    const answer = (line: string) => (line === 'UIDL' ? '-ERR Unknown command\r\n' : undefined);
    assert.equal((await keys({ answer, capa: fullCapabilities })).keys[0], hashKey(0, 1));
  });

  it('also bring the mails of a server without UIDL, and without CAPA', async () => {
    const server = await startScriptedServer({ mails, uidls: false, capa: false });
    const { answers, confirmed } = await openAndDrain(pop3Options(server.port));
    assert.deepEqual(sources(answers), mails);
    assert.equal(confirmed, true);
    assert.equal(server.deleted(), mails.length);
    await server.stop();
  });

  it('report a mail without UIDL that is withheld, under a key that stays, and leave out one that is gone', async () => {
    const answer = (line: string) =>
      line === 'RETR 2' ? '-ERR disk error\r\n' : line === 'RETR 3' ? '-ERR no such message\r\n' : undefined;
    const server = await startScriptedServer({ mails, uidls: false, capa: ['PIPELINING', 'USER'], answer });
    const seen: string[] = [];
    for (let run = 0; run < 2; run += 1) {
      const session = await openPop3Mailbox(pop3Options(server.port));
      const answers = [];
      for await (const one of fetched(session, await measured(session))) answers.push(one);
      await session.close();
      assert.deepEqual(
        answers.map(({ kind, mail }) => [kind, mail.id]),
        [
          ['mail', 1],
          ['unavailable', 2],
          ['mail', 4],
        ],
      );
      seen.push(answers[1]?.mail.key ?? '');
    }
    assert.equal(seen[0], seen[1]);
    assert.match(seen[0] ?? '', /^sha256:[0-9a-f]{64}:1$/);
    await server.stop();
  });

  it('of another session are refused, since numbers mean other mails there', async () => {
    const server = await startScriptedServer({ mails });
    const session = await openPop3Mailbox(pop3Options(server.port));
    await session.list(100);
    const foreign = { key: 'of-yesterday', id: 1, sizeBytes: 6 };
    await failureOf(fetchAll(session, [foreign]), 'internal');
    await failureOf(session.settle([foreign]), 'internal');
    await session.close();
    assert.equal(server.deleted(), 0);
    await server.stop();
  });

  it('are those of the oldest mails when the list is limited', async () => {
    const server = await startScriptedServer({ mails });
    const session = await openPop3Mailbox(pop3Options(server.port));
    assert.deepEqual(
      (await session.list(2)).map(({ key }) => key),
      ['uid-1', 'uid-2'],
    );
    assert.equal(session.hasMore, true);
    assert.deepEqual(await session.list(2), [], 'a session gives one page');
    await session.close();
    await server.stop();
  });
});

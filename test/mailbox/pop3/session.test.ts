import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FetchedMail, MailboxOptions, MailboxSession } from '../../../shared/mailbox/mailbox.ts';
import { openPop3Mailbox } from '../../../shared/mailbox/pop3/pop3Mailbox.ts';
import { bytesOf, CountedMemory, fetchAll } from '../memory.ts';
import { multiLine, type Script, type ScriptedServer, startScriptedServer } from './scriptedServer.ts';
import { failureOf, fetched, measured, pop3Options } from './sessions.ts';
import { variedMails } from './variedMails.ts';

const mails = variedMails(200);

async function withSession(
  script: Script,
  use: (session: MailboxSession, server: ScriptedServer) => Promise<void>,
  changes: Partial<MailboxOptions> = {},
): Promise<void> {
  const server = await startScriptedServer({ mails, ...script });
  try {
    const session = await openPop3Mailbox(pop3Options(server.port, changes));
    await use(session, server);
    await session.close();
  } finally {
    await server.stop();
  }
}

const count = (server: ScriptedServer, command: string) =>
  server.commands.filter((line) => line.startsWith(command)).length;

describe('POP3 session', () => {
  it('keeps at most 256 mails on the wire while its consumer is slow', () => {
    const small = Array.from({ length: 800 }, () => Buffer.from('small\r\n'));
    return withSession({ mails: small }, async (session, server) => {
      let given = 0;
      for await (const answer of fetched(session, await measured(session))) {
        assert.equal(answer.kind, 'mail');
        given += 1;
        // The window was full before this one came, and is not filled beyond it.
        assert.ok(count(server, 'RETR') <= given + 256, `${count(server, 'RETR')} asked, ${given} given`);
      }
      assert.equal(given, small.length);
    });
  });

  it('keeps at most 16 MiB on the wire, but one mail always', () => {
    const large = Array.from({ length: 8 }, () => Buffer.from(`${'x'.repeat(6_000_000)}\r\n`));
    return withSession({ mails: large }, async (session, server) => {
      const asked: number[] = [];
      let given = 0;
      for await (const answer of fetched(session, await measured(session))) {
        assert.ok(answer.kind === 'mail' && answer.source.length === 6_000_002);
        given += 1;
        asked.push(count(server, 'RETR') - given);
      }
      assert.ok(Math.max(...asked) <= 3, asked.join());
      assert.ok(Math.max(...asked) >= 1, asked.join());
    });
  });

  it('asks for one mail at a time where the server has no pipelining', () =>
    withSession({ capa: ['UIDL', 'USER'] }, async (session, server) => {
      let given = 0;
      for await (const answer of fetched(session, (await measured(session)).slice(0, 20))) {
        given += 1;
        assert.equal(answer.mail.id, given);
        assert.equal(count(server, 'RETR'), given);
      }
    }));

  it('can be used on when the loop over fetch ends early', () =>
    withSession({}, async (session, server) => {
      const all = await measured(session);
      for await (const answer of fetched(session, all)) {
        if (answer.mail.id === 7) break;
      }
      await session.settle(all.slice(0, 7));
      assert.equal(await session.close(), true);
      assert.equal(server.deleted(), 7);
    }));

  it('can be used on when a stream is left early', () =>
    withSession(
      { mails: [Buffer.from(`${'x'.repeat(3_000_000)}\r\n`), Buffer.from('two\r\n')] },
      async (session, server) => {
        const memory = new CountedMemory();
        const bodies: string[] = [];
        for await (const answer of session.fetch(await measured(session), memory)) {
          assert.ok(answer.kind === 'mail');
          for await (const piece of await answer.open()) {
            bodies.push(piece.toString());
            break;
          }
          answer.release();
        }
        assert.equal(bodies.at(-1), 'two\r\n');
        assert.equal(memory.heldBytes, 0);
        assert.equal(await session.close(), true);
        assert.equal(server.deleted(), 0);
      },
      { wholeBytes: 1_000_000 },
    ));

  it('can be used on when a stream was not read at all', () =>
    withSession(
      {},
      async (session) => {
        const came: Buffer[] = [];
        for await (const answer of session.fetch(await measured(session), new CountedMemory())) {
          assert.ok(answer.kind === 'mail');
          if (answer.mail.id !== 1) came.push(await bytesOf(await answer.open()));
        }
        assert.deepEqual(came, mails.slice(1));
      },
      { wholeBytes: 0 },
    ));

  it('streams a mail again from its first byte, and not once the next one was asked for', () =>
    withSession(
      {},
      async (session) => {
        let last: FetchedMail | undefined;
        for await (const answer of session.fetch(
          (await measured(session)).slice(0, 20),
          new CountedMemory(),
        )) {
          assert.ok(answer.kind === 'mail');
          if (answer.mail.id % 3 === 0) for await (const _ of await answer.open()) break;
          if (answer.mail.id % 3 === 1) await bytesOf(await answer.open());
          assert.deepEqual(await bytesOf(await answer.open()), mails[answer.mail.id - 1]);
          if (last !== undefined) await failureOf(last.open(), 'internal');
          last = answer;
        }
      },
      { wholeBytes: 0 },
    ));

  it('queues what is asked meanwhile', () =>
    withSession({}, async (session, server) => {
      const all = await measured(session);
      const given: number[] = [];
      const settled: Promise<unknown>[] = [];
      for await (const { mail } of fetched(session, all.slice(0, 50))) {
        given.push(mail.id);
        settled.push(session.settle([mail]));
      }
      await Promise.all(settled);
      assert.equal(given.length, 50);
      assert.equal(await session.close(), true);
      assert.equal(server.deleted(), 50);
    }));

  it('streams a mail that is gone or withheld as such', () =>
    withSession(
      {
        answer: (line) =>
          line === 'RETR 1' ? '-ERR no such message\r\n' : line === 'RETR 2' ? '-ERR oops\r\n' : undefined,
      },
      async (session, server) => {
        const [first, second, third] = await measured(session);
        assert.ok(first && second && third);
        const memory = new CountedMemory();
        assert.deepEqual(await fetchAll(session, [first, second, third], memory), [
          { kind: 'gone', mail: first },
          {
            kind: 'unavailable',
            mail: second,
            sentence: `POP3 server 127.0.0.1:${server.port} would not hand over its mail 2: oops`,
          },
          { kind: 'mail', mail: third, source: mails[2], isWhole: false },
        ]);
        assert.equal(memory.heldBytes, 0);
      },
      { wholeBytes: 0 },
    ));

  it('answers for a mail that it has deleted itself that it is gone', () =>
    withSession({}, async (session) => {
      const all = await measured(session);
      await session.settle(all.slice(0, 2));
      const kinds: string[] = [];
      for await (const { kind } of fetched(session, all.slice(0, 3))) kinds.push(kind);
      assert.deepEqual(kinds, ['gone', 'gone', 'mail']);
      assert.equal((await session.measure(all)).length, mails.length - 2);
    }));

  it('gives each mail its own bytes when the one before it is being deleted as the fetch begins', () =>
    withSession({}, async (session) => {
      const [first, ...others] = (await measured(session)).slice(0, 4);
      assert.ok(first);
      const settling = session.settle([first]);
      const answers = await fetchAll(session, [first, ...others]);
      await settling;
      assert.deepEqual(
        answers.map((one) => (one.kind === 'mail' ? one.source : one.kind)),
        ['gone', ...mails.slice(1, 4)],
      );
    }));

  it('counts a mail as deleted that was gone already, and deletes the others', () => {
    let isGone = false;
    return withSession(
      {
        answer: (line) => {
          if (line === 'DELE 2') return '-ERR message 2 already deleted\r\n';
          // Says nothing that tells why; LIST then does.
          if (line === 'DELE 3') isGone = true;
          if (line === 'DELE 3') return '-ERR 17\r\n';
          return line === 'LIST' && isGone ? multiLine(['2 5', '4 5', '5 5']) : undefined;
        },
      },
      async (session, server) => {
        await session.settle((await measured(session)).slice(0, 5));
        assert.equal(await session.close(), true);
        assert.equal(server.deleted(), 3);
      },
    );
  });

  it('says so when a mail cannot be deleted, and still deletes the others', () =>
    withSession(
      { answer: (line) => (line === 'DELE 2' ? '-ERR read-only\r\n' : undefined) },
      async (session, server) => {
        const failure = await failureOf(session.settle((await measured(session)).slice(0, 5)), 'protocol');
        assert.match(failure.message, /refused DELE 2: read-only\./);
        assert.equal(await session.close(), true);
        assert.equal(server.deleted(), 4);
      },
    ));

  it('pipelines deletes, and sends each once', () =>
    withSession({}, async (session, server) => {
      const all = await measured(session);
      await Promise.all([session.settle(all), session.settle(all)]);
      assert.equal(count(server, 'DELE'), mails.length);
    }));

  it('sends QUIT together with the last deletes when it is closed in the same turn', () => {
    // Answers nothing before QUIT has come.
    const answer = (line: string) => {
      if (line.startsWith('DELE')) return 'silence' as const;
      return line === 'QUIT' ? '+OK\r\n+OK\r\n-ERR read-only\r\n+OK bye\r\n' : undefined;
    };
    return withSession({ answer }, async (session) => {
      const settling = failureOf(session.settle((await measured(session)).slice(0, 3)), 'protocol');
      const closing = session.close();
      assert.match((await settling).message, /refused DELE 3: read-only\./);
      assert.equal(await closing, true);
    });
  });

  it('sends QUIT after the answers to all deletes where the server has no pipelining', () => {
    const delayMs = 50;
    let lastDeleteAt = 0;
    const answer = (line: string) => {
      if (line.startsWith('DELE')) lastDeleteAt = performance.now();
      if (line === 'QUIT') assert.ok(performance.now() - lastDeleteAt >= delayMs - 1);
      return undefined;
    };
    return withSession({ capa: ['UIDL', 'USER'], answer, delivery: { delayMs } }, async (session, server) => {
      const settling = session.settle((await measured(session)).slice(0, 3));
      assert.equal(await session.close(), true);
      await settling;
      assert.equal(server.deleted(), 3);
    });
  });

  it('does what was asked before it was closed, and QUITs last', () =>
    withSession({}, async (session, server) => {
      const all = await measured(session);
      const settling = session.settle(all.slice(0, 2));
      const listing = session.list(10);
      const more = session.settle(all.slice(2, 3));
      assert.equal(await session.close(), true);
      await Promise.all([settling, listing, more]);
      assert.equal(server.deleted(), 3);
      assert.equal(server.commands.at(-1), 'QUIT');
    }));

  it('closes once, however often it is asked, and is of no more use then', () =>
    withSession({}, async (session, server) => {
      await session.list(1);
      assert.deepEqual(await Promise.all([session.close(), session.close()]), [true, true]);
      assert.equal(count(server, 'QUIT'), 1);
      await failureOf(session.list(1), 'internal');
    }));

  it('finds an empty mailbox empty', () =>
    withSession({ mails: [] }, async (session) => {
      assert.deepEqual(await session.list(10), []);
      assert.deepEqual(await session.measure([]), []);
      for await (const answer of fetched(session, [])) assert.fail(answer.kind);
      await session.settle([]);
    }));
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FetchedMail } from '../../../shared/mailbox/mailbox.ts';
import { bytesOf, CountedMemory, fetchAll, fetched } from '../memory.ts';
import { assertFails, failureOf } from '../outcomes.ts';
import { fullCapabilities, multiLine, type ScriptedServer } from './scriptedServer.ts';
import { kinds, measured, withSession } from './sessions.ts';
import { variedMails } from './variedMails.ts';

const mails = variedMails(200);

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
    withSession({ mails, capa: ['UIDL', 'USER'] }, async (session, server) => {
      let given = 0;
      for await (const answer of fetched(session, (await measured(session)).slice(0, 20))) {
        given += 1;
        assert.equal(answer.mail.id, given);
        assert.equal(count(server, 'RETR'), given);
      }
    }));

  it('can be used on when the loop over fetch ends early', () =>
    withSession({ mails }, async (session, server) => {
      const all = await measured(session);
      for await (const answer of fetched(session, all)) {
        if (answer.mail.id === 7) break;
      }
      await session.settle(all.slice(0, 7));
      assert.equal(await session.close(), true);
      assert.equal(server.deleted(), 7);
    }));

  it('can be used on when a stream is left early', () => {
    const two = [Buffer.from(`${'x'.repeat(3_000_000)}\r\n`), Buffer.from('two\r\n')];
    return withSession({ mails: two, options: { wholeBytes: 1_000_000 } }, async (session, server) => {
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
    });
  });

  it('can be used on when a stream was not read at all', () =>
    withSession({ mails, options: { wholeBytes: 0 } }, async (session) => {
      const came: Buffer[] = [];
      for await (const answer of session.fetch(await measured(session), new CountedMemory())) {
        assert.ok(answer.kind === 'mail');
        if (answer.mail.id !== 1) came.push(await bytesOf(await answer.open()));
      }
      assert.deepEqual(came, mails.slice(1));
    }));

  it('streams a mail again from its first byte, and not once the next one was asked for', () =>
    withSession({ mails, options: { wholeBytes: 0 } }, async (session) => {
      let last: FetchedMail | undefined;
      const some = (await measured(session)).slice(0, 20);
      for await (const answer of session.fetch(some, new CountedMemory())) {
        assert.ok(answer.kind === 'mail');
        if (answer.mail.id % 3 === 0) for await (const _ of await answer.open()) break;
        if (answer.mail.id % 3 === 1) await bytesOf(await answer.open());
        const begun = (await answer.open())[Symbol.asyncIterator]();
        await begun.next();
        assert.deepEqual(await bytesOf(await answer.open()), mails[answer.mail.id - 1]);
        await failureOf(bytesOf({ [Symbol.asyncIterator]: () => begun }), 'internal');
        if (last !== undefined) await failureOf(last.open(), 'internal');
        last = answer;
      }
    }));

  it('streams a mail again though it is far larger than listed, and gives each behind it its own bytes', () => {
    const some = mails.slice(0, 20);
    const LIST = multiLine(some.map((_, index) => `${index + 1} 5`));
    const script = { mails: some, answer: { LIST }, options: { wholeBytes: 10 } };
    return withSession(script, async (session) => {
      for await (const answer of session.fetch(await measured(session), new CountedMemory())) {
        assert.ok(answer.kind === 'mail');
        for (const _ of [1, 2])
          assert.deepEqual(await bytesOf(await answer.open()), mails[answer.mail.id - 1]);
      }
    });
  });

  it('queues what is asked meanwhile', () =>
    withSession({ mails }, async (session, server) => {
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

  it('streams a mail that is gone or withheld as such', () => {
    const answer = { 'RETR 1': '-ERR no such message\r\n', 'RETR 2': '-ERR oops\r\n' };
    return withSession({ mails, answer, options: { wholeBytes: 0 } }, async (session, { port }) => {
      const [first, second, third] = await measured(session);
      assert.ok(first && second && third);
      const memory = new CountedMemory();
      const sentence = `POP3 server 127.0.0.1:${port} would not hand over its mail 2: oops`;
      assert.deepEqual(await fetchAll(session, [first, second, third], memory), [
        { kind: 'gone', mail: first },
        { kind: 'unavailable', mail: second, sentence },
        { kind: 'mail', mail: third, source: mails[2], isWhole: false },
      ]);
      assert.equal(memory.heldBytes, 0);
    });
  });

  it('answers for a mail that it has deleted itself that it is gone', () =>
    withSession({ mails }, async (session) => {
      const all = await measured(session);
      await session.settle(all.slice(0, 2));
      assert.deepEqual(kinds(await fetchAll(session, all.slice(0, 3))), ['gone', 'gone', 'mail']);
      assert.equal((await session.measure(all)).length, mails.length - 2);
    }));

  it('gives each mail its own bytes when the one before it is being deleted as the fetch begins', () =>
    withSession({ mails }, async (session) => {
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
    const answer = (line: string) => {
      if (line === 'DELE 2') return '-ERR message 2 already deleted\r\n';
      // Says nothing that tells why; LIST then does.
      if (line === 'DELE 3') isGone = true;
      if (line === 'DELE 3') return '-ERR 17\r\n';
      return line === 'LIST' && isGone ? multiLine(['2 5', '4 5', '5 5']) : undefined;
    };
    return withSession({ mails, answer }, async (session, server) => {
      await session.settle((await measured(session)).slice(0, 5));
      assert.equal(await session.close(), true);
      assert.equal(server.deleted(), 3);
    });
  });

  for (const capa of [fullCapabilities, ['UIDL']])
    it(`says so when a mail cannot be deleted, and still deletes the others (CAPA: ${capa.join()})`, () =>
      withSession({ mails, capa, answer: { 'DELE 2': '-ERR read-only\r\n' } }, async (session, server) => {
        const settling = session.settle((await measured(session)).slice(0, 5));
        await assertFails(settling, 'protocol', /refused DELE 2: read-only\./);
        assert.equal(await session.close(), true);
        assert.equal(server.deleted(), 4);
      }));

  for (const [what, capa] of [
    ['pipelining', undefined],
    ['no pipelining', ['UIDL', 'USER']],
  ] as const) {
    it(`asks the list where DELE is answered with an empty line, as Office 365 does (${what})`, async () => {
      for (const [line, numbers] of [
        ['\r\n', [1, 3, 4, 5]],
        ['\r\n', [1, 2, 3, 4, 5]],
        ['\r\n+OK\r\n', [1, 3, 4, 5]],
      ] as const) {
        let isAsked = false;
        const answer = (command: string) => {
          if (command === 'DELE 2') isAsked = true;
          if (command === 'DELE 2') return line;
          return command === 'LIST' && isAsked
            ? multiLine(numbers.map((number) => `${number} 5`))
            : undefined;
        };
        const script = { mails, answer, ...(capa && { capa }) };
        await withSession(script, async (session, server) => {
          const all = await measured(session);
          const settling = session.settle(all.slice(0, 3));
          if (!numbers.some((number) => number === 2)) await settling;
          else await assertFails(settling, 'protocol', /refused DELE 2: no reason given\./);
          assert.equal((await fetchAll(session, all.slice(3, 5))).length, 2);
          assert.equal(await session.close(), true);
          assert.equal(server.deleted(), 2);
        });
      }
    });
  }

  it('says so when a mail cannot be deleted, and not be listed', () => {
    let lists = 0;
    const LIST = () => {
      lists += 1;
      return lists > 1 ? '-ERR not now\r\n' : undefined;
    };
    const answer = (line: string) =>
      line === 'DELE 2' ? '-ERR no\r\n' : line === 'LIST' ? LIST() : undefined;
    return withSession({ answer }, async (session) => {
      await assertFails(session.settle(await measured(session)), 'protocol', /refused LIST: not now\./);
    });
  });

  it('pipelines deletes, and sends each once', () =>
    withSession({ mails }, async (session, server) => {
      const all = await measured(session);
      await Promise.all([session.settle(all), session.settle(all)]);
      assert.equal(count(server, 'DELE'), mails.length);
    }));

  it('sends QUIT together with the last deletes when it is closed in the same turn', () => {
    // Answers nothing before QUIT has come.
    const answer = { DELE: 'silence', QUIT: '+OK\r\n+OK\r\n-ERR read-only\r\n+OK bye\r\n' };
    return withSession({ mails, answer }, async (session) => {
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
    withSession({ mails }, async (session, server) => {
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
    withSession({ mails }, async (session, server) => {
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

  it('leaves no timer behind when it is closed', () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    return withSession({ mails }, async (session) => {
      const all = await measured(session);
      await fetchAll(session, all);
      await session.settle(all);
      assert.equal(await session.close(), true);
      assert.equal(timers(), before);
    });
  });

  it('takes what came and nobody asked for neither for the answer to DELE nor for that to QUIT', () => {
    const answer = { 'RETR 3': '+OK\r\nthree\r\n.\r\n+OK\r\n', 'DELE 3': '-ERR read-only\r\n' };
    return withSession({ mails: mails.slice(0, 3), answer }, async (session, server) => {
      const all = await measured(session);
      await session.settle(all.slice(0, 1));
      await fetchAll(session, all);
      const { message } = await failureOf(session.settle(all.slice(2)), 'protocol');
      assert.match(message, /sent what nobody asked for: "\+OK"/);
      assert.equal(await session.close(), false);
      assert.deepEqual([count(server, 'DELE'), count(server, 'QUIT'), server.deleted()], [1, 0, 0]);
    });
  });

  it('sends QUIT behind the last of very many deletes', () => {
    const many = Array.from({ length: 1_500 }, () => Buffer.from('x\r\n'));
    return withSession({ mails: many }, async (session, server) => {
      const settling = session.settle(await measured(session));
      assert.equal(await session.close(), true);
      await settling;
      assert.equal(server.deleted(), many.length);
    });
  });

  it('takes a streamed mail of which nothing is sent the second time for none', () => {
    let times = 0;
    const answer = (line: string) => {
      times += line === 'RETR 1' ? 1 : 0;
      return line === 'RETR 1' && times > 1 ? '+OK\r\n.\r\n' : undefined;
    };
    return withSession({ mails, answer, options: { wholeBytes: 0 } }, async (session) => {
      for await (const one of session.fetch((await measured(session)).slice(0, 1), new CountedMemory())) {
        assert.ok(one.kind === 'mail');
        assert.deepEqual(await bytesOf(await one.open()), mails[0]);
        const again = await failureOf(bytesOf(await one.open()), 'mail');
        assert.match(again.message, /sent nothing of its mail 1/);
      }
    });
  });
});

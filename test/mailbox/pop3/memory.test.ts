import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Failure } from '../../../shared/failure/failure.ts';
import type { FetchAnswer } from '../../../shared/mailbox/mailbox.ts';
import { openPop3Mailbox } from '../../../shared/mailbox/pop3/pop3Mailbox.ts';
import { bytesOf, CountedMemory, fetchAll } from '../memory.ts';
import { failureOf, timeoutsOf } from '../outcomes.ts';
import { multiLine } from './scriptedServer.ts';
import { measured, pop3Options, sources, withServer, withSession } from './sessions.ts';

const mebibyte = 1024 * 1024;

const mailsOf = (count: number, sizeBytes: number) =>
  Array.from({ length: count }, (_, index) => Buffer.from(`${`${index} `.padEnd(sizeBytes - 2, 'x')}\r\n`));

describe('POP3 and memory', () => {
  it('waits for memory that mails hold which were handed over, and for no other reason', () => {
    const options = { timeouts: timeoutsOf(200, 5_000) };
    return withSession({ mails: mailsOf(40, 100_000), options }, async (session) => {
      const memory = new CountedMemory(250_000);
      let came = 0;
      for await (const answer of session.fetch(await measured(session), memory)) {
        assert.ok(answer.kind === 'mail' && answer.whole?.length === 100_000);
        assert.ok(memory.heldBytes <= 250_000);
        came += 1;
        setTimeout(() => answer.release(), came === 3 ? 400 : 2);
      }
      assert.equal(came, 40);
    });
  });

  it('reads a mail into memory that the one before it has done with', () =>
    withSession({ mails: mailsOf(5, 10_000) }, async (session) => {
      const used = new Set<ArrayBufferLike | undefined>();
      for await (const answer of session.fetch(await measured(session), new CountedMemory())) {
        assert.ok(answer.kind === 'mail');
        used.add(answer.whole?.buffer);
        answer.freeBytes();
        answer.release();
      }
      assert.equal(used.size, 1);
    }));

  it('gives back what it holds for mails that are refused, and for those that nobody takes', () =>
    withSession({ mails: mailsOf(5, 10_000), answer: { 'RETR 2': '-ERR no\r\n' } }, async (session) => {
      const memory = new CountedMemory();
      for await (const answer of session.fetch(await measured(session), memory)) {
        if (answer.kind === 'mail') answer.release();
        if (answer.mail.id === 3) break;
      }
      assert.equal(memory.heldBytes, 0);
    }));

  it('grows with a mail that is larger than listed, and streams one that is too large to be held', () => {
    const mails = [40_000, 31 * mebibyte, 100].flatMap((sizeBytes) => mailsOf(1, sizeBytes));
    const answer = { LIST: multiLine(['1 10', '2 700000', '3 100']) };
    const options = { wholeBytes: mebibyte, streamBytes: 2 * mebibyte };
    return withSession({ mails, answer, options }, async (session) => {
      const memory = new CountedMemory();
      const fetched = await fetchAll(session, await measured(session), memory);
      assert.ok(sources(fetched).every((source, index) => mails[index]?.equals(source)));
      assert.deepEqual(
        fetched.map((one) => one.kind === 'mail' && one.isWhole),
        [true, false, true],
      );
      assert.ok(memory.mostBytes <= 4 * mebibyte, `${memory.mostBytes}`);
      assert.equal(memory.heldBytes, 0);
    });
  });

  it('fetches such a mail again, and those behind it that were on their way, each once', () => {
    const mails = mailsOf(12, 90_000);
    const answer = { LIST: multiLine(mails.map((_, index) => `${index + 1} 10`)) };
    return withSession({ mails, answer, options: { wholeBytes: 50_000 } }, async (session) => {
      const ids: number[] = [];
      for await (const one of session.fetch(await measured(session), new CountedMemory())) {
        assert.ok(one.kind === 'mail' && one.whole === undefined);
        ids.push(one.mail.id);
        if (one.mail.id % 2 === 0) for await (const _ of await one.open()) break;
        assert.deepEqual(await bytesOf(await one.open()), mails[one.mail.id - 1]);
      }
      assert.deepEqual(
        ids,
        mails.map((_, index) => index + 1),
      );
    });
  });

  for (const command of ['CAPA', 'PASS', 'LIST', 'RETR', 'DELE']) {
    it(`ends what hangs at ${command} when the signal fires, with its reason`, async () => {
      const abort = new AbortController();
      const answer = (line: string) => {
        if (!line.startsWith(command)) return undefined;
        setTimeout(() => abort.abort(new Failure('timeout', 'The time is up.')), 20);
        return 'silence' as const;
      };
      const startedAt = performance.now();
      const polling = withSession({ answer, options: { signal: abort.signal } }, async (session) => {
        const all = await measured(session);
        await fetchAll(session, all);
        await session.settle(all);
      });
      assert.equal((await failureOf(polling)).message, 'The time is up.');
      assert.ok(performance.now() - startedAt < 2_000);
    });
  }

  it('holds none for mails of which nothing is sent, or which are withheld', () => {
    const answer = (line: string) => {
      if (!line.startsWith('RETR')) return undefined;
      return line.endsWith('7') ? '-ERR disk error\r\n' : '+OK\r\n.\r\n';
    };
    return withSession({ mails: mailsOf(40, 1_000), answer }, async (session) => {
      const memory = new CountedMemory(1_500);
      const answers = await fetchAll(session, await measured(session), memory);
      assert.ok(answers.length === 40 && answers.every(({ kind }) => kind === 'unavailable'));
      assert.equal(memory.heldBytes, 0);
    });
  });

  it('counts what a mail has beyond its listed size, and what is not done with as the fetch ends', () => {
    const answer = { LIST: multiLine(['1 1', '2 100000']) };
    return withSession({ mails: mailsOf(2, 100_000), answer }, async (session) => {
      const memory = new CountedMemory();
      const answers: FetchAnswer[] = [];
      for await (const one of session.fetch(await measured(session), memory)) answers.push(one);
      assert.ok(memory.heldBytes >= 200_000, `${memory.heldBytes}`);
      for (const one of answers) if (one.kind === 'mail') one.release();
      assert.equal(memory.heldBytes, 0);
    });
  });

  it('counts a streamed mail as its bytes arrive, up to what may be held of a stream', () => {
    const options = { wholeBytes: 1_000, streamBytes: 500_000 };
    return withSession({ mails: mailsOf(1, 3_000_000), options }, async (session) => {
      const memory = new CountedMemory();
      for await (const answer of session.fetch(await measured(session), memory)) {
        assert.ok(answer.kind === 'mail');
        let readBytes = 0;
        for await (const piece of await answer.open()) {
          readBytes += piece.length;
          assert.ok(memory.heldBytes >= Math.min(readBytes, 500_000), `${memory.heldBytes} of ${readBytes}`);
        }
        answer.release();
      }
      assert.ok(memory.mostBytes < 600_000, `${memory.mostBytes}`);
    });
  });

  it('opens no session for a run that was told to end before', () =>
    withServer({}, async ({ port, commands }) => {
      const signal = AbortSignal.abort(new Failure('timeout', 'The time is up.'));
      const failure = await failureOf(openPop3Mailbox(pop3Options(port, { signal })));
      assert.equal(failure.message, 'The time is up.');
      assert.deepEqual(commands, []);
    }));
});

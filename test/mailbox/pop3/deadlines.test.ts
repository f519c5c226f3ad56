import assert from 'node:assert/strict';
import * as net from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { MailboxOptions } from '../../../shared/mailbox/mailbox.ts';
import { openPop3Mailbox } from '../../../shared/mailbox/pop3/pop3Mailbox.ts';
import { Deadline } from '../../../shared/mailbox/pop3/wire.ts';
import { listening } from '../../testbed/listening.ts';
import { CountedMemory, fetchAll, fetched } from '../memory.ts';
import { assertFails, failureOf, timeoutsOf } from '../outcomes.ts';
import type { Script } from './scriptedServer.ts';
import { drain, measured, pop3Options, threeMails, withServer, withSession } from './sessions.ts';

const timeouts = timeoutsOf(80, 120);
/** What a busy machine may add to a deadline. */
const graceMs = 2_000;

async function endsWithin<Result>(limitMs: number, work: Promise<Result>): Promise<Result> {
  const startedAt = performance.now();
  const result = await work;
  const tookMs = performance.now() - startedAt;
  assert.ok(tookMs < limitMs + graceMs, `took ${tookMs} ms`);
  return result;
}

/** A session that has time to open, and none for anything else. */
const impatient = (script: Script, options: Partial<MailboxOptions> = {}) => ({
  ...script,
  options: { timeouts: { ...timeouts, connectMs: 5_000 }, ...options },
});

describe('POP3 server that stalls', () => {
  for (const command of ['USER', 'PASS', 'STLS']) {
    it(`while connecting, at ${command}, is given up at the connect deadline`, () =>
      withServer({ answer: { [command]: 'silence' } }, async ({ port }) => {
        const options = pop3Options(port, { timeouts, security: command === 'STLS' ? 'starttls' : 'plain' });
        const failure = await endsWithin(timeouts.connectMs, failureOf(openPop3Mailbox(options), 'timeout'));
        assert.match(failure.message, /did not finish the login within 120 ms/);
      }));
  }

  for (const [where, security, sentence] of [
    ['before its greeting', 'plain', /sent no greeting within 120 ms/],
    ['in the TLS handshake', 'tls', /did not complete the TLS handshake within 120 ms/],
  ] as const) {
    it(`${where} is given up at the connect deadline`, async () => {
      const { port, stop } = await listening(net.createServer());
      const opening = openPop3Mailbox(pop3Options(port, { timeouts, security }));
      const failure = await endsWithin(timeouts.connectMs, failureOf(opening, 'timeout'));
      assert.match(failure.message, sentence);
      await stop();
    });
  }

  it('has one deadline for all of connect, though each answer alone comes in time', () =>
    withServer({ capa: false, delivery: { delayMs: 50 } }, async ({ port, commands }) => {
      const options = pop3Options(port, { timeouts: timeoutsOf(120) });
      await endsWithin(120, failureOf(openPop3Mailbox(options), 'timeout'));
      assert.ok(!commands.some((line) => line.startsWith('PASS')), commands.join());
    }));

  it('is not what a slow consumer is taken for', () => {
    const mails = [Buffer.from(`${'x'.repeat(4_000_000)}\r\n`), ...threeMails];
    const options = { timeouts: timeoutsOf(500, 5_000), wholeBytes: 1_000_000 };
    return withSession({ mails, options }, async (session) => {
      const all = await measured(session);
      for await (const opened of session.fetch(all.slice(0, 1), new CountedMemory())) {
        assert.ok(opened.kind === 'mail' && opened.whole === undefined);
        let sizeBytes = 0;
        for await (const piece of await opened.open()) {
          if (sizeBytes === 0) await wait(600);
          sizeBytes += piece.length;
        }
        assert.equal(sizeBytes, 4_000_002);
      }
      for await (const { kind } of fetched(session, all)) {
        assert.equal(kind, 'mail');
        await wait(200);
      }
      assert.equal(await session.close(), true);
    });
  });

  it('is not what one is taken for that still sends what a consumer has left, before it is told to delete', () => {
    const mails = Array.from({ length: 40 }, () => Buffer.alloc(48_000, 'x\r\n'));
    const options = { timeouts: { connectMs: 5_000, openMs: 5_000, commandMs: 500 } };
    const delivery = { bytesPerSecond: () => 1_000_000 };
    return withSession({ mails, delivery, options }, async (session, { deleted }) => {
      const all = await measured(session);
      for await (const _ of fetched(session, all)) break;
      const settling = session.settle(all.slice(0, 1));
      assert.equal(await session.close(), true);
      await settling;
      assert.equal(deleted(), 1);
    });
  });

  for (const command of ['LIST', 'UIDL', 'RETR', 'DELE']) {
    for (const [way, capa] of [
      ['pipelined', {}],
      ['sequential', { capa: false }],
    ] as const) {
      it(`at ${command} is given up at the command deadline (${way})`, () =>
        withSession(impatient({ answer: { [command]: 'silence' }, ...capa }), async (session) => {
          const failure = await endsWithin(2 * timeouts.commandMs, failureOf(drain(session), 'timeout'));
          assert.match(failure.message, /stopped answering: nothing came within 80 ms/);
          assert.equal(await session.close(), command !== 'DELE');
        }));
    }
  }

  for (const [mail, options] of [
    ['a mail', {}],
    ['a streamed mail', { wholeBytes: 0 }],
  ] as const) {
    it(`in the middle of ${mail} is given up at the command deadline`, () =>
      withSession(impatient({ answer: { 'RETR 1': '+OK\r\nhalf' } }, options), async (session) => {
        const fetching = fetchAll(session, await measured(session));
        await endsWithin(timeouts.commandMs, failureOf(fetching, 'timeout'));
        await endsWithin(timeouts.commandMs, session.close());
      }));
  }

  it('at QUIT has confirmed nothing', () =>
    withSession(impatient({ answer: { QUIT: 'silence' } }), async (session) => {
      await session.settle(await session.list(1));
      assert.equal(await endsWithin(timeouts.commandMs, session.close()), false);
    }));

  it('does not keep close waiting for a stream that nobody reads', () => {
    const mails = [Buffer.alloc(8_000_000, 'x')];
    return withSession(impatient({ mails }, { wholeBytes: 0 }), async (session) => {
      const all = await measured(session);
      const answer = await session.fetch(all, new CountedMemory())[Symbol.asyncIterator]().next();
      assert.ok(answer.value?.kind === 'mail');
      const queued = failureOf(session.settle(all));
      assert.equal(await endsWithin(timeouts.commandMs, session.close()), true);
      await queued;
    });
  });
});

describe('POP3 deadline', () => {
  it('ends a mail that trickles, though it is never silent', () => {
    const mails = [Buffer.from('x\r\n'.repeat(30_000))];
    const options = { timeouts: timeoutsOf(300, 10_000) };
    const delivery = { bytesPerSecond: () => 10 * 1024 };
    return withSession({ mails, options, delivery }, async (session) => {
      await assertFails(fetchAll(session, await measured(session)), 'timeout', /nothing came within 300 ms/);
    });
  });

  it('ends a mail that trickles for ever, by the slowest rate that a network may have', () => {
    const waitedMs = (bytesAMinute: number, minutes: number) => {
      const deadline = new Deadline(120_000, 60_000);
      for (let minute = 0; minute < minutes; minute += 1) {
        if (deadline.waitMs === 0) return minute * 60_000;
        assert.ok(deadline.waitMs <= 60_000);
        deadline.spend(60_000);
        deadline.earn(bytesAMinute);
      }
      return minutes * 60_000;
    };
    assert.equal(waitedMs(1, 100), 3 * 60_000);
    assert.equal(waitedMs(32 * 1024, 100), 4 * 60_000);
    assert.equal(waitedMs(64 * 1024, 100), 100 * 60_000);
  });
});

describe('A POP3 server whose answer lies there while this process is busy', () => {
  // Long enough for a busy machine to read a command and answer it.
  const commandMs = 300;
  for (const command of ['LIST', 'RETR 1', 'DELE 1']) {
    it(`is not given up for that (at ${command})`, () => {
      const answer = (line: string) => {
        // By then the answer is sent, and nobody has read it.
        if (line === command) setImmediate(beBusy, 2 * commandMs);
        return undefined;
      };
      const options = { timeouts: { connectMs: 10_000, openMs: commandMs, commandMs } };
      return withSession({ mails: threeMails.slice(0, 1), answer, options }, async (session) => {
        assert.equal((await drain(session)).confirmed, true);
      });
    });
  }
});

function beBusy(ms: number): void {
  const startedAt = performance.now();
  while (performance.now() - startedAt < ms);
}

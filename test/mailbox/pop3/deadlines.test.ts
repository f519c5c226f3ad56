import assert from 'node:assert/strict';
import * as net from 'node:net';
import { describe, it } from 'node:test';
import { openPop3Mailbox } from '../../../shared/mailbox/pop3/pop3Mailbox.ts';
import { mailDeadline } from '../../../shared/mailbox/pop3/wire.ts';
import { CountedMemory, fetchAll } from '../memory.ts';
import { type Script, type ScriptedServer, startScriptedServer } from './scriptedServer.ts';
import { drain, failureOf, fetched, measured, pop3Options } from './sessions.ts';

const mails = ['one\r\n', 'two\r\n'].map((text) => Buffer.from(text));
const timeouts = { connectMs: 120, openMs: 80, commandMs: 80 };
/** What a busy machine may add to a deadline. */
const graceMs = 2_000;

async function withServer<Result>(
  script: Script,
  use: (server: ScriptedServer) => Promise<Result>,
): Promise<Result> {
  const server = await startScriptedServer({ mails, ...script });
  try {
    return await use(server);
  } finally {
    await server.stop();
  }
}

async function endsWithin<Result>(limitMs: number, work: Promise<Result>): Promise<Result> {
  const startedAt = performance.now();
  const result = await work;
  const tookMs = performance.now() - startedAt;
  assert.ok(tookMs < limitMs + graceMs, `took ${tookMs} ms`);
  return result;
}

async function pass(ms: number): Promise<void> {
  const until = performance.now() + ms;
  while (performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 10));
}

const silentOn = (pattern: RegExp): Script => ({
  answer: (line) => (pattern.test(line) ? 'silence' : undefined),
});

describe('POP3 server that stalls', () => {
  for (const command of ['CAPA', 'USER', 'PASS', 'STLS']) {
    it(`while connecting, at ${command}, is given up at the connect deadline`, () =>
      withServer(silentOn(new RegExp(`^${command}`)), async ({ port }) => {
        const options = pop3Options(port, { timeouts, security: command === 'STLS' ? 'starttls' : 'plain' });
        const failure = await endsWithin(timeouts.connectMs, failureOf(openPop3Mailbox(options), 'timeout'));
        assert.match(failure.message, /did not finish the login within 120 ms/);
      }));
  }

  it('before its greeting is given up at the connect deadline', () =>
    withServer({ greeting: '' }, async ({ port }) => {
      const opening = openPop3Mailbox(pop3Options(port, { timeouts }));
      await endsWithin(timeouts.connectMs, failureOf(opening, 'timeout'));
    }));

  it('in the TLS handshake is given up at the connect deadline', async () => {
    const sockets = new Set<net.Socket>();
    const server = net.createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const opening = openPop3Mailbox(pop3Options(port, { timeouts, security: 'tls' }));
    const failure = await endsWithin(timeouts.connectMs, failureOf(opening, 'timeout'));
    assert.match(failure.message, /did not complete the TLS handshake within 120 ms/);
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });

  it('has one deadline for all of connect, though each answer alone comes in time', () =>
    withServer({ capa: false, delivery: { delayMs: 50 } }, async ({ port, commands }) => {
      const options = pop3Options(port, { timeouts: { connectMs: 120, openMs: 120, commandMs: 120 } });
      await endsWithin(120, failureOf(openPop3Mailbox(options), 'timeout'));
      assert.ok(!commands.some((line) => line.startsWith('PASS')), commands.join());
    }));

  it('is not what a slow consumer is taken for', () =>
    withServer({ mails: [Buffer.from(`${'x'.repeat(4_000_000)}\r\n`), ...mails] }, async ({ port }) => {
      const session = await openPop3Mailbox(
        pop3Options(port, {
          timeouts: { connectMs: 5_000, openMs: 500, commandMs: 500 },
          wholeBytes: 1_000_000,
        }),
      );
      const all = await measured(session);
      for await (const opened of session.fetch(all.slice(0, 1), new CountedMemory())) {
        assert.ok(opened.kind === 'mail' && opened.whole === undefined);
        let sizeBytes = 0;
        for await (const piece of await opened.open()) {
          if (sizeBytes === 0) await pass(600);
          sizeBytes += piece.length;
        }
        assert.equal(sizeBytes, 4_000_002);
      }
      for await (const { kind } of fetched(session, all)) {
        assert.equal(kind, 'mail');
        await pass(200);
      }
      assert.equal(await session.close(), true);
    }));

  for (const command of ['LIST', 'UIDL', 'RETR', 'DELE']) {
    for (const capa of [undefined, false] as const) {
      it(`at ${command} is given up at the command deadline (${capa === false ? 'sequential' : 'pipelined'})`, () =>
        withServer(
          { ...silentOn(new RegExp(`^${command}`)), ...(capa === false ? { capa } : {}) },
          async ({ port }) => {
            const session = await openPop3Mailbox(
              pop3Options(port, { timeouts: { ...timeouts, connectMs: 5_000 } }),
            );
            const failure = await endsWithin(2 * timeouts.commandMs, failureOf(drain(session), 'timeout'));
            assert.match(failure.message, /stopped answering: nothing came within 80 ms/);
            assert.equal(await session.close(), command !== 'DELE');
          },
        ));
    }
  }

  it('in the middle of a mail is given up at the command deadline', () =>
    withServer({ answer: (line) => (line === 'RETR 1' ? '+OK\r\nhalf' : undefined) }, async ({ port }) => {
      const session = await openPop3Mailbox(
        pop3Options(port, { timeouts: { ...timeouts, connectMs: 5_000 } }),
      );
      await endsWithin(2 * timeouts.commandMs, failureOf(drain(session), 'timeout'));
    }));

  it('in the middle of a streamed mail ends the stream at the command deadline', () =>
    withServer({ answer: (line) => (line === 'RETR 1' ? '+OK\r\nhalf' : undefined) }, async ({ port }) => {
      const session = await openPop3Mailbox(
        pop3Options(port, { timeouts: { ...timeouts, connectMs: 5_000 }, wholeBytes: 0 }),
      );
      const fetching = fetchAll(session, await measured(session));
      await endsWithin(timeouts.commandMs, failureOf(fetching, 'timeout'));
      await endsWithin(timeouts.commandMs, session.close());
    }));

  it('at QUIT has confirmed nothing', () =>
    withServer(silentOn(/^QUIT/), async ({ port }) => {
      const session = await openPop3Mailbox(
        pop3Options(port, { timeouts: { ...timeouts, connectMs: 5_000 } }),
      );
      await session.settle(await session.list(1));
      assert.equal(await endsWithin(timeouts.commandMs, session.close()), false);
    }));

  it('does not keep close waiting for a stream that nobody reads', () => {
    const large = [Buffer.alloc(8_000_000, 'x')];
    return withServer({ mails: large }, async ({ port }) => {
      const session = await openPop3Mailbox(
        pop3Options(port, { timeouts: { ...timeouts, connectMs: 5_000 }, wholeBytes: 0 }),
      );
      const [mail] = await measured(session);
      assert.ok(mail);
      const answer = await session.fetch([mail], new CountedMemory())[Symbol.asyncIterator]().next();
      assert.ok(answer.value?.kind === 'mail');
      const queued = failureOf(session.settle([mail]));
      assert.equal(await endsWithin(timeouts.commandMs, session.close()), true);
      await queued;
    });
  });
});

describe('POP3 deadline', () => {
  it('ends a mail that trickles for ever, by the slowest rate that a network may have', () => {
    const waitedMs = (bytesAMinute: number, minutes: number) => {
      const deadline = mailDeadline(60_000);
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

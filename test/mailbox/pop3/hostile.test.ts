import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FailureReason } from '../../../shared/failure/failure.ts';
import { openPop3Mailbox } from '../../../shared/mailbox/pop3/pop3Mailbox.ts';
import { multiLine, type Script, type ScriptedServer, startScriptedServer } from './scriptedServer.ts';
import { drain, failureOf, measured, openAndDrain, pop3Options, sources } from './sessions.ts';

const mails = ['one\r\n', 'two\r\n', 'three\r\n'].map((text) => Buffer.from(text));

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

const instead =
  (command: string, reply: string | Buffer): NonNullable<Script['answer']> =>
  (line) =>
    line === command ? reply : undefined;

describe('POP3 server with hostile answers', () => {
  const greetings: readonly (readonly [string, FailureReason, RegExp])[] = [
    [
      '-ERR too many connections, try later\r\n',
      'busy',
      /refused to serve: too many connections, try later\. Close other/,
    ],
    ['-ERR\r\n', 'busy', /refused to serve: no reason given\. The next run tries again/],
    [
      '* OK IMAP4rev1 ready\r\n',
      'protocol',
      /answered "\* OK IMAP4rev1 ready", which is not POP3\. That is IMAP: set hostType to IMAP, or port to the right one\./,
    ],
    ['HTTP/1.1 400 Bad Request\r\n\r\n', 'protocol', /which is not POP3/],
    ['+OKAY\r\n', 'protocol', /which is not POP3/],
    [`+OK ${'x'.repeat(100_000)}`, 'protocol', /sent a line of more than 8192 bytes, which is not POP3/],
    ['\0\0\0\r\n', 'protocol', /which is not POP3/],
    ['+OK\r\n+OK\r\n', 'protocol', /sent what nobody asked for: "\+OK"/],
  ];
  for (const [greeting, reason, sentence] of greetings) {
    it(`fails with a sentence on the greeting ${JSON.stringify(greeting.slice(0, 40))}`, () =>
      withServer({ greeting }, async ({ port }) => {
        const failure = await failureOf(openPop3Mailbox(pop3Options(port)), reason);
        assert.match(failure.message, sentence);
      }));
  }

  it('survives an -ERR that nobody asked for, between two commands', () =>
    withServer(
      {
        answer: (line) => (line.startsWith('USER') ? '+OK\r\n+OK\r\n-ERR shutting down\r\n' : undefined),
        capa: false,
      },
      async ({ port }) => {
        const failure = await failureOf(openAndDrain(pop3Options(port)));
        assert.match(failure.reason, /^(connection-lost|protocol)$/);
      },
    ));

  it('takes a mail for withheld, not for missing, when RETR is refused, and goes on with the others', () =>
    withServer({ answer: instead('RETR 2', '-ERR [SYS/TEMP] disk error\r\n') }, async ({ port }) => {
      const { answers, confirmed } = await openAndDrain(pop3Options(port));
      assert.deepEqual(
        answers.map(({ kind }) => kind),
        ['mail', 'unavailable', 'mail'],
      );
      const [, withheld] = answers;
      assert.equal(
        withheld?.kind === 'unavailable' && withheld.sentence,
        `POP3 server 127.0.0.1:${port} would not hand over its mail 2: [SYS/TEMP] disk error`,
      );
      assert.equal(confirmed, true);
    }));

  for (const text of [
    'no such message',
    'Message 2 has been deleted',
    'message already expunged',
    'message does not exist',
  ]) {
    it(`takes a mail for gone when RETR is answered "-ERR ${text}"`, () =>
      withServer({ answer: instead('RETR 2', `-ERR ${text}\r\n`) }, async ({ port }) => {
        const { answers } = await openAndDrain(pop3Options(port));
        assert.deepEqual(
          answers.map(({ kind }) => kind),
          ['mail', 'gone', 'mail'],
        );
      }));
  }

  it('accepts a mail that is larger or smaller than LIST says', () => {
    const three = [9_000, 900_000, 100].map((length) => Buffer.from(`${'a'.repeat(length)}\r\n`));
    return withServer(
      { answer: instead('LIST', multiLine(['1 1', '2 700000', '3 300000'])), mails: three },
      async ({ port }) => {
        const { answers } = await openAndDrain(pop3Options(port));
        assert.ok(sources(answers).every((source, index) => source.equals(three[index] ?? Buffer.alloc(0))));
      },
    );
  });

  it('takes a mail of which nothing is sent for withheld, not for an empty one', () => {
    const three = ['one\r\n', '', 'three\r\n'].map((text) => Buffer.from(text));
    return withServer(
      { answer: instead('LIST', multiLine(['1 100', '2 1234', '3 100'])), mails: three },
      async ({ port }) => {
        const { answers } = await openAndDrain(pop3Options(port));
        const [, empty] = answers;
        assert.deepEqual(
          answers.map(({ kind }) => kind),
          ['mail', 'unavailable', 'mail'],
        );
        assert.match(
          empty?.kind === 'unavailable' ? empty.sentence : '',
          /sent nothing of its mail 2, which it lists with 1234 bytes/,
        );
      },
    );
  });

  it('fails a streamed mail of which nothing is sent', () =>
    withServer(
      { answer: instead('LIST', multiLine(['1 20000000'])), mails: [Buffer.alloc(0)] },
      async ({ port }) => {
        const { message } = await failureOf(openAndDrain(pop3Options(port)), 'mail');
        assert.match(message, /sent nothing of its mail 1, which it lists with 20000000 bytes/);
      },
    ));

  it('takes a mail that is listed as empty for an empty one', () =>
    withServer({ mails: [Buffer.alloc(0)] }, async ({ port }) => {
      const { answers } = await openAndDrain(pop3Options(port));
      assert.deepEqual(sources(answers), [Buffer.alloc(0)]);
    }));

  for (const command of ['CAPA', 'LIST', 'UIDL']) {
    it(`ends an answer to ${command} that never ends`, () =>
      withServer(
        { answer: instead(command, `+OK\r\n${'1 1\r\n'.repeat(command === 'CAPA' ? 2_000 : 1_000_001)}`) },
        async ({ port }) => {
          const failure = await failureOf(openAndDrain(pop3Options(port)), 'protocol');
          assert.match(failure.message, new RegExp(`gave an endless answer to ${command}\\.`));
        },
      ));

    it(`ends a line of ${command} that never ends`, () =>
      withServer({ answer: instead(command, `+OK\r\n1 ${'x'.repeat(100_000)}`) }, async ({ port }) => {
        await failureOf(openAndDrain(pop3Options(port)), 'protocol');
      }));
  }

  it('goes by LIST, whatever counts the status lines claim', () =>
    withServer(
      { answer: instead('LIST', '+OK 4000000000 messages\r\n1 5\r\n2 5\r\n3 7\r\n.\r\n') },
      async ({ port }) => {
        assert.equal((await openAndDrain(pop3Options(port))).answers.length, 3);
      },
    ));

  it('passes over lines of LIST that make no sense, and mails that only UIDL names', () =>
    withServer(
      { answer: instead('LIST', multiLine(['', 'x y', '0 5', '-1 5', '1 5', '1 9', '99999999999 1', '3'])) },
      async ({ port }) => {
        const session = await openPop3Mailbox(pop3Options(port));
        const mail = await measured(session);
        assert.deepEqual(mail, [{ key: 'uid-1', id: 1, sizeBytes: 5 }]);
        assert.equal(await session.close(), true);
      },
    ));

  it('keeps bare LF and NUL in a mail, and a bare LF before what looks like the end', () => {
    const odd = [Buffer.from('a\n.\nb\0c\n.\r\nd\r\r\n')];
    return withServer({ mails: odd }, async ({ port }) => {
      assert.deepEqual(sources((await openAndDrain(pop3Options(port))).answers), odd);
    });
  });

  it('lets status lines pass that end in a bare LF', () =>
    withServer(
      { greeting: '+OK hello\n', answer: (line) => (/^(USER|PASS)/.test(line) ? '+OK\n' : undefined) },
      async ({ port }) => {
        assert.equal((await openAndDrain(pop3Options(port))).confirmed, true);
      },
    ));

  it('fails for now when LIST is refused', () =>
    withServer({ answer: instead('LIST', '-ERR [SYS/TEMP] later\r\n') }, async ({ port }) => {
      const failure = await failureOf(openAndDrain(pop3Options(port)), 'busy');
      assert.match(failure.message, /refused LIST: \[SYS\/TEMP\] later\. The next run tries again/);
    }));

  it('deletes nothing for good when QUIT is refused', () =>
    withServer(
      { answer: instead('QUIT', '-ERR some deleted messages not removed\r\n') },
      async ({ port }) => {
        assert.equal((await drain(await openPop3Mailbox(pop3Options(port)))).confirmed, false);
      },
    ));
});

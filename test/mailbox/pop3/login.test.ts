import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FailureReason } from '../../../shared/failure/failure.ts';
import type { MailboxOptions } from '../../../shared/mailbox/mailbox.ts';
import { openPop3Mailbox } from '../../../shared/mailbox/pop3/pop3Mailbox.ts';
import { type Script, type ScriptedServer, startScriptedServer } from './scriptedServer.ts';
import { failureOf, password, pop3Options } from './sessions.ts';

async function withServer<Result>(
  script: Script,
  use: (server: ScriptedServer) => Promise<Result>,
): Promise<Result> {
  const server = await startScriptedServer(script);
  try {
    return await use(server);
  } finally {
    await server.stop();
  }
}

const refuse = (reply: string): Script => ({
  answer: (line) => (line.startsWith('PASS') ? `${reply}\r\n` : undefined),
});

describe('POP3 login with a password', () => {
  const cases: readonly (readonly [string, FailureReason, string])[] = [
    [
      '-ERR [AUTH] Authentication failed.',
      'login',
      'was refused: [AUTH] Authentication failed. Check username and password.',
    ],
    ['-ERR', 'login', 'was refused: no reason given. Check username and password.'],
    [
      '-ERR [IN-USE] Mailbox is locked',
      'busy',
      'found the mailbox in use: [IN-USE] Mailbox is locked. Close other POP3 clients of this mailbox; the next run tries again.',
    ],
    [
      '-ERR maildrop already locked',
      'busy',
      'found the mailbox in use: maildrop already locked. Close other POP3 clients of this mailbox; the next run tries again.',
    ],
    [
      '-ERR [LOGIN-DELAY] minimum time between mail checks violation',
      'busy',
      'came too soon: [LOGIN-DELAY] minimum time between mail checks violation. The server wants more time between logins: raise pollingIntervalSeconds.',
    ],
    [
      '-ERR [SYS/TEMP] try later',
      'busy',
      'failed for now: [SYS/TEMP] try later. The server has a passing fault; the next run tries again.',
    ],
    ['-ERR [SYS/PERM] disabled', 'login', "failed for good: [SYS/PERM] disabled. Ask the server's operator."],
    [
      '-ERR [IN-USE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)',
      'busy',
      'met too many connections: [IN-USE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10). Close other clients of this mailbox, or poll it less often.',
    ],
    [
      '-ERR account locked after failed logins',
      'login',
      'was refused: account locked after failed logins. Check username and password.',
    ],
    [
      '-ERR too many failed logins for this connection',
      'login',
      'was refused: too many failed logins for this connection. Check username and password.',
    ],
  ];
  for (const [reply, reason, sentence] of cases) {
    it(`says what to do about "${reply}"`, () =>
      withServer(refuse(reply), async ({ port }) => {
        const failure = await failureOf(openPop3Mailbox(pop3Options(port)), reason);
        assert.equal(failure.message, `POP3 login to 127.0.0.1:${port} as x ${sentence}`);
      }));
  }

  it('keeps the secret and unprintable text out of what it quotes', () =>
    withServer(refuse(`-ERR bad\x1b[31m ${password}! \x07${'y'.repeat(500)}`), async ({ port }) => {
      const { message } = await failureOf(openPop3Mailbox(pop3Options(port)), 'login');
      assert.match(message, /was refused: bad \[31m \*\*\*! y+…/);
      assert.ok(message.length < 400);
    }));

  it('sends a password with outer spaces as it is', () =>
    withServer({}, async ({ port, commands }) => {
      const credential = { kind: 'password', password: '  two words  ' } as const;
      const session = await openPop3Mailbox(pop3Options(port, { credential }));
      await session.close();
      assert.ok(commands.includes('PASS   two words  '));
    }));

  it('waits for the answer to USER where the server has no pipelining', () =>
    withServer(
      { capa: false, answer: (line) => (line.startsWith('USER') ? '-ERR unknown user\r\n' : undefined) },
      async (server) => {
        await failureOf(openPop3Mailbox(pop3Options(server.port)), 'login');
        assert.deepEqual(server.commands, ['CAPA', 'USER x']);
      },
    ));

  it('uses AUTH PLAIN where the server has no USER', () =>
    withServer(
      {
        capa: ['UIDL', 'SASL PLAIN'],
        answer: (line) => (line === 'AUTH PLAIN' ? '+ \r\n' : line.length >= 20 ? '+OK\r\n' : undefined),
      },
      async ({ port, commands }) => {
        const session = await openPop3Mailbox(pop3Options(port));
        assert.equal(await session.close(), true);
        assert.equal(Buffer.from(commands[2] ?? '', 'base64').toString(), `\0x\0${password}`);
      },
    ));

  for (const [column, value] of [
    ['username', 'x\r\nDELE 1'],
    ['username', 'x\0'],
    ['password', 'p\nDELE 1'],
    ['password', 'p\r'],
  ] as const) {
    it(`refuses ${JSON.stringify(value)} as ${column} before it connects`, () =>
      withServer({}, async (server) => {
        const changes: Partial<MailboxOptions> =
          column === 'username' ? { username: value } : { credential: { kind: 'password', password: value } };
        const failure = await failureOf(openPop3Mailbox(pop3Options(server.port, changes)), 'config');
        assert.match(failure.message, new RegExp(`^The ${column} for POP3 server`));
        assert.equal(server.connections(), 0);
      }));
  }
});

describe('POP3 login with an OAuth2 token', () => {
  const oauth2 = (tokens: readonly string[], asked: boolean[] = []): Partial<MailboxOptions> => ({
    credential: {
      kind: 'oauth2',
      getToken: async (fresh) => {
        asked.push(fresh);
        return tokens[fresh ? 1 : 0] ?? '';
      },
    },
  });
  const decoded = (line: string | undefined) => Buffer.from(line ?? '', 'base64').toString();
  const challenge = (line: string) => (line.startsWith('AUTH ') ? '+ \r\n' : undefined);
  const xoauth2 = ['UIDL', 'SASL PLAIN XOAUTH2'];

  it('waits for the challenge and sends the XOAUTH2 response', () =>
    withServer(
      { capa: xoauth2, answer: (line) => challenge(line) ?? (line.length > 20 ? '+OK\r\n' : undefined) },
      async ({ port, commands }) => {
        const session = await openPop3Mailbox(pop3Options(port, oauth2(['token-1'])));
        await session.close();
        assert.equal(commands[1], 'AUTH XOAUTH2');
        assert.equal(decoded(commands[2]), 'user=x\x01auth=Bearer token-1\x01\x01');
      },
    ));

  it('sends OAUTHBEARER where that alone is offered', () =>
    withServer(
      {
        capa: ['SASL OAUTHBEARER'],
        answer: (line) => challenge(line) ?? (line.length > 20 ? '+OK\r\n' : undefined),
      },
      async ({ port, commands }) => {
        const session = await openPop3Mailbox(
          pop3Options(port, { ...oauth2(['token-1']), username: 'a,b=c' }),
        );
        await session.close();
        assert.equal(commands[1], 'AUTH OAUTHBEARER');
        assert.equal(
          decoded(commands[2]),
          `n,a=a=2Cb=3Dc,\x01host=127.0.0.1\x01port=${port}\x01auth=Bearer token-1\x01\x01`,
        );
      },
    ));

  for (const [mechanism, acknowledgement] of [
    ['XOAUTH2', ''],
    ['OAUTHBEARER', 'AQ=='],
  ] as const) {
    it(`takes a second challenge for a refusal, and tries a fresh token once (${mechanism})`, () => {
      const asked: boolean[] = [];
      const error = Buffer.from('{"status":"401"}').toString('base64');
      return withServer(
        {
          capa: [`SASL ${mechanism}`],
          answer: (line) =>
            challenge(line) ??
            (line.length > 20
              ? `+ ${error}\r\n`
              : line === acknowledgement
                ? '-ERR [AUTH] expired\r\n'
                : undefined),
        },
        async (server) => {
          const options = pop3Options(server.port, oauth2(['token-1', 'token-2'], asked));
          const failure = await failureOf(openPop3Mailbox(options), 'login');
          assert.match(failure.message, /as x was refused: \[AUTH\] expired\. Check the OAuth2 client/);
          assert.deepEqual(asked, [false, true]);
          assert.equal(server.connections(), 2);
          const responses = server.commands.filter((line) => line.length > 20).map(decoded);
          assert.ok(responses[0]?.includes('token-1') && responses[1]?.includes('token-2'));
        },
      );
    });
  }

  it('logs in with the fresh token when only the cached one is refused', () =>
    withServer(
      {
        capa: xoauth2,
        answer: (line) =>
          challenge(line) ??
          (line.length <= 20 ? undefined : decoded(line).includes('token-2') ? '+OK\r\n' : '-ERR\r\n'),
      },
      async ({ port }) => {
        const session = await openPop3Mailbox(pop3Options(port, oauth2(['token-1', 'token-2'])));
        assert.equal(await session.close(), true);
      },
    ));

  it('takes it for a refusal when the server hangs up where its -ERR should come', () => {
    const asked: boolean[] = [];
    return withServer(
      {
        capa: xoauth2,
        answer: (line) =>
          challenge(line) ?? (line === '' ? 'fin' : line.length > 20 ? '+ e30=\r\n' : undefined),
      },
      async ({ port }) => {
        const options = pop3Options(port, oauth2(['token-1', 'token-2'], asked));
        await failureOf(openPop3Mailbox(options), 'login');
        assert.deepEqual(asked, [false, true]);
      },
    );
  });

  it('is no login when the server says +OK before it has seen the token', () =>
    withServer(
      { capa: xoauth2, answer: (line) => (line.startsWith('AUTH') ? '+OK\r\n' : undefined) },
      async (server) => {
        await failureOf(openPop3Mailbox(pop3Options(server.port, oauth2(['token-1']))), 'protocol');
        assert.equal(server.commands.length, 2);
      },
    ));

  it('does not try another token when the mailbox is only in use', () => {
    const asked: boolean[] = [];
    return withServer(
      {
        capa: xoauth2,
        answer: (line) => challenge(line) ?? (line.length > 20 ? '-ERR [IN-USE]\r\n' : undefined),
      },
      async ({ port }) => {
        await failureOf(openPop3Mailbox(pop3Options(port, oauth2(['token-1'], asked))), 'busy');
        assert.deepEqual(asked, [false]);
      },
    );
  });

  it('refuses a token that would inject commands', () =>
    withServer({}, async (server) => {
      await failureOf(openPop3Mailbox(pop3Options(server.port, oauth2(['a\r\nDELE 1']))), 'token');
      assert.equal(server.connections(), 0);
    }));

  it('ends in time when no token comes', () =>
    withServer({}, async ({ port }) => {
      const options = pop3Options(port, {
        credential: { kind: 'oauth2', getToken: () => new Promise<string>(() => {}) },
        timeouts: { connectMs: 50, openMs: 50, commandMs: 50 },
      });
      await failureOf(openPop3Mailbox(options), 'timeout');
    }));
});

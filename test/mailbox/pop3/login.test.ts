import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { FailureReason } from '../../../shared/failure/failure.ts';
import type { MailboxOptions } from '../../../shared/mailbox/mailbox.ts';
import { openPop3Mailbox } from '../../../shared/mailbox/pop3/pop3Mailbox.ts';
import { until } from '../../reliability/mails.ts';
import { assertFails, failureOf, timeoutsOf } from '../outcomes.ts';
import { fullCapabilities, multiLine, type Script } from './scriptedServer.ts';
import { drained, password, pop3Options, withServer, withSession } from './sessions.ts';

describe('POP3 login with a password', () => {
  const cases: Record<string, readonly [FailureReason, string]> = {
    '-ERR [AUTH] Authentication failed.': [
      'login',
      'was refused: [AUTH] Authentication failed. Check username and password.',
    ],
    '-ERR': ['login', 'was refused: no reason given. Check username and password.'],
    '-ERR [IN-USE] Mailbox is locked': [
      'busy',
      'found the mailbox in use: [IN-USE] Mailbox is locked. Close other POP3 clients of this mailbox; the next run tries again.',
    ],
    '-ERR maildrop already locked': [
      'busy',
      'found the mailbox in use: maildrop already locked. Close other POP3 clients of this mailbox; the next run tries again.',
    ],
    '-ERR [LOGIN-DELAY] minimum time between mail checks violation': [
      'busy',
      'came too soon: [LOGIN-DELAY] minimum time between mail checks violation. The server wants more time between logins: raise pollingIntervalSeconds.',
    ],
    '-ERR [SYS/TEMP] try later': [
      'busy',
      'failed for now: [SYS/TEMP] try later. The server has a passing fault; the next run tries again.',
    ],
    '-ERR mail storage services unavailable, wait a few minutes and try again': [
      'busy',
      'failed for now: mail storage services unavailable, wait a few minutes and try again. The server has a passing fault; the next run tries again.',
    ],
    '-ERR Invalid user name or password. Too many invalid logon attempts.': [
      'login',
      'was refused: Invalid user name or password. Too many invalid logon attempts. Check username and password.',
    ],
    '-ERR [SYS/PERM] disabled': ['login', "failed for good: [SYS/PERM] disabled. Ask the server's operator."],
    '-ERR [IN-USE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)': [
      'busy',
      'met too many connections: [IN-USE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10). Close other clients of this mailbox, or poll it less often.',
    ],
    '-ERR [AUTH] Account locked by the administrator': [
      'login',
      'was refused: [AUTH] Account locked by the administrator. Check username and password.',
    ],
    '-ERR account locked after failed logins': [
      'login',
      'was refused: account locked after failed logins. Check username and password.',
    ],
    '-ERR too many failed logins for this connection': [
      'login',
      'was refused: too many failed logins for this connection. Check username and password.',
    ],
  };
  for (const [reply, [reason, sentence]] of Object.entries(cases)) {
    it(`says what to do about "${reply}"`, () =>
      withServer(
        { capa: [...fullCapabilities, 'STLS'], answer: { PASS: `${reply}\r\n` } },
        async ({ port }) => {
          const failure = await failureOf(openPop3Mailbox(pop3Options(port)), reason);
          assert.equal(failure.message, `POP3 login to 127.0.0.1:${port} as x ${sentence}`);
        },
      ));
  }

  it('leaves no connection open on which it was refused', () =>
    withServer({ answer: { PASS: '-ERR no\r\n' } }, async ({ port }) => {
      await failureOf(openPop3Mailbox(pop3Options(port)), 'login');
      const isOver = () => !process.getActiveResourcesInfo().includes('TCPSocketWrap');
      await until('it is ended', isOver, 5_000);
    }));

  it('takes nothing that came before it for an answer to it', () =>
    withServer({ answer: { CAPA: `${multiLine(['USER', 'UIDL'])}+OK\r\n` } }, async ({ port, commands }) => {
      const sentence = /sent what nobody asked for: "\+OK"/;
      await assertFails(openPop3Mailbox(pop3Options(port)), 'protocol', sentence);
      assert.deepEqual(commands, ['CAPA']);
    }));

  it('keeps the secret and unprintable text out of what it quotes', async () => {
    const answer = { PASS: `-ERR bad\x1b[31m ${password}! \x07${'y'.repeat(500)}\r\n` };
    const { message } = await failureOf(drained({ answer }), 'login');
    assert.match(message, /was refused: bad \[31m \*\*\*! y+…/);
    assert.ok(message.length < 400);
  });

  it('sends a password with outer spaces as it is', () => {
    const credential = { kind: 'password', password: '  two words  ' } as const;
    return withSession({ options: { credential } }, async (_, { commands }) => {
      assert.ok(commands.includes('PASS   two words  '));
    });
  });

  it('waits for the answer to USER where the server has no pipelining', () =>
    withServer({ capa: false, answer: { USER: '-ERR unknown user\r\n' } }, async ({ port, commands }) => {
      await failureOf(openPop3Mailbox(pop3Options(port)), 'login');
      assert.deepEqual(commands, ['CAPA', 'USER x']);
    }));

  it('sends no password to a server that offers no login before TLS, and says what to do', () => {
    const answer = { USER: '-ERR Command is not valid in this state\r\n' };
    const script = { capa: ['UIDL', 'PIPELINING', 'SASL', 'STLS'], answer };
    return withServer(script, async ({ port, commands }) => {
      const sentence = /not valid in this state\. Set useSsl or startTls to true:/;
      await assertFails(openPop3Mailbox(pop3Options(port)), 'login', sentence);
      assert.deepEqual(commands, ['CAPA', 'USER x']);
    });
  });

  it('uses AUTH PLAIN where the server has no USER', () => {
    const response = Buffer.from(`\0x\0${password}`).toString('base64');
    const answer = { 'AUTH PLAIN': '+\r\n', [response]: '+OK\r\n' };
    return withSession({ capa: ['UIDL', 'SASL PLAIN'], answer }, async (_, { commands }) => {
      assert.deepEqual(commands, ['CAPA', 'AUTH PLAIN', response]);
    });
  });

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
        const opening = openPop3Mailbox(pop3Options(server.port, changes));
        await assertFails(opening, 'config', new RegExp(`^Column ${column} `));
        assert.equal(server.connections(), 0);
      }));
  }
});

describe('POP3 login with an OAuth2 token', () => {
  const oauth2 = (tokens: readonly string[], asked: boolean[] = []) => ({
    credential: {
      kind: 'oauth2' as const,
      getToken: async (fresh: boolean) => {
        asked.push(fresh);
        return tokens[fresh ? 1 : 0] ?? '';
      },
    },
  });
  const decoded = (line = '') => Buffer.from(line, 'base64').toString();
  /** A server that asks for the response, and answers that so. */
  const asking = (
    reply: (response: string) => string,
    mechanism = 'XOAUTH2',
    acknowledged: Readonly<Record<string, string>> = {},
  ): Script => ({
    capa: [`SASL PLAIN ${mechanism}${mechanism === 'XOAUTH2' ? ' OAUTHBEARER' : ''}`],
    answer: (line) => {
      if (line === `AUTH ${mechanism}`) return '+ \r\n';
      return line.length > 20 ? reply(decoded(line)) : acknowledged[line];
    },
  });

  for (const [mechanism, response] of [
    ['XOAUTH2', () => 'user=a,b=c\x01auth=Bearer token-1\x01\x01'],
    [
      'OAUTHBEARER',
      (port: number) => `n,a=a=2Cb=3Dc,\x01host=127.0.0.1\x01port=${port}\x01auth=Bearer token-1\x01\x01`,
    ],
  ] as const) {
    it(`waits for the challenge and sends the ${mechanism} response`, () => {
      const options = { ...oauth2(['token-1']), username: 'a,b=c' };
      return withSession(
        { ...asking(() => '+OK\r\n', mechanism), options },
        async (_, { port, commands }) => {
          assert.deepEqual([commands[1], decoded(commands[2])], [`AUTH ${mechanism}`, response(port)]);
        },
      );
    });
  }

  const second = `+ ${Buffer.from('{"status":"401"}').toString('base64')}\r\n`;
  const expired = '-ERR [AUTH] expired\r\n';
  const both = ['token-1', 'token-2'];
  const wasRefused = /as x was refused: \[AUTH\] expired\. Check the OAuth2 client/;
  for (const [name, server, reason, sentence] of [
    [
      'takes a second challenge for a refusal, and tries a fresh token once (XOAUTH2)',
      asking(() => second, 'XOAUTH2', { '': expired }),
      'login',
      wasRefused,
    ],
    [
      'takes a second challenge for a refusal, and tries a fresh token once (OAUTHBEARER)',
      asking(() => second, 'OAUTHBEARER', { 'AQ==': expired }),
      'login',
      wasRefused,
    ],
    [
      'takes it for a refusal when the server hangs up where its -ERR should come',
      asking(() => second, 'XOAUTH2', { '': 'fin' }),
      'login',
      /as x was refused: the token was not accepted\. Check the OAuth2 client/,
    ],
    [
      'does not try another token when the mailbox is only in use',
      asking(() => '-ERR [IN-USE]\r\n'),
      'busy',
      /as x found the mailbox in use: \[IN-USE\]/,
    ],
  ] as const) {
    it(name, () =>
      withServer(server, async ({ port, commands, connections }) => {
        const tokens = reason === 'login' ? both : ['token-1'];
        const asked: boolean[] = [];
        const options = pop3Options(port, oauth2(both, asked));
        await assertFails(openPop3Mailbox(options), reason, sentence);
        assert.deepEqual(asked, [false, true].slice(0, tokens.length));
        assert.equal(connections(), tokens.length);
        const sent = commands.filter((line) => line.length > 20).map(decoded);
        assert.deepEqual(
          sent.map((response) => /token-\d/.exec(response)?.[0]),
          tokens,
        );
      }),
    );
  }

  it('does not try the same token again', () => {
    const server = asking(() => expired);
    return withServer(server, async ({ port, connections }) => {
      await failureOf(openPop3Mailbox(pop3Options(port, oauth2(['token-1', 'token-1']))), 'login');
      assert.equal(connections(), 1);
    });
  });

  it('logs in with the fresh token when only the cached one is refused', () => {
    const server = asking((response) => (response.includes('token-2') ? '+OK\r\n' : '-ERR\r\n'));
    return withSession({ ...server, options: oauth2(both) }, async (session) => {
      assert.equal(await session.close(), true);
    });
  });

  it('is no login when the server says +OK before it has seen the token', () =>
    withServer({ capa: ['SASL XOAUTH2'], answer: { AUTH: '+OK\r\n' } }, async ({ port, commands }) => {
      const opening = openPop3Mailbox(pop3Options(port, oauth2(['token-1'])));
      await assertFails(opening, 'protocol', /answered "\+OK", which is not POP3\. Check host and port\.$/);
      assert.equal(commands.length, 2);
    }));

  it('is given the time that the token has left of it', () =>
    withServer({ ...asking(() => '+OK\r\n'), delivery: { delayMs: 30 } }, async ({ port }) => {
      const credential = { kind: 'oauth2', getToken: () => delay(150, 'token-1') } as const;
      const opening = openPop3Mailbox(pop3Options(port, { credential, timeouts: timeoutsOf(5_000, 200) }));
      await failureOf(opening, 'timeout');
    }));

  it('ends in time when no token comes', async () => {
    const getToken = () => new Promise<string>(() => {});
    const options = pop3Options(1, {
      credential: { kind: 'oauth2', getToken },
      timeouts: timeoutsOf(50),
    });
    await failureOf(openPop3Mailbox(options), 'timeout');
  });
});

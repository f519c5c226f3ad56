import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { FailureReason } from '../../../shared/failure/failure.ts';
import { openImapMailbox } from '../../../shared/mailbox/imap/imapMailbox.ts';
import type { MailboxOptions } from '../../../shared/mailbox/mailbox.ts';
import { assertFails, assertNotOpened, assertRefused, drain, drained, failureOf, onServer } from './drain.ts';
import { type Answer, optionsFor, type Script, timeoutsOf, withServer } from './scriptedImapServer.ts';

const refusals: Record<string, readonly ['login' | 'busy', RegExp]> = {
  'NO [AUTHENTICATIONFAILED] Authentication failed.': [
    'login',
    /^IMAP login to 127\.0\.0\.1:\d+ as anna was refused: Authentication failed \(AUTHENTICATIONFAILED\)\. Check username and password\.$/,
  ],
  'NO [ALERT] Application-specific password required: https://example.com/a?b (Failure)': [
    'login',
    /was refused: Application-specific password required: https:\/\/example\.com\/a\?b \(Failure\) \(ALERT\)\.$/,
  ],
  'NO [PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.': [
    'login',
    /connections \(PRIVACYREQUIRED\)\. Set useSsl or startTls to true: the server takes a login only when it is encrypted\.$/,
  ],
  'NO Please run STARTTLS first': [
    'login',
    /was refused: Please run STARTTLS first\. Set useSsl or startTls/,
  ],
  'NO [AUTHENTICATIONFAILED] Use an app password': ['login', /an app password \(AUTHENTICATIONFAILED\)\.$/],
  'NO [ALERT] Account suspended': ['login', /was refused: Account suspended \(ALERT\)\.$/],
  'NO [WEBALERT https://example.com/] Web login required': ['login', /Web login required \(WEBALERT\)\.$/],
  'NO [EXPIRED] That password is no longer valid': ['login', /\(EXPIRED\)\. Set a new password\.$/],
  'NO [CONTACTADMIN] Locked': ['login', /\(CONTACTADMIN\)\. Ask the server's administrator\.$/],
  'NO LOGIN failed.': ['login', /was refused: LOGIN failed\. Check username/],
  'BAD no': ['login', /was refused: no\. Check/],
  NO: ['login', /was refused: NO\. Check/],
  'NO [LIMIT] Too many simultaneous connections': ['busy', /put off by the server: NO \[LIMIT\] Too many/],
  'NO [ALERT] Too many simultaneous connections. (Failure)': ['busy', /Too many simultaneous/],
  'NO [UNAVAILABLE] Temporary authentication failure.': ['busy', /\[UNAVAILABLE\]/],
  'NO [ALERT] Account exceeded command or bandwidth limits. (Failure)': ['busy', /bandwidth limits/],
  'NO Server Unavailable. 15': ['busy', /Server Unavailable\. 15/],
  'NO Maximum number of connections from user+IP exceeded': ['busy', /Maximum number of connections/],
  'NO wrong password pass-7391-word for you': ['login', /wrong password \*\*\* for you/],
  [`NO ${'x'.repeat(5_000)}`]: ['login', /refused: x{199}…\. Check/],
};

for (const [answer, [reason, sentence]] of Object.entries(refusals)) {
  test(`login refused with "${answer.slice(0, 60)}" is ${reason}`, async () => {
    const commands = await assertRefused({ answers: { LOGIN: `TAG ${answer}\r\n` } }, reason, sentence);
    assert.ok(!commands.includes('SELECT'));
  });
}

test('CR, LF and NUL never reach a server', async () => {
  await withServer({}, async (server) => {
    for (const bad of ['a\r\nA1 LOGOUT', 'a\nb', 'a\rb', 'a\0b', '']) {
      const changes: readonly [string, Partial<MailboxOptions>][] = [
        ['username', { username: bad }],
        ['password', { credential: { kind: 'password', password: bad } }],
        ['folder', { folder: bad }],
        ['host', { host: bad }],
      ];
      for (const [column, change] of changes) {
        const refusal = new RegExp(`Column ${column} `);
        await assertNotOpened(optionsFor(server.port, change), 'config', refusal);
      }
    }
    await assertNotOpened(optionsFor(server.port, { caCertificate: 'junk' }), 'config', /caCertificate/);
    assert.equal(server.connections, 0);
  });
});

test('a password with quotes, backslashes and outer spaces arrives as it is', async () => {
  const credential = { kind: 'password', password: ' a"b\\c{3} ' } as const;
  await onServer({ options: { credential } }, async (_, { commands }) => {
    assert.equal(commands.find(({ name }) => name === 'LOGIN')?.args, '"anna" " a\\"b\\\\c{3} "');
  });
});

test('credentials beyond ASCII, or a server without LOGIN, go by AUTHENTICATE PLAIN', async () => {
  const plain = async (credentials: Partial<MailboxOptions>, capabilities: string): Promise<string> => {
    let response = '';
    const answers: Record<string, Answer> = {
      LOGIN: () => assert.fail('by AUTHENTICATE only'),
      AUTHENTICATE: async (_command, wire) => {
        wire.send('+ \r\n');
        response = Buffer.from(await wire.readLine(), 'base64').toString('utf8');
        return undefined;
      },
    };
    await onServer({ capabilities, answers, options: credentials }, async () => {});
    return response;
  };
  const credential = { kind: 'password' as const, password: 'pä€' };
  assert.equal(await plain({ credential }, 'IMAP4rev1 AUTH=PLAIN'), '\0anna\0pä€');
  assert.equal(await plain({}, 'IMAP4rev1 LOGINDISABLED AUTH=PLAIN'), '\0anna\0pass-7391-word');
});

test('a plain server that takes no login without TLS says so', async () => {
  const script = { capabilities: 'IMAP4rev1 LOGINDISABLED' };
  const commands = await assertRefused(script, 'login', /takes no login/);
  assert.ok(!commands.includes('LOGIN') && !commands.includes('AUTHENTICATE'));
});

for (const security of ['plain', 'starttls'] as const) {
  test(`a greeting that skips the login is not trusted, ${security}`, async () => {
    const greeting = '* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] hi root\r\n';
    await assertRefused({ greeting }, 'protocol', /PREAUTH/, { security });
  });
}

/** Gives a fresh token, unless all of them are stale, where it is asked for one; tells what it was asked for. */
function tokens(fresh = 'fresh-token') {
  const asked: boolean[] = [];
  const getToken = async (isFresh: boolean): Promise<string> => {
    asked.push(isFresh);
    return isFresh ? fresh : 'stale-token';
  };
  return { asked, credential: { kind: 'oauth2', getToken } as const };
}

/** Takes the fresh token only; refuses as Google and Microsoft do, by a challenge first. */
function oauthScript(capabilities: string, seen: string[]): Script {
  const AUTHENTICATE: Answer = async ({ args }, wire) => {
    const [mechanism = '', initial] = args.split(' ');
    if (initial === undefined) wire.send('+ \r\n');
    const payload = Buffer.from(initial ?? (await wire.readLine()), 'base64').toString('latin1');
    seen.push(`${mechanism} ${payload.replaceAll('\x01', '|')}`);
    if (payload.includes('fresh-token')) return undefined;
    wire.send(`+ ${Buffer.from('{"status":"401","schemes":"bearer"}').toString('base64')}\r\n`);
    seen.push(`answer "${await wire.readLine()}"`);
    return 'TAG NO [AUTHENTICATIONFAILED] SASL authentication failed stale-token\r\n';
  };
  return { capabilities, answers: { AUTHENTICATE } };
}

/** Logs in with a stale token and then a fresh one; tells what both sides had. */
async function logInTwice(capabilities: string) {
  const seen: string[] = [];
  const { asked, credential } = tokens();
  const script = { ...oauthScript(capabilities, seen), options: { credential } };
  return await onServer(script, async (_, { port }) => ({ seen, asked, port }));
}

test('XOAUTH2: the error challenge is answered, and a fresh token is tried once', async () => {
  const { asked, seen } = await logInTwice('IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER');
  assert.deepEqual(asked, [false, true]);
  assert.deepEqual(seen, [
    'XOAUTH2 user=anna|auth=Bearer stale-token||',
    'answer ""',
    'XOAUTH2 user=anna|auth=Bearer fresh-token||',
  ]);
});

test('XOAUTH2 without SASL-IR waits for the server before it sends the token', async () => {
  const { seen } = await logInTwice('IMAP4rev1 AUTH=XOAUTH2');
  assert.equal(seen.at(-1), 'XOAUTH2 user=anna|auth=Bearer fresh-token||');
});

test('OAUTHBEARER is used where it alone is offered', async () => {
  const { seen, port } = await logInTwice('IMAP4rev1 SASL-IR AUTH=OAUTHBEARER');
  assert.deepEqual(seen.slice(0, 2), [
    `OAUTHBEARER n,a=anna,|host=127.0.0.1|port=${port}|auth=Bearer stale-token||`,
    'answer "AQ=="',
  ]);
});

test('OAuth2 refused twice is a login failure that shows no token; without the mechanism it is one at once', async () => {
  const { asked, credential } = tokens('stale-token');
  await withServer(oauthScript('IMAP4rev1 SASL-IR AUTH=XOAUTH2', []), async ({ port }) => {
    const failure = await failureOf(openImapMailbox(optionsFor(port, { credential })));
    assert.equal(failure.reason, 'login');
    assert.match(failure.message, /AUTHENTICATIONFAILED.*OAuth2 settings/);
    assert.ok(!failure.message.includes('stale-token'));
    assert.deepEqual(asked, [false, true]);
  });
  const script = { capabilities: 'IMAP4rev1 AUTH=PLAIN' };
  await assertRefused(script, 'login', /neither XOAUTH2 nor OAUTHBEARER/, { credential });
});

test('a token that never comes ends with the connect deadline, and with the run', async () => {
  const credential = { kind: 'oauth2' as const, getToken: () => new Promise<string>(() => {}) };
  const sentence = /^No OAuth2 token came in time\. .* within 80 ms/;
  await assertRefused({}, 'timeout', sentence, { credential, timeouts: timeoutsOf(5_000, 80) });
  const ending = new AbortController();
  const opening = openImapMailbox(optionsFor(1, { credential, signal: ending.signal }));
  ending.abort();
  await assertFails(opening, 'timeout', /^The run had to end/);
});

test('a token that comes late leaves the login the rest of the time', async () => {
  const getToken = () => delay(150, 'token');
  const slow = { capabilities: 'IMAP4rev1 SASL-IR AUTH=XOAUTH2', lateMs: () => 60 };
  const changes = { credential: { kind: 'oauth2', getToken }, timeouts: timeoutsOf(5_000, 200) } as const;
  await assertRefused(slow, 'timeout', /did not finish the login within 200 ms/, changes);
});

test('a folder that is refused is named; one under a namespace prefix is found', async () => {
  const answers: Record<string, Answer> = {
    NAMESPACE: '* NAMESPACE (("INBOX." ".")) NIL NIL\r\nTAG OK done\r\n',
    SELECT: ({ args }) => (args === 'INBOX.Orders' ? undefined : 'TAG NO [NONEXISTENT] No such mailbox\r\n'),
  };
  await withServer({ answers }, async ({ port }) => {
    assert.equal((await drain(optionsFor(port, { folder: 'Orders' }))).length, 2);
    await assertNotOpened(
      optionsFor(port, { folder: 'Nowhere' }),
      'folder',
      /^Folder "Nowhere" on IMAP server 127\.0\.0\.1:\d+ can't be opened for anna: NO \[NONEXISTENT\] No such mailbox\. Check folder\.$/,
    );
  });
});

test('a server that wants an ID before SELECT gets one', async () => {
  const unsafe = 'TAG NO Select Unsafe Login. Please contact kefu@188.com for help\r\n';
  const SELECT: Answer = ({ earlier }) => (earlier > 0 ? undefined : unsafe);
  await withServer({ answers: { SELECT } }, async ({ port, commands }) => {
    assert.equal((await drain(optionsFor(port))).length, 2);
    assert.match(commands.find(({ name }) => name === 'ID')?.args ?? '', /email-inbound-adapter/);
  });
});

const unfit: Record<string, readonly [answer: string, FailureReason, RegExp]> = {
  'of Exchange Online, which logs in and has no mailbox': [
    'TAG BAD User is authenticated but not connected.',
    'login',
    /authenticated but not connected/,
  ],
  'that is read-only': [
    '* 1 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\nTAG OK [READ-ONLY] ok',
    'folder',
    /read-only for this login/,
  ],
  'that can not keep \\Seen': [
    '* 1 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [PERMANENTFLAGS ()] ok\r\nTAG OK [READ-WRITE] ok',
    'folder',
    /read-only for this login/,
  ],
  'without UIDVALIDITY': ['* 1 EXISTS\r\nTAG OK [READ-WRITE] ok', 'protocol', /no UIDVALIDITY/],
};
for (const [what, [answer, reason, sentence]] of Object.entries(unfit)) {
  test(`a folder ${what} is not polled`, async () => {
    await assertRefused({ answers: { SELECT: `${answer}\r\n` } }, reason, sentence);
  });
}

test('a folder whose mails can be copied elsewhere, and not removed, is not polled', async () => {
  const SELECT =
    '* 1 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [PERMANENTFLAGS (\\Seen)] ok\r\nTAG OK [READ-WRITE] ok\r\n';
  const moving = { moveToFolder: 'Done' };
  await assertRefused({ answers: { SELECT } }, 'folder', /the right to change \\Deleted\.$/, moving);
  assert.equal(
    (await drained({ answers: { SELECT }, capabilities: 'IMAP4rev1 MOVE', options: moving })).length,
    2,
  );
});

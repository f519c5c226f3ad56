import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import {
  type Command,
  fetchRow,
  type Script,
  type ScriptedImapServer,
  startScriptedImapServer,
  stepOf,
  uidsIn,
  type Wire,
} from '../mailbox/imap/scriptedImapServer.ts';
import { bodiesOf } from './arrived.ts';
import { queueName, type RunningApp, startApp } from './testbed.ts';

let app: RunningApp;
before(async () => {
  app = await startApp();
});
after(() => app.stop());

const names = ['one', 'two', 'three'];
const mails = names.map((name) => Buffer.from(`Subject: ${name}\r\n\r\n${name}\r\n`));
const mailOf = (uid: number) => mails[uid - 1] ?? Buffer.alloc(0);
const arrived = (name: string) => bodiesOf(app.broker.queue(queueName).messages, name);

/** Starts a server with the three mails and a connection of this name to it. */
async function addServer(
  t: TestContext,
  name: string,
  script: Script = {},
  columns: Record<string, unknown> = {},
): Promise<ScriptedImapServer> {
  const server = await startScriptedImapServer({ mails, ...script });
  t.after(() => server.stop());
  const login = { host: '127.0.0.1', useSsl: false, username: 'anna', password: 'pass-7391-word' };
  await app.addConnection(name, { ...login, hostType: 'IMAP', port: server.port, ...columns });
  return server;
}

/** Answers a FETCH step with these texts for each UID asked for. */
function rows(step: string, row: (uid: number) => string | Buffer): NonNullable<Script['onCommand']> {
  return (command, wire) => {
    if (stepOf(command) !== step) return false;
    for (const uid of uidsIn(command.args, mails.length)) wire.send(row(uid));
    wire.send(`${command.tag} OK done\r\n`);
    return true;
  };
}

/** Keeps \Seen from run to run, as a real server does. */
function keepingSeen(then: NonNullable<Script['onCommand']>): NonNullable<Script['onCommand']> {
  const seen = new Set<number>();
  return (command, wire) => {
    if (command.name === 'UID STORE') {
      for (const uid of uidsIn(command.args, mails.length)) seen.add(uid);
    }
    if (command.name !== 'UID SEARCH') return then(command, wire);
    const unread = mails.map((_, index) => index + 1).filter((uid) => !seen.has(uid));
    wire.send(`* SEARCH ${unread.join(' ')}\r\n${command.tag} OK done\r\n`);
    return true;
  };
}

async function pollAll(bySituation: Readonly<Record<string, unknown>>): Promise<void> {
  await app.pollTogether(Object.keys(bySituation));
  for (const name of Object.keys(bySituation)) {
    const { lastStatus, lastError } = await app.state(name);
    assert.deepEqual([lastStatus, lastError], ['ok', ''], name);
    assert.deepEqual(arrived(name).toSorted(), names.toSorted(), name);
  }
}

test('a mail without a usable row in the measure is delivered, and its neighbours', async (t) => {
  const strange: Record<string, (uid: number) => string> = {
    'no-row': () => '',
    'no-size': (uid) => `* ${uid} FETCH (UID ${uid})\r\n`,
    'no-uid': (uid) => `* ${uid} FETCH (RFC822.SIZE 20)\r\n`,
    apart: (uid) => `* ${uid} FETCH (UID ${uid})\r\n* ${uid} FETCH (RFC822.SIZE 20)\r\n`,
  };
  const usual = (uid: number) => `* ${uid} FETCH (UID ${uid} RFC822.SIZE 20)\r\n`;
  for (const [name, row] of Object.entries(strange)) {
    await addServer(t, name, { onCommand: rows('MEASURE', (uid) => (uid === 2 ? row(uid) : usual(uid))) });
  }
  await pollAll(strange);
});

const body = (uid: number) => fetchRow(uid, 'BODY.PEEK[]', mailOf(uid));

test('a mail about which nothing is said is counted and named after three runs, and the others go on', async (t) => {
  const onCommand = keepingSeen(rows('FETCH', (uid) => (uid === 2 ? '' : body(uid))));
  await addServer(t, 'silent', { onCommand });
  const first = await app.poll('silent');
  assert.deepEqual(arrived('silent').toSorted(), ['one', 'three']);
  assert.equal(first.lastMailCount, 2);
  await app.poll('silent');
  const third = await app.poll('silent');
  assert.equal(third.lastStatus, 'failed');
  assert.match(String(third.lastError), /UID 2\b/);
  assert.equal(arrived('silent').length, 2, 'nothing was sent twice');
});

test('a run that can not log in does not begin the counting of a mail anew', async (t) => {
  let isDown = false;
  const fetching = keepingSeen(rows('FETCH', (uid) => (uid === 2 ? '' : body(uid))));
  const onCommand: Script['onCommand'] = (command, wire) => {
    if (!isDown || command.name !== 'LOGIN') return fetching(command, wire);
    wire.send(`${command.tag} NO [UNAVAILABLE] Try later\r\n`);
    return true;
  };
  await addServer(t, 'flapping', { onCommand });
  for (const tries of [1, 2, 3]) {
    isDown = false;
    assert.match(
      String((await app.poll('flapping')).lastError),
      new RegExp(`^Mail 2 .*\\(try ${tries} of 3;`),
    );
    isDown = true;
    assert.match(String((await app.poll('flapping')).lastError), /Try later/);
  }
});

test('a mail whose header the server withholds from a filter is counted and named after three runs, and the others go on', async (t) => {
  const header = (uid: number) => `Subject: ${names[uid - 1]}\r\n\r\n`;
  const withholding: Readonly<Record<string, (command: Command, wire: Wire) => boolean>> = {
    'header-silent': () => true,
    'header-nil': (_, wire) => {
      wire.send('* 2 FETCH (UID 2 BODY[HEADER.FIELDS (SUBJECT)] NIL)\r\n');
      return true;
    },
    'header-endless': (_, wire) => {
      const text = `Subject: ${'x'.repeat(5 * 1024 * 1024)}\r\n\r\n`;
      wire.send(`* 2 FETCH (UID 2 BODY[HEADER.FIELDS (SUBJECT)] {${text.length}}\r\n${text})\r\n`);
      return true;
    },
    'header-refused': ({ tag }, wire) => {
      wire.send(`${tag} NO [SERVERBUG] Internal error occurred.\r\n`);
      return false;
    },
  };
  for (const [name, withhold] of Object.entries(withholding)) {
    const onCommand = keepingSeen((command, wire) => {
      if (!command.args.includes('HEADER.FIELDS')) return false;
      for (const uid of uidsIn(command.args, mails.length)) {
        if (uid !== 2) {
          const text = header(uid);
          wire.send(
            `* ${uid} FETCH (UID ${uid} BODY[HEADER.FIELDS (SUBJECT)] {${text.length}}\r\n${text})\r\n`,
          );
        } else if (!withhold(command, wire)) return true;
      }
      wire.send(`${command.tag} OK done\r\n`);
      return true;
    });
    const filter = { subjectFilter: 'one, three', unmatchedMails: 'markRead' };
    const server = await addServer(t, name, { onCommand }, filter);
    const first = await app.poll(name);
    assert.deepEqual(arrived(name).toSorted(), ['one', 'three'], name);
    assert.equal(first.lastStatus, 'failed', name);
    await app.poll(name);
    const third = await app.poll(name);
    assert.equal(third.lastStatus, 'failed', name);
    assert.match(String(third.lastError), /^Mail 2 .*left on the server.* UID 2 /, name);
    assert.ok(!server.commands.some(({ name, args }) => name === 'UID STORE' && /\b2\b/.test(args)));
  }
});

test('what a filter has marked as read is in the journal though the session breaks behind it', async (t) => {
  const count = 1_500;
  const onCommand: Script['onCommand'] = ({ tag, name, args }, wire) => {
    if (!args.includes('HEADER.FIELDS')) return false;
    const uids = uidsIn(args, count);
    if (uids.includes(count)) wire.send(`${tag} NO [UNAVAILABLE] Try later\r\n`);
    else {
      const text = 'Subject: news\r\n\r\n';
      const row = (uid: number) =>
        `* ${uid} FETCH (UID ${uid} BODY[HEADER.FIELDS (SUBJECT)] {${text.length}}\r\n${text})\r\n`;
      wire.send(`${uids.map(row).join('')}${tag} OK done\r\n`);
    }
    return name === 'UID FETCH';
  };
  const filter = { subjectFilter: 'orders', unmatchedMails: 'markRead' };
  await addServer(
    t,
    'cut-filter',
    { onCommand, mails: Array.from({ length: count }, () => mailOf(1)) },
    filter,
  );
  const { lastStatus, lastError } = await app.poll('cut-filter');
  assert.equal(lastStatus, 'failed');
  assert.match(String(lastError), /Try later/);
  const query = { connection: 'cut-filter', limit: '1000' };
  const answer = await app.host.invokeHttp('GET /api/mails', { query });
  const { mails: told } = JSON.parse(answer.text());
  assert.equal(told.length, 1_000);
});

test('what lies behind thousands that a filter marks as read is delivered in the same run', async (t) => {
  const count = 3_200;
  const wanted = Buffer.from('Subject: orders\r\n\r\norders\r\n');
  const many = Array.from({ length: count }, (_, index) => (index === count - 1 ? wanted : mailOf(1)));
  const onCommand: Script['onCommand'] = ({ tag, args }, wire) => {
    if (!args.includes('HEADER.FIELDS')) return false;
    for (const uid of uidsIn(args, count)) {
      const text = `Subject: ${uid === count ? 'orders' : 'news'}\r\n\r\n`;
      wire.send(`* ${uid} FETCH (UID ${uid} BODY[HEADER.FIELDS (SUBJECT)] {${text.length}}\r\n${text})\r\n`);
    }
    wire.send(`${tag} OK done\r\n`);
    return true;
  };
  const filter = { subjectFilter: 'orders', unmatchedMails: 'markRead' };
  await addServer(t, 'far-behind', { onCommand, mails: many }, filter);
  const { lastStatus, lastError } = await app.poll('far-behind');
  assert.deepEqual([lastStatus, lastError], ['ok', '']);
  assert.deepEqual(arrived('far-behind'), ['orders']);
  let told = 0;
  for (let next: string | undefined = ''; next !== undefined; ) {
    const query = { connection: 'far-behind', limit: '1000', after: next };
    const page = JSON.parse((await app.host.invokeHttp('GET /api/mails', { query })).text());
    told += page.mails.length;
    next = page.next;
  }
  assert.equal(told, count);
});

test('the rows of one mail may come in any number and order', async (t) => {
  const strange: Record<string, (uid: number) => string> = {
    'uid-first': (uid) => `* ${uid} FETCH (UID ${uid})\r\n${body(uid).replace(`UID ${uid} `, '')}`,
    'uid-last': (uid) => `${body(uid).replace(`UID ${uid} `, '')}* ${uid} FETCH (UID ${uid})\r\n`,
    'uid-never': (uid) => body(uid).replace(`UID ${uid} `, ''),
    'flags-apart': (uid) => `* ${uid} FETCH (UID ${uid} FLAGS ())\r\n${body(uid).replace(' FLAGS ()', '')}`,
  };
  for (const [name, row] of Object.entries(strange)) {
    await addServer(t, name, { onCommand: rows('FETCH', row) });
  }
  await pollAll(strange);
});

/** Sets \\Seen when a mail is fetched, PEEK or not, and says so in the same row. */
function markingServer(given: readonly Buffer[], onFetched: (seen: Set<number>) => void = () => {}): Script {
  const seen = new Set<number>();
  const onCommand = (command: Command, wire: Wire): boolean => {
    if (command.name !== 'UID FETCH') return false;
    for (const uid of uidsIn(command.args, given.length)) {
      const mail = given[uid - 1] ?? Buffer.alloc(0);
      if (stepOf(command) === 'FETCH') seen.add(uid);
      const flags = seen.has(uid) ? '\\SEEN' : '';
      if (stepOf(command) === 'FETCH') wire.send(fetchRow(uid, command.args, mail, flags));
      else wire.send(`* ${uid} FETCH (UID ${uid} FLAGS (${flags}) RFC822.SIZE ${mail.length})\r\n`);
    }
    wire.send(`${command.tag} OK done\r\n`);
    if (stepOf(command) === 'FETCH') onFetched(seen);
    return true;
  };
  return { mails: given, onCommand };
}

test('a server that marks what is fetched, PEEK or not, loses no mail', async (t) => {
  await addServer(t, 'marking', markingServer(mails));
  await pollAll({ marking: true });
});

test('on a server that marks what is fetched, a mail that another person reads meanwhile is not sent', async (t) => {
  const streamed = Buffer.concat([mailOf(3), Buffer.alloc(3_145_728, 'x')]);
  const script = markingServer([mailOf(1), mailOf(2), streamed], (seen) => seen.add(3));
  await addServer(t, 'read-meanwhile', script);
  const { lastStatus, lastError, lastMailCount } = await app.poll('read-meanwhile');
  assert.deepEqual([lastStatus, lastError, lastMailCount], ['ok', '', 2]);
  assert.deepEqual(arrived('read-meanwhile').toSorted(), ['one', 'two']);
});

test('flags count in any case, and what another person has read meanwhile is not sent', async (t) => {
  const onCommand = (command: Command, wire: Wire): boolean | Promise<boolean> => {
    if (command.name === 'SELECT') {
      wire.send('* 3 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [PERMANENTFLAGS (\\SEEN \\deleted)] ok\r\n');
      wire.send(`${command.tag} OK [READ-WRITE] selected\r\n`);
      return true;
    }
    const row = (uid: number) => fetchRow(uid, 'BODY.PEEK[]', mailOf(uid), uid === 2 ? '\\sEEN' : '');
    return rows('FETCH', row)(command, wire);
  };
  await addServer(t, 'flags', { onCommand });
  const { lastStatus, lastError } = await app.poll('flags');
  assert.deepEqual([lastStatus, lastError], ['ok', '']);
  assert.deepEqual(arrived('flags').toSorted(), ['one', 'three']);
});

test('a name and a password beyond ASCII go as literals where there is no AUTH=PLAIN', async (t) => {
  const credentials: string[] = [];
  const onCommand = async ({ name, args, tag }: Command, wire: Wire): Promise<boolean> => {
    if (name !== 'LOGIN') return false;
    credentials.push(args);
    while (/\{\d+\}$/.test(credentials.at(-1) ?? '')) {
      wire.send('+ go on\r\n');
      credentials.push(Buffer.from(await wire.readLine(), 'latin1').toString('utf8'));
    }
    wire.send(`${tag} OK [CAPABILITY IMAP4rev1] in\r\n`);
    return true;
  };
  const columns = { username: 'änna', password: 'pä€' };
  await addServer(t, 'literals', { capabilities: 'IMAP4rev1', onCommand }, columns);
  await pollAll({ literals: true });
  assert.deepEqual(credentials, ['{5}', 'änna {6}', 'pä€']);
});

test('a refused login says what the server said, and "Check username and password" only where that is wrong', async (t) => {
  const refusals: Record<string, readonly [string, RegExp]> = {
    'wrong-password': [
      'NO [AUTHENTICATIONFAILED] Authentication failed.',
      /^IMAP login to 127\.0\.0\.1:\d+ as anna was refused: Authentication failed \(AUTHENTICATIONFAILED\)\. Check username and password\.$/,
    ],
    'app-password': [
      'NO [ALERT] Application-specific password required: https://example.com/a?b (Failure)',
      /was refused: Application-specific password required: https:\/\/example\.com\/a\?b \(Failure\) \(ALERT\)\.$/,
    ],
    privacy: [
      'NO [PRIVACYREQUIRED] Plaintext authentication disallowed.',
      /\(PRIVACYREQUIRED\)\. Set useSsl or startTls to true: the server takes a login only when it is encrypted\.$/,
    ],
    'starttls-first': [
      'NO Please run STARTTLS first',
      /was refused: Please run STARTTLS first\. Set useSsl or startTls to true/,
    ],
    'repeats-it': ['NO wrong password pass-7391-word for you', /wrong password \*\*\* for you/],
  };
  for (const [name, [answer]] of Object.entries(refusals)) {
    const onCommand = (command: Command, wire: Wire): boolean => {
      if (command.name === 'LOGIN') wire.send(`${command.tag} ${answer}\r\n`);
      return command.name === 'LOGIN';
    };
    await addServer(t, name, { onCommand });
  }
  await app.pollTogether(Object.keys(refusals));
  for (const [name, [, sentence]] of Object.entries(refusals)) {
    const { lastStatus, lastError } = await app.state(name);
    assert.equal(lastStatus, 'failed', name);
    assert.match(String(lastError), sentence);
  }
});

test('another protocol on the port is named at once', async (t) => {
  const greetings: Record<string, readonly [string, RegExp]> = {
    pop3: [
      '+OK POP3 ready\r\n',
      /answered "\+OK POP3 ready"\. That is POP3: set hostType to POP3, or port to the right one\.$/,
    ],
    smtp: [
      '220 mail.example.com ESMTP\r\n',
      /answered "220 mail\.example\.com ESMTP"\. That is SMTP: check host and port\.$/,
    ],
  };
  for (const [name, [greeting]] of Object.entries(greetings)) await addServer(t, name, { greeting });
  const startedAt = performance.now();
  await app.pollTogether(Object.keys(greetings));
  assert.ok(performance.now() - startedAt < 10_000, 'no deadline was waited for');
  for (const [name, [, sentence]] of Object.entries(greetings)) {
    assert.match(String((await app.state(name)).lastError), sentence);
  }
});

test('a mailbox that takes longer to open than a connect may is polled, and searched once for 2,001 mails', async (t) => {
  const many = Array.from({ length: 2_001 }, (_, index) =>
    Buffer.from(`Subject: ${index}\r\n\r\n${index}\r\n`),
  );
  const lateMs = ({ name }: Command): number => (name === 'SELECT' ? 31_000 : 0);
  const { commands } = await addServer(t, 'large', { mails: many, lateMs });
  const { lastStatus, lastError, lastMailCount } = await app.poll('large');
  assert.deepEqual([lastStatus, lastError, lastMailCount], ['ok', '', 2_001]);
  assert.equal(arrived('large').length, 2_001);
  assert.equal(commands.filter(({ name }) => name === 'UID SEARCH').length, 1);
  assert.equal(commands.filter(({ name }) => name === 'SELECT').length, 1);
});

import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import {
  type Answer,
  fetchRow,
  rows,
  type Script,
  type ScriptedImapServer,
  smallMails,
  startScriptedImapServer,
  threeMails,
  uidsIn,
} from '../mailbox/imap/scriptedImapServer.ts';
import { bodiesOf } from './arrived.ts';
import { queueName, type RunningApp, serverColumns, startApp } from './testbed.ts';

let app: RunningApp;
before(async () => {
  app = await startApp();
});
after(() => app.stop());

const mailOf = (uid: number) => threeMails[uid - 1] ?? Buffer.alloc(0);
const arrived = (name: string) => bodiesOf(app.broker.queue(queueName).messages, name).toSorted();
const body = (uid: number) => fetchRow(uid, 'BODY.PEEK[]', mailOf(uid));
const headerRow = (uid: number, text: string) =>
  `* ${uid} FETCH (UID ${uid} BODY[HEADER.FIELDS (SUBJECT)] {${text.length}}\r\n${text})\r\n`;
/** Says nothing about the second mail when it is fetched. */
const silent = rows((uid) => (uid === 2 ? '' : body(uid)));

/** Starts a server with the three mails and a connection of this name to it. */
async function addServer(
  t: TestContext,
  name: string,
  script: Script = {},
  columns: Record<string, unknown> = {},
): Promise<ScriptedImapServer> {
  const server = await startScriptedImapServer({ mails: threeMails, ...script });
  t.after(() => server.stop());
  await app.addConnection(name, { ...serverColumns('IMAP', server.port), ...columns });
  return server;
}

/** Keeps \Seen from run to run, as a real server does. */
function keepingSeen(): Record<string, Answer> {
  const seen = new Set<number>();
  return {
    'UID STORE': ({ args }) => {
      for (const uid of uidsIn(args)) seen.add(uid);
      return undefined;
    },
    'UID SEARCH': () => `* SEARCH ${[1, 2, 3].filter((uid) => !seen.has(uid)).join(' ')}\r\nTAG OK done\r\n`,
  };
}

/** The journal's mails of a connection that its filters have left out, a page at a time. */
async function countTold(connection: string): Promise<number> {
  let told = 0;
  for (let next: string | undefined = ''; next !== undefined; ) {
    const query = { connection, limit: '1000', after: next };
    const page = JSON.parse((await app.host.invokeHttp('GET /api/mails', { query })).text());
    told += page.mails.filter(({ outcome, reason }: Record<string, unknown>) => {
      return outcome === 'left-out' && reason === 'filters';
    }).length;
    next = page.next;
  }
  return told;
}

test('a mail about which nothing is said is counted and named after three runs, and the others go on', async (t) => {
  await addServer(t, 'silent', { answers: { ...keepingSeen(), FETCH: silent } });
  const first = await app.poll('silent');
  assert.deepEqual(arrived('silent'), ['one', 'three']);
  assert.equal(first.lastMailCount, 2);
  await app.poll('silent');
  const third = await app.poll('silent');
  assert.equal(third.lastStatus, 'failed');
  assert.match(String(third.lastError), /UID 2\b/);
  assert.equal(arrived('silent').length, 2, 'nothing was sent twice');
});

test('a run that can not log in does not begin the counting of a mail anew', async (t) => {
  let isDown = false;
  const LOGIN: Answer = () => (isDown ? 'TAG NO [UNAVAILABLE] Try later\r\n' : undefined);
  await addServer(t, 'flapping', { answers: { ...keepingSeen(), FETCH: silent, LOGIN } });
  for (const tries of [1, 2, 3]) {
    isDown = false;
    const { lastError } = await app.poll('flapping');
    assert.match(String(lastError), new RegExp(`^Mail 2 .*\\(try ${tries} of 3;`));
    isDown = true;
    assert.match(String((await app.poll('flapping')).lastError), /Try later/);
  }
});

const withholding = {
  'header-silent': '',
  'header-empty': headerRow(2, ''),
  'header-nil': '* 2 FETCH (UID 2 BODY[HEADER.FIELDS (SUBJECT)] NIL)\r\n',
  'header-endless': headerRow(2, `Subject: ${'x'.repeat(5 * 1024 * 1024)}\r\n\r\n`),
  'header-refused': 'TAG NO [SERVERBUG] Internal error occurred.\r\n',
};
for (const [name, answer] of Object.entries(withholding)) {
  test(`a mail whose header the server withholds from a filter is counted and named after three runs, and the others go on: ${name}`, async (t) => {
    const rowsOfAll = rows((uid) => (uid === 2 ? answer : headerRow(uid, `${mailOf(uid)}`)));
    // Nothing comes behind the tagged answer.
    const HEADERS: Answer = (command) => /^.*?TAG (OK|NO) [^\r]*\r\n/s.exec(rowsOfAll(command))?.[0];
    const filter = { subjectFilter: 'one, three', unmatchedMails: 'markRead' };
    const { commands } = await addServer(t, name, { answers: { ...keepingSeen(), HEADERS } }, filter);
    assert.equal((await app.poll(name)).lastStatus, 'failed');
    assert.deepEqual(arrived(name), ['one', 'three']);
    await app.poll(name);
    const { lastStatus, lastError } = await app.poll(name);
    assert.equal(lastStatus, 'failed');
    assert.match(String(lastError), /^Mail 2 .*left on the server.* UID 2 /);
    assert.ok(!commands.some((command) => command.name === 'UID STORE' && /\b2\b/.test(command.args)));
  });
}

test('mails that a server marks as it hands them over, and does not unmark, are told in the log by their UIDs', async (t) => {
  const seen = new Set<number>();
  const answer = rows((uid, { args }) => {
    if (/BODY/.test(args)) seen.add(uid);
    return fetchRow(uid, args, mailOf(uid), seen.has(uid) ? '\\Seen' : '');
  });
  const answers = { FETCH: answer, MEASURE: answer, 'UID STORE': 'TAG NO Not today\r\n' };
  await addServer(t, 'marking', { answers });
  assert.match(String((await app.poll('marking')).lastError), /Not today/);
  const told = app.host.logs.filter(({ message }) => /UID 1, 2, 3\. Mark them as unread/.test(message));
  assert.equal(told.length, 1);
});

test('what was delivered and could not be settled is settled by the next run, and not sent again, whatever the filter has become', async (t) => {
  const { 'UID STORE': store, ...search } = keepingSeen();
  const STORE: Answer = (command, wire) => {
    if (command.earlier === 0) return 'TAG NO Not today\r\n';
    return typeof store === 'function' ? store(command, wire) : store;
  };
  const HEADERS = rows((uid) => headerRow(uid, `${mailOf(uid)}`));
  const { commands } = await addServer(
    t,
    'refiltered',
    { answers: { ...search, HEADERS, 'UID STORE': STORE } },
    { subjectFilter: 'one' },
  );
  assert.match(String((await app.poll('refiltered')).lastError), /Not today/);
  await app.setColumns('refiltered', { subjectFilter: 'two' });
  assert.equal((await app.poll('refiltered')).lastStatus, 'ok');
  const settled = commands.filter(({ name }) => name === 'UID STORE').map(({ args }) => args.split(' ')[0]);
  assert.deepEqual(settled, ['1', '1', '2']);
  assert.deepEqual(arrived('refiltered'), ['one', 'two']);
});

test('what was delivered and could not be deleted is deleted by the next run, though a person has read it', async (t) => {
  let isRead = false;
  const answers: Record<string, Answer> = {
    'UID SEARCH': ({ args }) => `* SEARCH ${/^SEEN/.test(args) === isRead ? '1 2 3' : ''}\r\nTAG OK done\r\n`,
    'UID STORE': ({ earlier }) => (earlier === 0 ? 'TAG NO Not today\r\n' : undefined),
  };
  const { commands } = await addServer(t, 'read', { answers }, { deleteMessages: true });
  assert.match(String((await app.poll('read')).lastError), /Not today/);
  isRead = true;
  assert.equal((await app.poll('read')).lastStatus, 'ok');
  const expunged = commands.filter(({ name }) => name === 'UID EXPUNGE').map(({ args }) => args);
  assert.deepEqual(expunged, ['1:3']);
  assert.equal(arrived('read').length, 3);
});

test('a mail that the filter left out hides none of another folder with the same numbers', async (t) => {
  let folder = '';
  const SELECT: Answer = ({ args }) => {
    folder = args;
    return undefined;
  };
  const HEADERS = rows((uid) => headerRow(uid, `Subject: ${folder}\r\n\r\n`));
  const answers = { ...keepingSeen(), SELECT, HEADERS };
  await addServer(t, 'other-folder', { answers }, { subjectFilter: 'Orders' });
  assert.equal((await app.poll('other-folder')).lastMailCount, 0);
  await app.setColumns('other-folder', { folder: 'Orders' });
  assert.equal((await app.poll('other-folder')).lastMailCount, 3);
});

test('a mail that was left after three runs keeps none of another folder with its number', async (t) => {
  let folder = '';
  const SELECT: Answer = ({ args }) => {
    folder = args;
    return undefined;
  };
  const FETCH = rows((uid) => (uid === 2 && folder === 'INBOX' ? '' : body(uid)));
  await addServer(t, 'left-elsewhere', { answers: { ...keepingSeen(), SELECT, FETCH } });
  for (const _ of [1, 2, 3]) await app.poll('left-elsewhere');
  await app.setColumns('left-elsewhere', { folder: 'Orders' });
  const { lastStatus, lastError } = await app.poll('left-elsewhere');
  assert.deepEqual([lastStatus, lastError], ['ok', '']);
  assert.deepEqual(arrived('left-elsewhere'), ['one', 'three', 'two']);
});

test('of many mails that are half settled some are read and moved at a time, and no more once that is refused', async (t) => {
  const mails = smallMails(1_500);
  const moved = new Set<number>();
  let isFull = true;
  const answers: Record<string, Answer> = {
    'UID SEARCH': () =>
      `* SEARCH ${mails.flatMap((_, at) => (moved.has(at + 1) ? [] : at + 1)).join(' ')}\r\nTAG OK done\r\n`,
    'UID MOVE': ({ args }) => {
      if (isFull) return 'TAG NO Not today\r\n';
      for (const uid of uidsIn(args)) moved.add(uid);
      return undefined;
    },
  };
  const server = { mails, answers, capabilities: 'IMAP4rev1 UIDPLUS MOVE' };
  const { commands } = await addServer(t, 'many-half', server, { moveToFolder: 'Done' });
  await app.poll('many-half');
  assert.equal(arrived('many-half').length, 1_500);
  await app.poll('many-half');
  const heads = commands.filter(({ args }) => args.includes('BODY.PEEK[]<0.65536>'));
  assert.deepEqual(
    heads.map(({ args }) => uidsIn(args).length),
    [200, 200, 200, 200, 200],
  );
  isFull = false;
  assert.equal((await app.poll('many-half')).lastStatus, 'ok');
  assert.equal(moved.size, 1_500);
  assert.equal(arrived('many-half').length, 1_500);
});

test('a half-settled mail at which the server drops the connection keeps no new one from being delivered', async (t) => {
  const search: Answer = ({ args, earlier }) =>
    `* SEARCH ${/\bSEEN/.test(args) || earlier === 0 ? '1' : '2'}\r\nTAG OK done\r\n`;
  const MOVE: Answer = ({ args }, wire) => {
    if (!args.startsWith('1 ')) return undefined;
    wire.reset();
    return '';
  };
  const answers = { 'UID SEARCH': search, 'UID MOVE': MOVE };
  const server = { answers, capabilities: 'IMAP4rev1 UIDPLUS MOVE' };
  await addServer(t, 'dropping', server, { moveToFolder: 'Done' });
  for (const subjects of [['one'], ['one', 'two']]) {
    assert.match(String((await app.poll('dropping')).lastError), /was lost/);
    assert.deepEqual(arrived('dropping'), subjects);
  }
});

test('a server that ends each connection in its fetches is drained all the same, and nothing goes twice', async (t) => {
  // More than one session fetches: it connects anew twenty times.
  const mails = smallMails(60);
  const marked = new Set<number>();
  const answers: Record<string, Answer> = {
    'UID SEARCH': ({ args }) => {
      const unread = mails.map((_, index) => index + 1).filter((uid) => !marked.has(uid));
      return `* SEARCH ${/\bUNSEEN/.test(args) ? unread.join(' ') : ''}\r\nTAG OK done\r\n`;
    },
    'UID STORE': ({ args }) => {
      for (const uid of uidsIn(args)) marked.add(uid);
      return undefined;
    },
    FETCH: ({ args }, wire) => {
      const [first = 0, ...others] = uidsIn(args);
      if (others.length === 0) return undefined;
      wire.send(fetchRow(first, args, mails[first - 1]));
      wire.end();
      return '';
    },
  };
  await addServer(t, 'ending', { mails, answers });
  assert.match(String((await app.poll('ending')).lastError), /was lost/);
  const { lastStatus, lastError } = await app.poll('ending');
  assert.deepEqual([lastStatus, lastError, marked.size], ['ok', '', mails.length]);
  assert.equal(arrived('ending').length, mails.length);
});

const orders = { subjectFilter: 'orders', unmatchedMails: 'markRead' };

test('what a filter has marked as read is in the journal though the session breaks behind it', async (t) => {
  const mails = smallMails(1_500);
  const HEADERS: Answer = (command) =>
    uidsIn(command.args).includes(mails.length)
      ? 'TAG NO [UNAVAILABLE] Try later\r\n'
      : rows((uid) => headerRow(uid, 'Subject: news\r\n\r\n'))(command);
  await addServer(t, 'cut-filter', { answers: { HEADERS }, mails }, orders);
  const { lastStatus, lastError } = await app.poll('cut-filter');
  assert.equal(lastStatus, 'failed');
  assert.match(String(lastError), /Try later/);
  assert.equal(await countTold('cut-filter'), 1_400);
});

test('what a filter has marked as read is in the journal though the answer to it was lost', async (t) => {
  const { 'UID STORE': store, ...search } = keepingSeen();
  const STORE: Answer = (command, wire) => {
    if (command.earlier === 0) return 'TAG NO Not today\r\n';
    if (typeof store === 'function') store(command, wire);
    wire.reset();
    return '';
  };
  const HEADERS = rows((uid) => headerRow(uid, `${mailOf(uid)}`));
  await addServer(t, 'unanswered', { answers: { ...search, HEADERS, 'UID STORE': STORE } }, orders);
  assert.match(String((await app.poll('unanswered')).lastError), /Not today/);
  assert.equal(await countTold('unanswered'), 0);
  assert.match(String((await app.poll('unanswered')).lastError), /was lost/);
  assert.equal((await app.poll('unanswered')).lastStatus, 'ok');
  assert.equal(await countTold('unanswered'), 3);
});

test('what a filter has marked as read is in the journal though a further command for as many is refused', async (t) => {
  const uids = Array.from({ length: 1_000 }, (_, index) => 4_000_000_000 + 2 * index);
  const marked: number[] = [];
  const answers: Record<string, Answer> = {
    HEADERS: rows((uid) => headerRow(uid, 'Subject: news\r\n\r\n')),
    'UID SEARCH': `* SEARCH ${uids.join(' ')}\r\nTAG OK done\r\n`,
    'UID STORE': ({ args, earlier }) => {
      if (earlier > 0) return 'TAG NO Not today\r\n';
      marked.push(...uidsIn(args));
      return undefined;
    },
  };
  await addServer(t, 'marked-in-part', { answers }, orders);
  assert.match(String((await app.poll('marked-in-part')).lastError), /Not today/);
  assert.ok(marked.length > 0 && marked.length < uids.length);
  assert.equal(await countTold('marked-in-part'), marked.length);
});

test('what lies behind thousands that a filter marks as read is delivered in the same run', async (t) => {
  const mails = [...smallMails(3_199), Buffer.from('Subject: orders\r\n\r\norders\r\n')];
  const HEADERS = rows((uid) =>
    headerRow(uid, `Subject: ${uid === mails.length ? 'orders' : 'news'}\r\n\r\n`),
  );
  await addServer(t, 'far-behind', { answers: { HEADERS }, mails }, orders);
  const { lastStatus, lastError, lastMailCount } = await app.poll('far-behind');
  assert.deepEqual([lastStatus, lastError, lastMailCount], ['ok', '', 1]);
  assert.deepEqual(arrived('far-behind'), ['orders']);
  assert.equal(await countTold('far-behind'), mails.length - 1);
});

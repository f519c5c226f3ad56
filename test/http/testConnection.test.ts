import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { type AppTestbed, mailboxColumns, startAppTestbed } from '../app/testbed.ts';
import { type Listening, listening } from '../testbed/listening.ts';
import { listMaildir, seedMaildir } from '../testbed/seed.ts';
import { type Api, list, object, openApi, sentences } from './api.ts';

let bed: AppTestbed;
let api: Api;
let thief: Listening;
let stolen = '';

before(async () => {
  bed = await startAppTestbed({ users: ['anna', 'bert', 'carl'] });
  api = await openApi(bed.host);
  // Answers as a POP3 server does until it has the password.
  const server = createServer((socket) => {
    socket.write('+OK hello\r\n');
    socket.on('data', (bytes) => {
      stolen += bytes.toString();
      socket.write(bytes.toString().startsWith('USER') ? '+OK\r\n' : '-ERR\r\n');
    });
  });
  thief = await listening(server);
});
after(async () => {
  await thief.stop();
  await bed.stop();
});

const run = (name: string, body?: unknown, type = 'application/json') =>
  api.call(`POST /api/connections/acme/${name}/test`, { body, headers: { 'content-type': type } });
const outcome = async (name: string, body?: object) => {
  const answer = await run(name, body);
  assert.equal(answer.status, 200, answer.text());
  return object(answer.json());
};

const stepped = async (name: string, body?: object) => {
  const target = `POST /api/connections/acme/${name}/test`;
  return object((await api.call(target, { query: { steps: 'true' }, body })).json());
};
const results = (answer: Readonly<Record<string, unknown>>) =>
  list(answer.steps).map(({ step, result }) => `${step} ${result}`);

/** Dovecot says how long it took. */
const timeless = (sentence: unknown) => String(sentence).replace(/\([\d.+ ]+secs\)/, '');

const mails = [1, 2, 3].map((number) => Buffer.from(`Subject: ${number}\r\n\r\nHello\r\n`));

test('a test counts what a poll would take, and touches nothing', async () => {
  await seedMaildir(bed.dovecot.maildir('anna'), mails);
  for (const hostType of ['IMAP', 'POP3'] as const) {
    await bed.addConnection(hostType, mailboxColumns(bed.dovecot, hostType, 'anna'));
    const before = await bed.state(hostType);
    assert.deepEqual(await outcome(hostType), { ok: true, mails: 3 });
    assert.deepEqual(await outcome(hostType, {}), { ok: true, mails: 3 });
    assert.deepEqual(await bed.state(hostType), before);
  }
  const there = await listMaildir(bed.dovecot.maildir('anna'));
  assert.deepEqual(
    there.map(({ seen, deleted }) => [seen, deleted]),
    mails.map(() => [false, false]),
  );
  assert.equal((await bed.poll('IMAP')).lastMailCount, 3);
});

test('in steps it says how far it came, that the queue is reached, and what the first mails would be', async () => {
  await seedMaildir(bed.dovecot.maildir('anna'), mails);
  await bed.addConnection('steps', mailboxColumns(bed.dovecot, 'IMAP', 'anna'));
  const flags = async () =>
    (await listMaildir(bed.dovecot.maildir('anna'))).map(({ seen, deleted }) => [seen, deleted]);
  const there = await flags();
  const answer = await stepped('steps');
  assert.deepEqual([answer.ok, answer.mails], [true, 3]);
  const good = ['name ok', 'connection ok', 'login ok', 'folder ok', 'queue ok', 'mails ok'];
  assert.deepEqual(results(answer), good);
  assert.deepEqual(
    list(answer.preview).map(({ subject, parts, isCut }) => [
      subject,
      list(parts).map(({ fileName }) => fileName),
      isCut,
    ]),
    [1, 2, 3].map((number) => [String(number), ['body.txt'], false]),
  );
  assert.deepEqual(await flags(), there);
  assert.deepEqual(answer.folders, ['INBOX']);

  const columns = mailboxColumns(bed.dovecot, 'IMAP', 'anna');
  const failing = async (change: object, reached: readonly string[], failed: string) => {
    const failure = await stepped('steps', { ...columns, ...change });
    assert.deepEqual([failure.ok, ...results(failure)], [false, ...reached, `${failed} failed`]);
    return failure;
  };
  await failing({ host: 'no-such-host.invalid' }, [], 'name');
  await failing({ port: 1 }, good.slice(0, 1), 'connection');
  await failing({ password: 'wrong' }, good.slice(0, 2), 'login');
  const folder = await failing({ folder: 'Nowhere' }, good.slice(0, 3), 'folder');
  assert.deepEqual(folder.folders, ['INBOX'], 'one that is there can be chosen');
  const queue = await failing({ queueName: 'no-such-queue' }, good.slice(0, 4), 'queue');
  assert.match(String(queue.error), /no-such-queue/);
  const pop3 = await stepped('steps', { ...mailboxColumns(bed.dovecot, 'POP3', 'anna') });
  assert.equal(pop3.ok, true);
  assert.deepEqual(
    list(pop3.preview).map(({ subject, parts, isCut }) => [subject, parts, isCut]),
    [1, 2, 3].map((number) => [String(number), [], true]),
  );
  assert.ok(Number(pop3.mails) >= 3);
});

test('in steps it says which of the first mails the filters take, and marks none', async () => {
  const user = bed.dovecot.maildir('carl');
  await seedMaildir(
    user,
    ['order 1', 'news', 'order 2'].map((subject) => Buffer.from(`Subject: ${subject}\r\n\r\nHello\r\n`)),
  );
  const columns = mailboxColumns(bed.dovecot, 'IMAP', 'carl');
  const filters = { subjectFilter: 'order*', unmatchedMails: 'markRead' };
  const answer = await stepped('filtered', { ...columns, ...filters });
  assert.deepEqual([answer.ok, answer.mails], [true, 3]);
  assert.deepEqual(
    list(answer.preview).map(({ subject, isTaken }) => [subject, isTaken]),
    [
      ['order 1', true],
      ['news', false],
      ['order 2', true],
    ],
  );
  assert.equal(list(answer.steps).at(-1)?.text, '3 wait. Of the first 3 the filters take 2.');
  assert.deepEqual(
    (await listMaildir(user)).map(({ seen }) => seen),
    [false, false, false],
  );
});

test('a test says what a poll would say, without the password', async () => {
  const columns = mailboxColumns(bed.dovecot, 'IMAP', 'bert');
  const wrong = {
    login: { ...columns, password: 'wrong horse' },
    folder: { ...columns, folder: 'Nowhere' },
    refused: { ...columns, port: 1 },
    interval: { ...columns, pollingIntervalSeconds: 1 },
  };
  for (const [name, each] of Object.entries(wrong)) {
    await bed.addConnection(name, each);
    const { ok, error } = await outcome(name);
    assert.equal(ok, false);
    const { lastError } = await bed.poll(name);
    assert.equal(timeless(error), timeless(lastError), name);
    assert.doesNotMatch(String(error), /horse/);
  }
});

test('columns can be tested before they are saved, and are not saved by it', async () => {
  const columns = mailboxColumns(bed.dovecot, 'POP3', 'bert');
  assert.equal((await run('unsaved')).status, 404);
  assert.deepEqual(await outcome('unsaved', columns), { ok: true, mails: 0 });
  assert.equal((await run('unsaved')).status, 404);
  assert.match(String(sentences(await run('unsaved', { ...columns, port: 'x' })).port), /^port is "x"/);
  assert.deepEqual(Object.keys(sentences(await run('unsaved', { ...columns, nonsense: 1 }))), ['nonsense']);
  assert.equal((await run('unsaved', '[')).status, 400);
  assert.equal((await run('unsaved', '{}', 'text/plain')).status, 415);
  assert.equal((await run('unsaved', { folder: 'x'.repeat(70_000) })).status, 413);
});

test('a stored password is used for a test of the same server, and never sent to another', async () => {
  const { password, ...columns } = mailboxColumns(bed.dovecot, 'POP3', 'bert');
  await bed.addConnection('held', { ...columns, password });
  assert.deepEqual(await outcome('held', { ...columns, sendAttachments: false }), { ok: true, mails: 0 });

  const elsewhere = { ...columns, port: thief.port };
  const refused = await run('held', elsewhere);
  assert.match(String(sentences(refused).password), /enter it again/);
  assert.equal(stolen, '');
  assert.equal((await outcome('held', { ...elsewhere, password: 'typed' })).ok, false);
  assert.match(stolen, /PASS typed/);
});

test('all that is described of it was seen', () => {
  const elsewhere = ['401', '405', '411', '429', '500', '503'];
  assert.deepEqual(
    api.unmet(({ id }, status) => id === 'testConnection' && !elsewhere.includes(status)),
    [],
  );
});

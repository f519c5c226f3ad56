import assert from 'node:assert/strict';
import { after, describe, type TestContext, test } from 'node:test';
import { shortHash } from '../../shared/message/identity.ts';
import { protocols, queueName } from '../app/testbed.ts';
import {
  type Answer,
  type Command,
  headerRow,
  rows,
  smallMails,
  stepOf,
  uidsIn,
} from '../mailbox/imap/scriptedImapServer.ts';
import { arrived, eachOnce, twoPartMails } from '../reliability/mails.ts';
import { startDrippingServer } from '../reliability/slowServers.ts';
import { addImapServer, addPop3Server, startPollingBed } from './pollingBed.ts';

const budgetSeconds = 2;
/** What the end of a run may cost beside: its last writes, on a busy machine. */
const graceMs = 6_000;

const bed = await startPollingBed([], { POLL_TIME_BUDGET_SECONDS: String(budgetSeconds) });
after(() => bed.stop());

async function pollTimed(name: string) {
  const startedAtMs = performance.now();
  const state = await bed.poll(name);
  const { lastStatus, lastError, unfetchable } = state;
  return { lastStatus, lastError: String(lastError), unfetchable, tookMs: performance.now() - startedAtMs };
}

function assertCut({ lastStatus, lastError, tookMs }: Awaited<ReturnType<typeof pollTimed>>): void {
  assert.equal(lastStatus, 'failed');
  assert.match(lastError, /more than twice POLL_TIME_BUDGET_SECONDS/);
  assert.ok(tookMs > 2_000 * budgetSeconds && tookMs < 2_000 * budgetSeconds + graceMs, `${tookMs} ms`);
}

describe('a mail that drips is cut, counted, left, and tried again by itself', { concurrency: true }, () => {
  const cases = protocols.flatMap((protocol) => [
    { protocol, how: 'streamed', bytes: 2_300_000 },
    { protocol, how: 'whole', bytes: 700_000 },
  ]);
  for (const { protocol, how, bytes } of cases) {
    test(`${protocol}, ${how}`, async (t) => {
      const name = `drip-${protocol}-${how}`;
      const mails = [...twoPartMails('drip', 1, bytes), ...twoPartMails(name, 2, 10)];
      const server = await startDrippingServer(protocol, mails, () => 32_768);
      t.after(() => server.stop());
      await bed.addConnection(name, server.columns);
      for (const left of ['next run', 'next run', 'left on the server']) {
        const cut = await pollTimed(name);
        assertCut(cut);
        assert.match(String(cut.unfetchable), /"tries":/, left);
      }
      const fourth = await pollTimed(name);
      assert.match(fourth.lastError, /^Mail 1 could not be fetched in 3 runs in a row/);
      assert.ok(fourth.tookMs < 2_000 * budgetSeconds + graceMs);
      assert.deepEqual(arrived(bed, name), eachOnce(name, 2));

      const anHourAgo = String(fourth.unfetchable).replace(/"lastTriedAt":\d+/, '"lastTriedAt":1');
      await bed.setColumns(name, { unfetchable: anHourAgo });
      const before = server.connections();
      const fifth = await pollTimed(name);
      assertCut(fifth);
      assert.equal(server.connections() - before, 2, 'it had a session of its own');
      assert.match(String(fifth.unfetchable), /"tries":4/);
    });
  }
});

test('a mailbox that takes too long to list ends too', async (t) => {
  const mails = twoPartMails('nameless', 40, 100_000);
  const delivery = { bytesPerSecond: () => 65_536 };
  // Without UIDL every mail is read to be known again.
  await addPop3Server(bed, t, 'nameless', { mails, uidls: false, capa: ['USER'], delivery });
  assertCut(await pollTimed('nameless'));
});

/** Has 6,300 unread mails, the first of which is an order, and takes half a second for a page of their headers. */
async function addSlowHeaders(t: TestContext, name: string, columns: Readonly<Record<string, unknown>>) {
  const unread = new Set(smallMails(6_300).map((_, index) => index + 1));
  const row = (uid: number) => headerRow(uid, `Subject: ${uid === 1 ? 'orders' : 'news'}\r\n\r\n`);
  const answers: Readonly<Record<string, Answer>> = {
    HEADERS: rows(row),
    'UID SEARCH': () => `* SEARCH ${[0, ...unread].join(' ').slice(2)}\r\nTAG OK done\r\n`,
    'UID STORE': ({ args }) => {
      for (const uid of uidsIn(args)) unread.delete(uid);
      return undefined;
    },
  };
  const lateMs = (command: Command) => (stepOf(command) === 'HEADERS' ? 500 : 0);
  const { commands } = await addImapServer(bed, t, name, { lateMs, answers }, columns);
  const pages = () => commands.filter((command) => stepOf(command) === 'HEADERS').length;
  return { unread, pages };
}

for (const unmatchedMails of ['markRead', 'leave']) {
  test(`a run that looks at very many mails which a filter leaves out ends in its time, and the next goes on (${unmatchedMails})`, async (t) => {
    const name = `left-out-${unmatchedMails}`;
    const untried = JSON.stringify({ untried: { tries: 1, lastTriedAt: 1 } });
    const filter = { subjectFilter: 'orders', unmatchedMails, pollingIntervalSeconds: 3_600 };
    const { unread, pages } = await addSlowHeaders(t, name, { ...filter, unfetchable: untried });
    unread.delete(1);
    for (let run = 1; pages() < 9; run += 1) {
      const before = pages();
      const { nextRunAt, lastRunEndedAt, lastError, unfetchable } = await bed.poll(name);
      const looked = pages() - before;
      assert.deepEqual([lastError, looked > 0 && looked < 9], ['', true], `run ${run}: ${looked} pages`);
      const dueInMs = Date.parse(String(nextRunAt)) - Date.parse(String(lastRunEndedAt));
      const isLast = pages() === 9;
      assert.deepEqual(
        [dueInMs <= 60_000, unfetchable],
        isLast ? [false, ''] : [true, untried],
        `run ${run}`,
      );
    }
    assert.equal(unread.size, unmatchedMails === 'leave' ? 6_299 : 0);
  });
}

test('a mail that was left long ago is not forgotten by a run that has no time to look for it alone', async (t) => {
  const mailbox = JSON.stringify(['imap', '127.0.0.1', 'anna', 'INBOX', '7']);
  const left = { [shortHash(JSON.stringify([mailbox, '1']))]: { tries: 3, lastTriedAt: 1 } };
  await addSlowHeaders(t, 'left-long', { subjectFilter: 'orders', unfetchable: JSON.stringify(left) });
  const { lastError, unfetchable } = await bed.poll('left-long');
  assert.match(String(lastError), /^Mail 1 could not be fetched in 3 runs in a row/);
  assert.equal(unfetchable, JSON.stringify(left));
});

test('a queue that answers nothing keeps a run no longer', async (t) => {
  bed.broker.createQueue({ name: 'silent', maxMessageSizeBytes: 1_048_576 });
  await addPop3Server(bed, t, 'unsent', { mails: twoPartMails('unsent', 1, 10) }, { queueName: 'silent' });
  bed.broker.faults.silentAttach = true;
  t.after(() => {
    bed.broker.faults.silentAttach = false;
  });
  assertCut(await pollTimed('unsent'));
});

test('of a server that keeps what it was told to delete a run sends each mail once, also those behind the first page', async (t) => {
  const count = 2_010;
  await addPop3Server(bed, t, 'keeping', { mails: twoPartMails('keeping', count, 10) });
  const poll = await bed.openInstance(undefined, { POLL_TIME_BUDGET_SECONDS: '60' });
  const { duplicates } = bed.broker.queue(queueName);
  const { lastError, lastMailCount } = await poll('keeping');
  assert.deepEqual([lastError, lastMailCount], ['', count]);
  assert.equal(bed.broker.queue(queueName).duplicates, duplicates);
  assert.deepEqual(arrived(bed, 'keeping'), eachOnce('keeping', count));
});

for (const [index, answer] of ['-ERR no such message', '-ERR can not read it'].entries()) {
  test(`a first page of mails that a server lists and can't hand over (${answer}) keeps none behind it`, async (t) => {
    const name = `refused-${index}`;
    const isRefused = (command: string) => /^RETR \d+/.test(command) && Number(command.slice(5)) <= 2_000;
    await addPop3Server(bed, t, name, {
      mails: twoPartMails(name, 2_001, 10),
      answer: (command) => (isRefused(command) ? `${answer}\r\n` : undefined),
    });
    const poll = await bed.openInstance(undefined, { POLL_TIME_BUDGET_SECONDS: '60' });
    await poll(name);
    assert.deepEqual(arrived(bed, name), [`${name} 2000: 1 2`]);
  });
}

for (const [how, answer] of [
  ['is not known any more', 'TAG OK done\r\n'],
  ['is told to be expunged', 'TAG NO [EXPUNGEISSUED] gone\r\n'],
  ['comes empty', '* 1 FETCH (UID 1 FLAGS () BODY[]<1048576> NIL)\r\nTAG OK done\r\n'],
] as const) {
  test(`a large mail that a person removes while it streams, and then ${how}, is gone and stops no other`, async (t) => {
    const name = `removed-${how.replaceAll(' ', '-')}`;
    let isRemoved = false;
    await addImapServer(bed, t, name, {
      mails: [...twoPartMails('removed', 1, 9_000_000), ...twoPartMails(name, 2, 10).slice(1)],
      onCommand: ({ name, args, tag }, wire) => {
        const isAboutIt = name === 'UID FETCH' && /^1\b(?!:)/.test(args);
        isRemoved ||= isAboutIt && args.includes('<1048576.');
        const isSearch = name === 'UID SEARCH';
        if (!isRemoved || !(isAboutIt || isSearch)) return false;
        const other = isSearch ? '* SEARCH 2\r\nTAG OK done\r\n' : 'TAG OK done\r\n';
        wire.send((args.includes('BODY') ? answer : other).replaceAll('TAG', tag));
        return true;
      },
    });
    const { lastStatus, lastError } = await pollTimed(name);
    assert.deepEqual([lastStatus, lastError], ['ok', '']);
    assert.deepEqual(arrived(bed, name), eachOnce(name, 2).slice(1));
  });
}

test('a mail that ends its session is left after three runs, also where another could not connect', async (t) => {
  const FETCH: Answer = ({ args }, wire) => {
    if (/^1\b/.test(args)) wire.reset();
    return undefined;
  };
  const script = { mails: twoPartMails('ending', 2, 10), answers: { FETCH } };
  const { port } = await addImapServer(bed, t, 'ending', script);
  await pollTimed('ending');
  const second = await pollTimed('ending');
  assert.match(second.lastError, /try 2 of 3/);
  await bed.setColumns('ending', { port: 1 });
  assert.match((await pollTimed('ending')).lastError, /refused/);
  await bed.setColumns('ending', { port });
  assert.match((await pollTimed('ending')).lastError, /try 3 of 3; it was left on the server/);
  await pollTimed('ending');
  assert.deepEqual(arrived(bed, 'ending'), eachOnce('ending', 2).slice(1));
});

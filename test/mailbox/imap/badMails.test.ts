import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  assertFails,
  drained,
  failureOf,
  fetchAll,
  fetchedOf,
  kindsOf,
  listAndMeasure,
  onServer,
  sentenceIn,
} from './drain.ts';
import {
  type Answer,
  aMail,
  fetchRow,
  headerRow,
  rows,
  smallMails,
  timeoutsOf,
  uidsIn,
  type Wire,
} from './scriptedImapServer.ts';

const isAbout = (args: string, uid: number): boolean => uidsIn(args).includes(uid);

test('a mail that the server refuses does not stop the others', async () => {
  const mails = smallMails(6);
  const FETCH: Answer = ({ args }) => {
    const uids = uidsIn(args);
    const bad = uids.find((uid) => uid === 2 || uid === 5);
    const good = uids.filter((uid) => bad === undefined || uid < bad);
    const end = bad === undefined ? 'OK done' : 'NO [SERVERBUG] Internal error occurred.';
    return `${good.map((uid) => fetchRow(uid, args, mails[uid - 1])).join('')}TAG ${end}\r\n`;
  };
  const fetched = await fetchedOf({ mails, answers: { FETCH } });
  const kinds = ['1 mail', '2 unavailable', '3 mail', '4 mail', '5 unavailable', '6 mail'];
  assert.deepEqual(kindsOf(fetched), kinds);
  assert.match(
    sentenceIn(fetched),
    /UID 2 in folder "INBOX" can't be fetched: the server answers NO \[SERVERBUG\] Internal error occurred/,
  );
});

for (const words of [
  '[UNAVAILABLE] Try later',
  'Server Unavailable. 15',
  'Account exceeded bandwidth limits.',
]) {
  test(`a server that is out of breath in a fetch blames no mail: ${words}`, async () => {
    const script = { mails: [aMail, aMail], answers: { FETCH: `TAG NO ${words}\r\n` } };
    await assertFails(drained(script), 'busy', /Try later|Server Unavailable|bandwidth limits/);
  });
}

test('what came before a server was out of breath can be settled over the same connection', async () => {
  const busy = 'TAG NO Account exceeded bandwidth limits.\r\n';
  const FETCH: Answer = ({ args }) => `${uidsIn(args)[0] === 1 ? fetchRow(1, args, aMail) : ''}${busy}`;
  await onServer({ mails: [aMail, aMail, aMail], answers: { FETCH } }, async (session, server) => {
    const mails = await listAndMeasure(session);
    await assertFails(fetchAll(session, mails), 'busy', /bandwidth limits/);
    await session.settle(mails.slice(0, 1));
    assert.equal(server.connections, 1);
    assert.equal(server.commands.at(-1)?.args, '1 +FLAGS.SILENT (\\Seen)');
  });
});

const throttled = (ms: number) =>
  `TAG BAD Request is throttled. Suggested Backoff Time: ${ms} milliseconds\r\n`;
for (const step of ['LOGIN', 'SELECT', 'UID SEARCH', 'MEASURE', 'FETCH', 'UID STORE']) {
  test(`a server that asks to wait longer than a command may take is busy, and blames no mail, in answer to ${step}`, async () => {
    const script = { mails: [aMail], answers: { [step]: throttled(92_415) } };
    const options = { timeouts: timeoutsOf(2_000) };
    await assertFails(drained({ ...script, options }), 'busy', /Request is throttled/);
  });
}

test('a server that asks to wait for a moment gets it, and the mails come', async () => {
  let endsAt = Number.POSITIVE_INFINITY;
  const FETCH: Answer = () => {
    endsAt = Math.min(endsAt, performance.now() + 100);
    return performance.now() < endsAt ? throttled(150) : undefined;
  };
  assert.deepEqual(await drained({ mails: [aMail, aMail], answers: { FETCH } }), [aMail, aMail]);
});

test('a mail for which alone a server says that it is busy does not stop the others', async () => {
  const busy = 'TAG NO [UNAVAILABLE] FETCH Server error - Please try again later\r\n';
  const FETCH: Answer = ({ args }) => (isAbout(args, 1) ? busy : undefined);
  const fetched = await fetchedOf({ mails: [aMail, aMail, aMail], answers: { FETCH } });
  assert.deepEqual(kindsOf(fetched), ['1 unavailable', '2 mail', '3 mail']);
});

test('a mail that a busy server leaves out of a fetch, and gives those behind it, is at fault itself', async () => {
  const FETCH: Answer = ({ args }) => {
    const uids = uidsIn(args);
    const others = uids.filter((uid) => uid !== 2).map((uid) => fetchRow(uid, args, aMail));
    return `${others.join('')}TAG ${uids.includes(2) ? 'NO Server Unavailable. 15' : 'OK done'}\r\n`;
  };
  const fetched = await fetchedOf({ mails: [aMail, aMail, aMail], answers: { FETCH } });
  assert.deepEqual(kindsOf(fetched), ['1 mail', '2 unavailable', '3 mail']);
  assert.match(sentenceIn(fetched), /UID 2 .* the server answers NO Server Unavailable\. 15/);
});

for (const code of ['EXPUNGEISSUED', 'NONEXISTENT']) {
  test(`a mail that is refused by ${code} and found no more is gone, and not one that is withheld`, async () => {
    const FETCH: Answer = ({ args }) =>
      isAbout(args, 2) ? `TAG NO [${code}] It was here just now\r\n` : undefined;
    const search: Answer = ({ earlier }) => (earlier > 0 ? '* SEARCH\r\nTAG OK done\r\n' : undefined);
    const answers = { FETCH, 'UID SEARCH': search };
    const fetched = await fetchedOf({ mails: [aMail, aMail, aMail], answers });
    assert.deepEqual(kindsOf(fetched), ['1 mail', '2 gone', '3 mail']);
  });
}

const sized = (bytes: number | 'NIL') => `* 1 FETCH (UID 1 RFC822.SIZE ${bytes})\r\nTAG OK done\r\n`;
for (const [what, body, MEASURE] of [
  ['empty', '{0}\r\n', sized(20)],
  ['NIL', 'NIL', sized(20)],
  ['an empty string', '""', sized(20)],
  ['NIL, of a mail of no bytes', 'NIL', sized(0)],
  ['empty, of a mail of unknown size', '{0}\r\n', 'TAG NO no size\r\n'],
  ['empty, of a mail whose size is NIL', '{0}\r\n', sized('NIL')],
  ['empty, of a mail whose size is none', '{0}\r\n', sized(-1)],
] as const) {
  test(`a body that is ${what} makes a mail unavailable and not an empty one`, async () => {
    const FETCH = `* 1 FETCH (UID 1 FLAGS () BODY[] ${body})\r\nTAG OK done\r\n`;
    const fetched = await fetchedOf({ mails: [aMail], answers: { MEASURE, FETCH } });
    assert.deepEqual(kindsOf(fetched), ['1 unavailable']);
  });
}

test('a mail with an empty body that the server then does not know any more was expunged meanwhile', async () => {
  const nil = '* 1 FETCH (UID 1 FLAGS () BODY[] NIL)\r\n';
  const answers: Record<string, Answer> = {
    MEASURE: ({ args }) => (args.includes('SIZE') ? undefined : 'TAG OK done\r\n'),
    FETCH: rows((uid, { args }) => (uid === 1 ? nil : fetchRow(uid, args, aMail))),
    'UID SEARCH': ({ args }) => (args.includes('UID') ? '* SEARCH\r\nTAG OK done\r\n' : undefined),
  };
  for (const wholeBytes of [1_000, 0]) {
    const fetched = await fetchedOf({ mails: [aMail, aMail], answers, options: { wholeBytes } });
    assert.deepEqual(kindsOf(fetched), ['1 gone', '2 mail']);
  }
});

test('a mail of no bytes at all is a mail', async () => {
  assert.deepEqual(await drained({ mails: [Buffer.alloc(0)] }), [Buffer.alloc(0)]);
});

const faults: readonly (readonly [string, string | ((wire: Wire) => void)])[] = [
  ['is not known any more', 'TAG OK done\r\n'],
  ['is expunged', 'TAG NO [EXPUNGEISSUED] gone\r\n'],
  ['stalls', '* 1 FETCH (UID 1 BODY[]<1048576> {1048576}\r\nyyyy'],
  ['drops', (wire) => wire.reset()],
];
for (const [what, fault] of faults) {
  test(`a mail that ${what} while it streams ends the stream in an error, never short`, async () => {
    const FETCH: Answer = ({ args }, wire) => {
      if (!args.includes('<1048576.')) return undefined;
      if (typeof fault === 'string') return fault;
      fault(wire);
      return '';
    };
    const script = { mails: [Buffer.alloc(9 * 1024 * 1024, 'y')], answers: { FETCH } };
    await failureOf(fetchedOf({ ...script, options: { timeouts: timeoutsOf(300, 5_000) } }));
  });
}

/** As Exchange answers for a meeting request that it can't convert; that it names no UID then is no accident either. */
const standIn = Buffer.from(
  'MIME-Version: 1.0\r\nFrom: Microsoft Exchange Server 2010\r\nTo: Anna <anna@example.com>\r\nSubject: Retrieval using the IMAP4 protocol failed for the following\r\n message: 2\r\n\r\nThe server could not retrieve the following message: "Meeting"\r\n',
);
const received = Buffer.concat([Buffer.from('Received: from mx.example.com\r\n'), standIn]);
const headerFilter = { fingerprint: 'all', takes: () => true };
for (const [how, changes] of [
  ['whole', {}],
  ['streamed', { wholeBytes: 0 }],
  ['behind a filter', { headerFilter, unmatchedMails: 'markRead' }],
] as const) {
  test(`what Exchange hands out in place of a mail is no mail, ${how}`, async () => {
    const mails = [aMail, standIn, received];
    const row = (uid: number, args: string) => fetchRow(uid, args, mails[uid - 1]);
    const FETCH = rows((uid, { args }) => row(uid, args).replace(uid === 2 ? 'UID 2 ' : '', ''));
    const HEADERS = rows((uid) => headerRow(uid, `${mails[uid - 1]}`.replace(/^Received.*\r\n/, '')));
    const fetched = await fetchedOf({ mails, answers: { FETCH, HEADERS }, options: changes });
    assert.deepEqual(kindsOf(fetched), ['1 mail', '2 unavailable', '3 mail']);
    assert.match(
      sentenceIn(fetched),
      /UID 2 .*"Microsoft Exchange Server".* Look at it in a mail program\.$/,
    );
  });
}

test('a mail that a person reads between the list and the measure is theirs, and stays read', async () => {
  const read = rows((uid, { args }) => fetchRow(uid, args, aMail, '\\Seen'));
  const script = { mails: [aMail], answers: { MEASURE: read, FETCH: read } };
  await onServer(script, async (session, { commands }) => {
    const fetched = await fetchAll(session, await listAndMeasure(session));
    assert.deepEqual(kindsOf(fetched), ['1 gone']);
    assert.ok(!commands.some(({ name }) => name === 'UID STORE'));
  });
});

test('a mail that was not asked for is not taken for the one that was, though nothing else is said about that', async () => {
  const other = fetchRow(99, 'BODY.PEEK[]', Buffer.from('Subject: other\r\n\r\n')).replace('* 99', '* 2');
  for (const unclear of ['* 1 FETCH (FLAGS ())\r\n', '']) {
    const answers = { FETCH: `${unclear}${other}${unclear}TAG OK done\r\n` };
    assert.deepEqual(kindsOf(await fetchedOf({ mails: [aMail], answers })), ['1 unavailable']);
  }
});

test('a mail whose header is such a note is not marked as read since the filter leaves out the note', async () => {
  const mails = [aMail, standIn];
  const HEADERS = rows((uid) => headerRow(uid, `${mails[uid - 1]}`));
  const filter = { fingerprint: 'a', takes: (header: Buffer) => header.includes('Subject: a mail') };
  const options = { headerFilter: filter, unmatchedMails: 'markRead' } as const;
  await onServer({ mails, answers: { HEADERS }, options }, async (session, { commands }) => {
    const fetched = await fetchAll(session, await listAndMeasure(session));
    assert.deepEqual(kindsOf(fetched), ['1 mail', '2 unavailable']);
    assert.ok(!commands.some(({ name }) => name === 'UID STORE'));
  });
});

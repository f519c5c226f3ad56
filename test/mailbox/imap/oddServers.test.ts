import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { openImapMailbox } from '../../../shared/mailbox/imap/imapMailbox.ts';
import {
  assertFails,
  assertRefused,
  drain,
  drained,
  fetchAll,
  fetched,
  fetchedOf,
  kindsOf,
  listAndMeasure,
  onServer,
  sentenceIn,
  sourcesOf,
  withSession,
} from './drain.ts';
import {
  type Answer,
  aMail,
  fetchRow,
  headerRow,
  optionsFor,
  rows,
  type Script,
  smallMails,
  threeMails,
  timeoutsOf,
  uidsIn,
  withServer,
} from './scriptedImapServer.ts';

const size = (uid: number) => `* ${uid} FETCH (UID ${uid} RFC822.SIZE 20)\r\n`;
const strangeMeasures: Record<string, (uid: number) => string> = {
  'says nothing about it': () => '',
  'gives no size': (uid) => `* ${uid} FETCH (UID ${uid})\r\n`,
  'gives no UID': (uid) => `* ${uid} FETCH (RFC822.SIZE 20)\r\n`,
  'gives UID and size apart': (uid) => `* ${uid} FETCH (UID ${uid})\r\n* ${uid} FETCH (RFC822.SIZE 20)\r\n`,
};
for (const [what, row] of Object.entries(strangeMeasures)) {
  test(`a mail is delivered though the server ${what} when it is measured`, async () => {
    const MEASURE = rows((uid) => (uid === 2 ? row(uid) : size(uid)));
    assert.deepEqual(await drained({ mails: threeMails, answers: { MEASURE } }), threeMails);
  });
}

const body = (uid: number) => fetchRow(uid, 'BODY.PEEK[]', threeMails[uid - 1]);
const strangeFetches: Record<string, (uid: number) => string> = {
  'the UID apart from the mail': (uid) =>
    `* ${uid} FETCH (UID ${uid})\r\n${body(uid).replace(`UID ${uid} `, '')}`,
  'the mail before its UID': (uid) =>
    `${body(uid).replace(`UID ${uid} `, '')}* ${uid} FETCH (UID ${uid})\r\n`,
  'a mail without its UID': (uid) => body(uid).replace(`UID ${uid} `, ''),
  'flags apart, in the middle': (uid) =>
    `* ${uid} FETCH (UID ${uid} FLAGS ())\r\n${body(uid).replace(' FLAGS ()', '')}`,
  'too many blanks': (uid) => body(uid).replaceAll(' F', '  F').replace('UID', ' UID '),
  'too few blanks': (uid) => body(uid).replace('[] {', '[]{').replace('FLAGS (', 'FLAGS('),
  'NULs before a row': (uid) => `\0\0${body(uid)}`,
  'BODY.PEEK, as it was asked for': (uid) => body(uid).replace('BODY[]', 'BODY.PEEK[]'),
  'literals as clients mark them': (uid) => body(uid).replace('}', '+}'),
};
for (const [what, row] of Object.entries(strangeFetches)) {
  test(`each mail is delivered as itself by a server that sends ${what}`, async () => {
    const fetched = await fetchedOf({ mails: threeMails, answers: { FETCH: rows(row) } });
    assert.deepEqual(kindsOf(fetched), ['1 mail', '2 mail', '3 mail']);
    for (const one of fetched) assert.deepEqual(sourcesOf([one]), [threeMails[one.mail.id - 1]]);
  });
}

test('a large mail is delivered by a server that repeats the whole range of each piece, as Twisted does', async () => {
  const FETCH = rows((uid, { args }) => {
    const [range = ''] = /<\d+\.\d+>/.exec(args) ?? [];
    return fetchRow(uid, args, threeMails[uid - 1]).replace(/<\d+>/, range);
  });
  const script = { mails: threeMails, answers: { FETCH }, options: { wholeBytes: 0 } };
  assert.deepEqual(await drained(script), threeMails);
});

for (const uncountedBytes of [1, 2]) {
  test(`mails are delivered by a server that does not count the last ${uncountedBytes} bytes of a line end, as Domino does`, async () => {
    const FETCH = rows((uid) =>
      body(uid).replace(/\{(\d+)/, (_, bytes) => `{${Number(bytes) - uncountedBytes}`),
    );
    const mails = await drained({ mails: threeMails, answers: { FETCH } });
    const counted = threeMails.map((mail) => mail.subarray(0, -uncountedBytes));
    assert.deepEqual(mails, counted);
  });
}

for (const tooManyBytes of [2, 15, 19, 24, 27, 30]) {
  test(`a mail whose size is given as ${tooManyBytes} bytes more than come of it is not taken for one of the others`, async () => {
    const FETCH: Answer = (command) => {
      const sizeOf = (bytes: string) => Number(bytes) + (uidsIn(command.args).length > 1 ? tooManyBytes : 0);
      const row = (uid: number) =>
        uid === 2 ? body(uid).replace(/\{(\d+)/, (_, bytes) => `{${sizeOf(bytes)}`) : body(uid);
      return rows(row)(command);
    };
    const fetched = await fetchedOf({ mails: threeMails, answers: { FETCH } });
    for (const one of fetched) assert.deepEqual(sourcesOf([one]), [threeMails[one.mail.id - 1]]);
    assert.equal(fetched.length, 3);
  });
}

test('a filter takes a mail by its header though the server sends that without its UID', async () => {
  const HEADERS = rows((uid) => headerRow(uid, `${threeMails[uid - 1]}`, 'FLAGS ()'));
  const headerFilter = { fingerprint: 'two', takes: (header: Buffer) => header.includes('two') };
  const mails = await drained({ mails: threeMails, answers: { HEADERS }, options: { headerFilter } });
  assert.deepEqual(mails, [threeMails[1]]);
});

for (const [what, found, kind] of [
  ['which is still listed, is unavailable', '1 2 3', 'unavailable'],
  ['which is not listed any more, is gone', '', 'gone'],
] as const) {
  for (const wholeBytes of [1_000_000, 0]) {
    const how = wholeBytes === 0 ? 'streamed' : 'whole';
    test(`a mail about which nothing is said, and ${what}, and the others come (${how})`, async () => {
      const answers: Record<string, Answer> = {
        FETCH: rows((uid, { args }) => (uid === 2 ? '' : fetchRow(uid, args, threeMails[uid - 1]))),
        'UID SEARCH': ({ earlier }) => (earlier > 0 ? `* SEARCH ${found}\r\nTAG OK done\r\n` : undefined),
      };
      const fetched = await fetchedOf({ mails: threeMails, answers, options: { wholeBytes } });
      assert.deepEqual(sourcesOf(fetched), [threeMails[0], threeMails[2]]);
      assert.deepEqual(kindsOf(fetched), ['1 mail', `2 ${kind}`, '3 mail']);
      if (kind === 'unavailable') assert.match(sentenceIn(fetched), /UID 2 .* says nothing about it/);
    });
  }
}

/** A server that sets \Seen when a mail is fetched, PEEK or not, and says so in the same row. */
function markingServer(seen = new Set<number>(), mails = threeMails, marks = /BODY/) {
  const answer = rows((uid, { args }) => {
    if (marks.test(args)) seen.add(uid);
    const flags = seen.has(uid) ? '\\SEEN' : '';
    if (!args.includes('HEADER')) return fetchRow(uid, args, mails[uid - 1], flags);
    return headerRow(uid, 'x: y\n', `UID ${uid} FLAGS (${flags})`);
  });
  const search = (): string => {
    const unread = mails.map((_, index) => index + 1).filter((uid) => !seen.has(uid));
    return `* SEARCH ${unread.join(' ')}\r\nTAG OK done\r\n`;
  };
  return { mails, answers: { HEADERS: answer, MEASURE: answer, FETCH: answer, 'UID SEARCH': search } };
}

for (const wholeBytes of [1_000_000, 0]) {
  const how = wholeBytes === 0 ? 'streamed' : 'whole';
  test(`a server that marks what is fetched, and says so, loses no mail (${how})`, async () => {
    assert.deepEqual(await drained({ ...markingServer(), options: { wholeBytes } }), threeMails);
  });

  test(`on such a server another person's reading counts (${how})`, async () => {
    const seen = new Set<number>();
    await onServer({ ...markingServer(seen), options: { wholeBytes } }, async (session) => {
      const [first, ...others] = await listAndMeasure(session);
      assert.ok(first);
      assert.deepEqual(kindsOf(await fetchAll(session, [first])), ['1 mail']);
      seen.add(2);
      assert.deepEqual(kindsOf(await fetchAll(session, others)), ['2 gone', '3 mail']);
    });
  });
}

for (const [what, marks, wholeBytes] of [
  ['marks what is looked at', /BODY/, 1_000_000],
  ['marks what is looked at, streamed', /BODY/, 0],
  ['marks only whole mails', /BODY\.PEEK\[\]/, 1_000_000],
] as const) {
  test(`behind a filter no mail is lost on a server that ${what}`, async () => {
    const headerFilter = { fingerprint: 'all', takes: () => true };
    const options = { headerFilter, wholeBytes };
    await onServer({ ...markingServer(new Set(), threeMails, marks), options }, async (session) => {
      const sources: Buffer[] = [];
      for (let page = await session.list(1); page.length > 0; page = await session.list(1)) {
        sources.push(...sourcesOf(await fetchAll(session, await session.measure(page))));
      }
      assert.deepEqual(sources, threeMails);
    });
  });
}

for (const [how, options, leave] of [
  ['fetched', {}, 1],
  ['streamed', { wholeBytes: 0 }, 1],
  ['only looked at', { headerFilter: { fingerprint: 'none', takes: () => false } }, 0],
] as const) {
  test(`what was ${how} and not settled is marked as unread again on such a server, and on no other`, async () => {
    const stores = async (script: Script): Promise<readonly string[]> =>
      withServer(script, async ({ port, commands }) => {
        await withSession(optionsFor(port, options), async (session) => {
          const answers = await fetchAll(session, await listAndMeasure(session));
          await session.settle(answers.slice(0, leave).map(({ mail }) => mail));
        });
        return commands.filter(({ name }) => name === 'UID STORE').map(({ args }) => args);
      });
    const settled = leave > 0 ? ['1 +FLAGS.SILENT (\\Seen)'] : [];
    const marked = `${leave + 1}:3 -FLAGS.SILENT (\\Seen)`;
    assert.deepEqual(await stores(markingServer()), [...settled, marked]);
    assert.deepEqual(await stores({ ...markingServer(new Set(), threeMails, /^$/) }), settled);
  });
}

test('on such a server what was lost with the connection is marked as unread again by another', async () => {
  const { mails, answers } = markingServer();
  const store: Answer = ({ earlier }, wire) => {
    if (earlier === 0) wire.reset();
    return undefined;
  };
  await withServer({ mails, answers: { ...answers, 'UID STORE': store } }, async (server) => {
    await withSession(optionsFor(server.port), async (session) => {
      const [first] = await fetchAll(session, await listAndMeasure(session));
      assert.ok(first);
      await assert.rejects(session.settle([first.mail]));
    });
    const stores = server.commands.filter(({ name }) => name === 'UID STORE');
    assert.deepEqual([stores.at(-1)?.args, server.connections], ['1:3 -FLAGS.SILENT (\\Seen)', 2]);
  });
});

test('what could not be marked as unread again is told by its UIDs, also where the fetch broke off', async () => {
  for (const breaksOff of [false, true]) {
    const { mails, answers } = markingServer();
    const fetch: Answer = (command, wire) => {
      const row = answers.FETCH(command);
      if (!breaksOff) return row;
      wire.send(row.split('* 2')[0] ?? '');
      wire.end();
      return '';
    };
    const login: Answer = ({ earlier }) => (earlier > 0 ? 'TAG NO Not twice\r\n' : undefined);
    const scripted = { ...answers, LOGIN: login, FETCH: fetch, 'UID STORE': 'TAG NO Not today\r\n' };
    await withServer({ mails, answers: scripted }, async ({ port }) => {
      const session = await openImapMailbox(optionsFor(port));
      const fetching = fetchAll(session, await listAndMeasure(session));
      await (breaksOff ? assert.rejects(fetching) : fetching);
      await session.close();
      const why = breaksOff ? 'Not twice' : 'Not today';
      assert.match(
        session.leftRead?.message ?? '',
        new RegExp(`UID 1, 2, 3\\. Mark them as unread.*${why}`, 's'),
      );
    });
  }
});

test('what a person looks at by a test is marked as unread again on such a server, and on no other', async () => {
  const store = async (script: Script): Promise<string | undefined> =>
    withServer(script, async ({ port, commands }) => {
      await withSession(optionsFor(port), async (session) => {
        assert.equal((await session.sample(2, 100)).heads.length, 2);
      });
      return commands.find(({ name }) => name === 'UID STORE')?.args;
    });
  assert.equal(await store(markingServer()), '1:2 -FLAGS.SILENT (\\Seen)');
  assert.equal(await store({ mails: threeMails }), undefined);
});

test('a mail that such a server gives too small a size for is not taken for one that another person has read', async () => {
  await onServer({ ...markingServer(), options: { wholeBytes: 10 } }, async (session) => {
    const measured = (await listAndMeasure(session)).map((mail) => ({ ...mail, sizeBytes: 5 }));
    assert.deepEqual(sourcesOf(await fetchAll(session, measured)), threeMails);
  });
});

for (const MEASURE of ['TAG OK done\r\n', 'TAG NO can not measure\r\n']) {
  test(`nor is one for which it answers the measure with ${MEASURE.trim()}`, async () => {
    const { mails, answers } = markingServer();
    const measure: Answer = (command) => (command.args.includes('SIZE') ? MEASURE : answers.MEASURE(command));
    assert.deepEqual(await drained({ mails, answers: { ...answers, MEASURE: measure } }), threeMails);
  });
}

test('a consumer that leaves such a fetch at a mail that was read meanwhile can go on with the session', async () => {
  const seen = new Set<number>();
  await withServer(markingServer(seen, smallMails(20_000)), async ({ port, commands }) => {
    await withSession(optionsFor(port, { timeouts: timeoutsOf(3_000) }), async (session) => {
      const [first, ...others] = await listAndMeasure(session);
      assert.ok(first);
      assert.deepEqual(kindsOf(await fetchAll(session, [first])), ['1 mail']);
      seen.add(2);
      for await (const { kind } of fetched(session, others)) {
        assert.equal(kind, 'gone');
        break;
      }
      await session.settle([first]);
    });
    assert.ok(
      commands.some(({ args }) => args === '3:20000 -FLAGS.SILENT (\\Seen)'),
      'the rest is left unread',
    );
  });
});

test('flags count in any case', async () => {
  const answers = {
    SELECT:
      '* 3 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [PERMANENTFLAGS (\\SEEN \\deleted)] ok\r\nTAG OK [READ-WRITE] selected\r\n',
    FETCH: rows((uid, { args }) => fetchRow(uid, args, aMail, uid === 2 ? '\\sEEN' : '')),
  };
  await onServer({ mails: threeMails, answers }, async (session, { commands }) => {
    const fetched = await fetchAll(session, await listAndMeasure(session));
    assert.deepEqual(kindsOf(fetched), ['1 mail', '2 gone', '3 mail']);
    await session.settle([{ key: '1', id: 1 }]);
    assert.ok(commands.some(({ name, args }) => name === 'UID STORE' && args.includes('\\Seen')));
  });
});

test('a name and a password beyond ASCII go as literals where there is no AUTH=PLAIN', async () => {
  const credentials: string[] = [];
  const LOGIN: Answer = async ({ args }, wire) => {
    credentials.push(args);
    while (/\{\d+\}$/.test(credentials.at(-1) ?? '')) {
      wire.send('+ go on\r\n');
      credentials.push(Buffer.from(await wire.readLine(), 'latin1').toString('utf8'));
    }
    return 'TAG OK [CAPABILITY IMAP4rev1] in\r\n';
  };
  const options = { username: 'änna', credential: { kind: 'password', password: 'pä€' } } as const;
  await onServer({ capabilities: 'IMAP4rev1', answers: { LOGIN }, options }, async () =>
    assert.deepEqual(credentials, ['{5}', 'änna {6}', 'pä€']),
  );
});

for (const [greeting, sentence] of [
  [
    '+OK POP3 ready\r\n',
    /answered "\+OK POP3 ready", which is not IMAP\. That is POP3: set hostType to POP3, or port to the right one\.$/,
  ],
  [
    '220 mail.example.com ESMTP\r\n',
    /answered "220 mail\.example\.com ESMTP", which is not IMAP\. That is SMTP: check host and port\.$/,
  ],
  ['HTTP/1.1 400 Bad Request\r\n\r\n', /That is HTTP: check host and port\.$/],
  ['SSH-2.0-OpenSSH_9.2\r\n', /That is SSH: check host and port\.$/],
  ['"IMPLEMENTATION" "Sieve"\r\n', /"Sieve"", which is not IMAP\. Check host and port\.$/],
] as const) {
  test(`another protocol on that port is named at once: ${greeting.trim()}`, async () => {
    const startedAt = performance.now();
    await assertRefused({ greeting }, 'protocol', sentence);
    assert.ok(performance.now() - startedAt < 2_000);
  });
}

test('a mail that a person reads as a filter looks at it makes no server one that marks what is looked at', async () => {
  const HEADERS = rows((uid) =>
    headerRow(uid, 'Subject: a\r\n\r\n', `UID ${uid} FLAGS (${uid === 2 ? '\\Seen' : ''})`),
  );
  const headerFilter = { fingerprint: 'all', takes: () => true };
  await onServer(
    { mails: threeMails, answers: { HEADERS }, options: { headerFilter } },
    async (session, { commands }) => {
      assert.equal((await session.list(9)).length, 3);
      await session.close();
      assert.ok(!commands.some(({ name }) => name === 'UID STORE'));
    },
  );
});

test('what goes on within a session as another protocol would greet is no other protocol', async () => {
  const search: Answer = async (_command, wire) => {
    wire.send('* SEARCH 219 ');
    for (let turn = 0; turn < 5; turn += 1) await setImmediate();
    return '220 421\r\nTAG OK done\r\n';
  };
  await onServer({ answers: { 'UID SEARCH': search } }, async (session) => {
    assert.deepEqual(
      (await session.list(9)).map(({ id }) => id),
      [219, 220, 421],
    );
  });
});

test('a folder that takes long to open, or to search, has a time of its own', async () => {
  const slow = (names: readonly string[]): Script => ({
    mails: [aMail],
    lateMs: ({ name }) => (names.includes(name) ? 400 : 0),
  });
  await withServer(slow(['SELECT', 'UID SEARCH']), async ({ port }) => {
    const timeouts = { ...timeoutsOf(200), openMs: 5_000 };
    assert.deepEqual(await drain(optionsFor(port, { timeouts })), [aMail]);
    const moving = optionsFor(port, { timeouts, moveToFolder: 'Done' });
    await withSession(moving, async (session) => assert.equal((await session.listHalfSettled()).length, 1));
  });
  const sentence = /did not open folder "INBOX" within 100 ms\. .* move old mails elsewhere\.$/;
  await assertRefused(slow(['SELECT']), 'timeout', sentence, { timeouts: timeoutsOf(100, 5_000) });
});

test('what a server wants people to see is said of a folder that it does not open', async () => {
  // As poczta.interia.pl does, which ends no command after that.
  const words = '[ALERT] Please enable IMAP access in your account settings first.';
  const answers = { LOGIN: `TAG OK ${words}\r\n`, SELECT: `* BAD ${words}\r\n` };
  const sentence = /did not open folder "INBOX" within 100 ms\. It says: Please enable IMAP .* first\.$/;
  await assertRefused({ answers }, 'timeout', sentence, { timeouts: timeoutsOf(100, 5_000) });
});

test('a large folder is searched once, however many pages are listed', async () => {
  await onServer({ mails: smallMails(50) }, async (session, { commands }) => {
    let listed = 0;
    for (let page = await session.list(7); page.length > 0; page = await session.list(7))
      listed += page.length;
    assert.equal(listed, 50);
    assert.equal(commands.filter(({ name }) => name === 'UID SEARCH').length, 1);
  });
});

for (const step of ['LOGIN', 'SELECT', 'UID SEARCH', 'MEASURE', 'FETCH', 'UID STORE']) {
  test(`a server that floods in answer to ${step} is cut off with a sentence`, async () => {
    const answers = { [step]: '* 5 EXISTS\r\n'.repeat(270_000) };
    const startedAt = performance.now();
    const sentence = /goes on sending what nobody asked for/;
    await assertFails(drained({ mails: [aMail], answers }), 'protocol', sentence);
    assert.ok(performance.now() - startedAt < 5_000);
  });
}

test('a search that finds half a million mails is no flood', async () => {
  const uids = Array.from({ length: 500_000 }, (_, index) => 1_000_000_000 + index);
  await onServer(
    { answers: { 'UID SEARCH': `* SEARCH ${uids.join(' ')}\r\nTAG OK done\r\n` } },
    async (session) => {
      assert.equal((await session.list(uids.length)).length, uids.length);
    },
  );
});

for (const found of [' 1 2', '1\t2', '1,2']) {
  test(`unread mails that a server lists as ${JSON.stringify(found)} are not taken for none`, async () => {
    const answers = { 'UID SEARCH': `* SEARCH ${found}\r\nTAG OK done\r\n` };
    await assertFails(drained({ mails: [aMail, aMail], answers }), 'protocol', /SEARCH.*can't be read/);
  });
}

test('a list of no unread mails may end in blanks', async () => {
  const answers = { 'UID SEARCH': '* SEARCH  \r\nTAG OK done\r\n' };
  assert.deepEqual(await drained({ mails: [aMail], answers }), []);
});

test('news of many mails that came and went is no flood', async () => {
  const answers = { 'UID EXPUNGE': `${'* 1 EXPUNGE\r\n* 5 EXISTS\r\n'.repeat(9_000)}TAG OK done\r\n` };
  await onServer({ mails: smallMails(3_000), answers, options: { deleteMails: true } }, async (session) => {
    await session.settle(await session.list(3_000));
  });
});

const password = 'pa"ss\\7391-word';
const sasl = Buffer.from(`\0anna\0${password}`).toString('base64');
const echo = `you said ${password} "${password.replace(/[\\"]/g, '\\$&')}" ${sasl}`;
const repeating = { greeting: '* OK hi\r\n', mails: [aMail] };
const refusing = (step: string): Script => ({
  ...repeating,
  answers: { [step]: `TAG NO [SERVERBUG] ${echo}\r\n` },
});
for (const [step, script] of [
  ['its greeting', { ...repeating, greeting: `* BYE ${echo}\r\n` }],
  ...['LOGIN', 'SELECT', 'UID SEARCH', 'FETCH', 'UID STORE'].map((step) => [step, refusing(step)] as const),
] as const) {
  test(`a server that repeats the password in answer to ${step}, in whatever form, gets it into no sentence`, async () => {
    await withServer(script, async ({ port }) => {
      const credential = { kind: 'password', password } as const;
      const sentence = await withSession(optionsFor(port, { credential }), async (session) => {
        const fetched = await fetchAll(session, await listAndMeasure(session));
        await session.settle(fetched.map(({ mail }) => mail));
        return sentenceIn(fetched);
      }).catch((error: unknown) => String(error));
      assert.match(sentence, /you said \*\*\*/);
      assert.ok(!sentence.includes('7391'), sentence);
      assert.ok(!sentence.includes(Buffer.from(password).toString('base64').slice(0, 10)), sentence);
    });
  });
}

test('what is marked as read since the filter leaves it out stays so on a server that marks what is looked at', async () => {
  const headerFilter = { fingerprint: 'none', takes: () => false };
  await withServer(markingServer(), async ({ port, commands }) => {
    const options = optionsFor(port, { headerFilter, unmatchedMails: 'markRead' });
    await withSession(options, async (session) => assert.deepEqual(await session.list(10), []));
    const stores = commands.filter(({ name }) => name === 'UID STORE').map(({ args }) => args);
    assert.deepEqual(stores, ['1:3 +FLAGS.SILENT (\\Seen)']);
  });
});

test('a session on such a server that is closed twice has marked all once, and says nothing', async () => {
  await onServer(markingServer(), async (session, { commands }) => {
    await fetchAll(session, await listAndMeasure(session));
    await session.close();
    await session.close();
    assert.equal(session.leftRead, undefined);
    assert.equal(commands.filter(({ name }) => name === 'UID STORE').length, 1);
  });
});

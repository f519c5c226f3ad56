import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openImapMailbox } from '../../../shared/mailbox/imap/imapMailbox.ts';
import {
  assertFails,
  drain,
  failureOf,
  fetchAll,
  fetched,
  listAndMeasure,
  sourcesOf,
  withSession,
} from './drain.ts';
import {
  aMail,
  type Command,
  fetchRow,
  optionsFor,
  type Script,
  stepOf,
  uidsIn,
  type Wire,
  withServer,
} from './scriptedImapServer.ts';

const threeMails = ['one', 'two', 'three'].map((name) => Buffer.from(`Subject: ${name}\r\n\r\n${name}\r\n`));

/** Answers a FETCH step with these texts for each UID asked for. */
function rows(
  step: string,
  row: (uid: number, command: Command) => string | Buffer,
): (command: Command, wire: Wire) => boolean {
  return (command: Command, wire: Wire) => {
    if (stepOf(command) !== step) return false;
    for (const uid of uidsIn(command.args, threeMails.length)) wire.send(row(uid, command));
    wire.send(`${command.tag} OK done\r\n`);
    return true;
  };
}

const strangeMeasures: readonly (readonly [string, (uid: number) => string])[] = [
  ['says nothing about it', () => ''],
  ['gives no size', (uid) => `* ${uid} FETCH (UID ${uid})\r\n`],
  ['gives no UID', (uid) => `* ${uid} FETCH (RFC822.SIZE 20)\r\n`],
  ['gives UID and size apart', (uid) => `* ${uid} FETCH (UID ${uid})\r\n* ${uid} FETCH (RFC822.SIZE 20)\r\n`],
];
for (const [what, row] of strangeMeasures) {
  test(`a mail is delivered though the server ${what} when it is measured`, async () => {
    const usual = (uid: number) => `* ${uid} FETCH (UID ${uid} RFC822.SIZE 20)\r\n`;
    const onCommand = rows('MEASURE', (uid) => (uid === 2 ? row(uid) : usual(uid)));
    await withServer({ mails: threeMails, onCommand }, async ({ port }) => {
      const drained = await drain(optionsFor(port));
      assert.deepEqual(drained, threeMails);
    });
  });
}

const body = (uid: number) => fetchRow(uid, 'BODY.PEEK[]', threeMails[uid - 1] ?? aMail).toString('latin1');
const strangeFetches: readonly (readonly [string, (uid: number) => string])[] = [
  [
    'the UID apart from the mail',
    (uid) => `* ${uid} FETCH (UID ${uid})\r\n${body(uid).replace(`UID ${uid} `, '')}`,
  ],
  [
    'the mail before its UID',
    (uid) => `${body(uid).replace(`UID ${uid} `, '')}* ${uid} FETCH (UID ${uid})\r\n`,
  ],
  ['a mail without its UID', (uid) => body(uid).replace(`UID ${uid} `, '')],
  [
    'flags apart, in the middle',
    (uid) => `* ${uid} FETCH (UID ${uid} FLAGS ())\r\n${body(uid).replace(' FLAGS ()', '')}`,
  ],
];
for (const [what, row] of strangeFetches) {
  test(`each mail is delivered as itself by a server that sends ${what}`, async () => {
    await withServer({ mails: threeMails, onCommand: rows('FETCH', row) }, async ({ port }) => {
      await withSession(optionsFor(port), async (session) => {
        const fetched = await fetchAll(session, await listAndMeasure(session));
        for (const one of fetched) {
          assert.ok(one.kind === 'mail');
          assert.deepEqual(one.source, threeMails[one.mail.id - 1]);
        }
        assert.equal(fetched.length, 3);
      });
    });
  });
}

test('a mail about which a server that lists it says nothing at all is unavailable, and the others come', async () => {
  const onCommand = rows('FETCH', (uid) => (uid === 2 ? '' : body(uid)));
  await withServer({ mails: threeMails, onCommand }, async ({ port }) => {
    await withSession(optionsFor(port), async (session) => {
      const fetched = await fetchAll(session, await listAndMeasure(session));
      assert.deepEqual(sourcesOf(fetched), [threeMails[0], threeMails[2]]);
      const silent = fetched.find(({ kind }) => kind === 'unavailable');
      assert.match(silent?.kind === 'unavailable' ? silent.sentence : '', /UID 2 .* says nothing about it/);
    });
  });
});

test('a mail about which nothing is said, and which is not listed any more, is gone', async () => {
  let searches = 0;
  const silent = rows('FETCH', (uid) => (uid === 2 ? '' : body(uid)));
  const onCommand = (command: Command, wire: Wire) => {
    if (command.name === 'UID SEARCH') searches += 1;
    if (command.name !== 'UID SEARCH' || searches === 1) return silent(command, wire);
    wire.send(`* SEARCH\r\n${command.tag} OK done\r\n`);
    return true;
  };
  await withServer({ mails: threeMails, onCommand }, async ({ port }) => {
    await withSession(optionsFor(port), async (session) => {
      const kinds = (await fetchAll(session, await listAndMeasure(session))).map(({ mail, kind }) => [
        mail.id,
        kind,
      ]);
      assert.deepEqual(kinds, [
        [1, 'mail'],
        [3, 'mail'],
        [2, 'gone'],
      ]);
    });
  });
});

/** A server that sets \Seen when a mail is fetched, PEEK or not, and says so in the same row. */
function markingServer(seen = new Set<number>(), mails: readonly Buffer[] = threeMails): Script {
  return {
    mails,
    onCommand: (command, wire) => {
      const { name, args, tag } = command;
      if (name !== 'UID FETCH') return false;
      for (const uid of uidsIn(args, mails.length)) {
        if (args.includes('BODY')) seen.add(uid);
        const flags = seen.has(uid) ? '\\SEEN' : '';
        if (args.includes('BODY')) wire.send(fetchRow(uid, args, mails[uid - 1] ?? aMail, flags));
        else wire.send(`* ${uid} FETCH (UID ${uid} FLAGS (${flags}) RFC822.SIZE 20)\r\n`);
      }
      wire.send(`${tag} OK done\r\n`);
      return true;
    },
  };
}

for (const wholeBytes of [1_000_000, 0]) {
  const how = wholeBytes === 0 ? 'streamed' : 'whole';
  test(`a server that marks what is fetched, and says so, loses no mail (${how})`, async () => {
    await withServer(markingServer(), async ({ port }) => {
      assert.deepEqual(await drain(optionsFor(port, { wholeBytes })), threeMails);
    });
  });

  test(`on such a server another person's reading counts (${how})`, async () => {
    const seen = new Set<number>();
    await withServer(markingServer(seen), async ({ port }) => {
      await withSession(optionsFor(port, { wholeBytes }), async (session) => {
        const [first, ...others] = await listAndMeasure(session);
        assert.ok(first);
        assert.equal((await fetchAll(session, [first]))[0]?.kind, 'mail');
        seen.add(2);
        assert.deepEqual(
          (await fetchAll(session, others)).map(({ mail, kind }) => [mail.id, kind]),
          [
            [2, 'gone'],
            [3, 'mail'],
          ],
        );
      });
    });
  });
}

test('a mail that such a server gives too small a size for is not taken for one that another person has read', async () => {
  await withServer(markingServer(), async ({ port }) => {
    await withSession(optionsFor(port, { wholeBytes: 10 }), async (session) => {
      const measured = (await listAndMeasure(session)).map((mail) => ({ ...mail, sizeBytes: 5 }));
      assert.deepEqual(sourcesOf(await fetchAll(session, measured)), threeMails);
    });
  });
});

test('nor is one that it says nothing about, or refuses, when it is measured', async () => {
  for (const measure of ['TAG OK done\r\n', 'TAG NO can not measure\r\n']) {
    const { mails, onCommand } = markingServer();
    const script: Script = {
      ...(mails ? { mails } : {}),
      onCommand: (command, wire) => {
        if (!command.args.includes('SIZE')) return onCommand?.(command, wire) ?? false;
        wire.send(measure.replace('TAG', command.tag));
        return true;
      },
    };
    await withServer(script, async ({ port }) => {
      assert.deepEqual(await drain(optionsFor(port)), threeMails, measure);
    });
  }
});

test('a consumer that leaves such a fetch at a mail that was read meanwhile can go on with the session', async () => {
  const seen = new Set<number>();
  const many = Array.from({ length: 20_000 }, () => aMail);
  const timeouts = { connectMs: 5_000, openMs: 5_000, commandMs: 1_000 };
  await withServer(markingServer(seen, many), async ({ port }) => {
    await withSession(optionsFor(port, { timeouts }), async (session) => {
      const [first, ...others] = await listAndMeasure(session);
      assert.ok(first);
      assert.equal((await fetchAll(session, [first]))[0]?.kind, 'mail');
      seen.add(2);
      for await (const { kind } of fetched(session, others)) {
        assert.equal(kind, 'gone');
        break;
      }
      await session.settle([first]);
    });
  });
});

test('flags count in any case', async () => {
  const script: Script = {
    mails: threeMails,
    onCommand: (command, wire) => {
      if (command.name === 'SELECT') {
        wire.send('* 3 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [PERMANENTFLAGS (\\SEEN \\deleted)] ok\r\n');
        wire.send(`${command.tag} OK [READ-WRITE] selected\r\n`);
        return true;
      }
      const row = (uid: number) => fetchRow(uid, 'BODY.PEEK[]', aMail, uid === 2 ? '\\sEEN' : '');
      return rows('FETCH', row)(command, wire);
    },
  };
  await withServer(script, async ({ port, commands }) => {
    await withSession(optionsFor(port), async (session) => {
      const kinds: string[] = [];
      for await (const { mail, kind } of fetched(session, await listAndMeasure(session)))
        kinds.push(`${mail.id} ${kind}`);
      assert.deepEqual(kinds.sort(), ['1 mail', '2 gone', '3 mail']);
      await session.settle([{ key: '1', id: 1 }]);
    });
    assert.ok(commands.some(({ name, args }) => name === 'UID STORE' && args.includes('\\Seen')));
  });
});

test('a name and a password beyond ASCII go as literals where there is no AUTH=PLAIN', async () => {
  const credentials: string[] = [];
  const script: Script = {
    capabilities: 'IMAP4rev1',
    onCommand: async ({ name, args, tag }, wire) => {
      if (name !== 'LOGIN') return false;
      credentials.push(args);
      wire.send('+ go on\r\n');
      const password = await wire.readLine();
      credentials.push(Buffer.from(password, 'latin1').toString('utf8'));
      if (/\{\d+\}$/.test(password)) {
        wire.send('+ go on\r\n');
        credentials.push(Buffer.from(await wire.readLine(), 'latin1').toString('utf8'));
      }
      wire.send(`${tag} OK [CAPABILITY IMAP4rev1] in\r\n`);
      return true;
    },
  };
  await withServer(script, async ({ port }) => {
    const credential = { kind: 'password', password: 'pä€' } as const;
    await withSession(optionsFor(port, { username: 'änna', credential }), async () => {});
    assert.deepEqual(credentials, ['{5}', 'änna {6}', 'pä€']);
  });
});

test('another protocol on that port is named at once', async () => {
  for (const [greeting, sentence] of [
    [
      '+OK POP3 ready\r\n',
      /answered "\+OK POP3 ready"\. That is POP3: set hostType to POP3, or port to the right one\.$/,
    ],
    [
      '220 mail.example.com ESMTP\r\n',
      /answered "220 mail\.example\.com ESMTP"\. That is SMTP: check host and port\.$/,
    ],
    ['HTTP/1.1 400 Bad Request\r\n\r\n', /That is HTTP: check host and port\.$/],
    ['SSH-2.0-OpenSSH_9.2\r\n', /That is SSH: check host and port\.$/],
  ] as const) {
    await withServer({ greeting }, async ({ port }) => {
      const startedAt = performance.now();
      await assertFails(openImapMailbox(optionsFor(port)), 'protocol', sentence);
      assert.ok(performance.now() - startedAt < 2_000);
    });
  }
});

test('a folder that takes long to open, or to search, has a time of its own', async () => {
  const slow = (names: readonly string[]): Script => ({
    mails: [aMail],
    lateMs: ({ name }) => (names.includes(name) ? 400 : 0),
  });
  const timeouts = { connectMs: 200, openMs: 5_000, commandMs: 200 };
  await withServer(slow(['SELECT', 'UID SEARCH']), async ({ port }) => {
    assert.deepEqual(await drain(optionsFor(port, { timeouts })), [aMail]);
  });
  await withServer(slow(['SELECT']), async ({ port }) => {
    const failure = await failureOf(
      openImapMailbox(optionsFor(port, { timeouts: { ...timeouts, openMs: 100 } })),
    );
    assert.equal(failure.reason, 'timeout');
    assert.match(
      failure.message,
      /did not open folder "INBOX" within 100 ms\. .* move old mails elsewhere\.$/,
    );
  });
});

test('a large folder is searched once, however many pages are listed', async () => {
  await withServer({ mails: Array.from({ length: 50 }, () => aMail) }, async ({ port, commands }) => {
    await withSession(optionsFor(port), async (session) => {
      let listed = 0;
      for (let page = await session.list(7); page.length > 0; page = await session.list(7))
        listed += page.length;
      assert.equal(listed, 50);
      assert.equal(commands.filter(({ name }) => name === 'UID SEARCH').length, 1);
    });
  });
});

for (const step of ['LOGIN', 'SELECT', 'UID SEARCH', 'MEASURE', 'FETCH', 'UID STORE']) {
  test(`a server that floods in answer to ${step} is cut off with a sentence`, async () => {
    const flood = Buffer.from('* 5 EXISTS\r\n'.repeat(90_000));
    const script: Script = {
      mails: [aMail],
      onCommand: (command, wire) => {
        if (stepOf(command) !== step) return false;
        for (let sent = 0; sent < 3; sent += 1) wire.send(flood);
        return true;
      },
    };
    await withServer(script, async ({ port }) => {
      const startedAt = performance.now();
      await assertFails(drain(optionsFor(port)), 'protocol', /goes on sending what nobody asked for/);
      assert.ok(performance.now() - startedAt < 5_000);
    });
  });
}

test('news of many mails that came and went is no flood', async () => {
  const script: Script = {
    mails: Array.from({ length: 3_000 }, () => aMail),
    onCommand: ({ name, tag }, wire) => {
      if (name !== 'UID EXPUNGE') return false;
      wire.send('* 1 EXPUNGE\r\n* 5 EXISTS\r\n'.repeat(9_000));
      wire.send(`${tag} OK done\r\n`);
      return true;
    },
  };
  await withServer(script, async ({ port }) => {
    await withSession(optionsFor(port, { deleteMails: true }), async (session) => {
      await session.settle(await session.list(3_000));
    });
  });
});

test('a server that repeats the password, in whatever form and phase, gets it into no sentence', async () => {
  const password = 'pa"ss\\7391-word';
  const sasl = Buffer.from(`\0anna\0${password}`).toString('base64');
  const echo = `you said ${password} "${password.replace(/[\\"]/g, '\\$&')}" ${sasl}`;
  for (const step of ['', 'CAPABILITY', 'LOGIN', 'SELECT', 'UID SEARCH', 'MEASURE', 'FETCH', 'UID STORE']) {
    const script: Script = {
      mails: [aMail],
      ...(step === '' ? { greeting: `* BYE ${echo}\r\n` } : { greeting: '* OK hi\r\n' }),
      onCommand: (command, wire) => {
        if (stepOf(command) !== step) return false;
        wire.send(`${command.tag} NO [SERVERBUG] ${echo}\r\n`);
        return true;
      },
    };
    await withServer(script, async ({ port }) => {
      const credential = { kind: 'password', password } as const;
      const sentence = await withSession(optionsFor(port, { credential }), async (session) => {
        const fetched = await fetchAll(session, await listAndMeasure(session));
        await session.settle(fetched.map(({ mail }) => mail));
        return fetched.map((one) => (one.kind === 'unavailable' ? one.sentence : '')).join();
      }).catch((error: unknown) => String(error));
      if (step === 'CAPABILITY' || step === 'MEASURE') return;
      assert.match(sentence, /you said \*\*\*/, step);
      assert.ok(!sentence.includes('7391'), sentence);
      assert.ok(!sentence.includes(Buffer.from(password).toString('base64').slice(0, 10)), sentence);
    });
  }
});

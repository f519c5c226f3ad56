import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import type { FailureReason } from '../../../shared/failure/failure.ts';
import { openImapMailbox } from '../../../shared/mailbox/imap/imapMailbox.ts';
import type { MailboxSession } from '../../../shared/mailbox/mailbox.ts';
import { assertFails, drain, failureOf, fetchAll, listAndMeasure, sourcesOf, withSession } from './drain.ts';
import {
  type Command,
  fetchRow,
  optionsFor,
  type Script,
  type ScriptedImapServer,
  startScriptedImapServer,
  type Wire,
} from './scriptedImapServer.ts';

const mail = Buffer.from('Subject: a mail\r\n\r\nwith a body\r\n');

async function withServer<T>(script: Script, use: (server: ScriptedImapServer) => Promise<T>): Promise<T> {
  const server = await startScriptedImapServer(script);
  try {
    return await use(server);
  } finally {
    await server.stop();
  }
}

/** Does `fault` in place of an answer to `name`; with `half`, in the middle of one. */
function faultAt(name: string, fault: (wire: Wire) => void, half = ''): Script {
  return {
    mails: [mail],
    onCommand: (command, wire) => {
      if (stepOf(command) !== name) return false;
      if (half !== '') wire.send(half);
      fault(wire);
      return true;
    },
  };
}

function stepOf({ name, args }: Command): string {
  return name === 'UID FETCH' ? (args.includes('BODY') ? 'FETCH' : 'MEASURE') : name;
}

const steps: readonly { step: string; half: string }[] = [
  { step: 'LOGIN', half: '* CAPABILITY IMAP4rev1\r\n' },
  { step: 'SELECT', half: '* 1 EXISTS\r\n* OK [UIDVALID' },
  { step: 'UID SEARCH', half: '* SEARCH 1' },
  { step: 'MEASURE', half: '* 1 FETCH (UID 1 ' },
  { step: 'FETCH', half: `* 1 FETCH (UID 1 FLAGS () BODY[] {${mail.length}}\r\nSubject: a` },
  { step: 'UID STORE', half: '* 1 FETCH (FLAGS' },
  { step: 'UID EXPUNGE', half: '* 1 EXPUNGE\r\n' },
];

const faults: readonly { fault: string; act: (wire: Wire) => void; reasons: readonly FailureReason[] }[] = [
  { fault: 'FIN', act: (wire) => wire.end(), reasons: ['connection-lost'] },
  { fault: 'RST', act: (wire) => wire.reset(), reasons: ['connection-lost'] },
  { fault: 'silence', act: () => {}, reasons: ['timeout'] },
  {
    fault: 'BYE',
    act: (wire) => {
      wire.send('\r\n* BYE going down\r\n');
      wire.end();
    },
    reasons: ['connection-lost', 'busy'],
  },
];

for (const { step, half } of steps) {
  for (const { fault, act, reasons } of faults) {
    for (const partial of ['', half]) {
      if (fault === 'BYE' && partial !== '') continue;
      test(`${fault} ${partial === '' ? 'instead of' : 'inside'} the answer to ${step} ends in time`, async () => {
        await withServer(faultAt(step, act, partial), async (server) => {
          const allowedMs = fault === 'silence' ? 150 : 5_000;
          const timeouts = { connectMs: allowedMs, commandMs: allowedMs };
          const startedAt = performance.now();
          const polling = drain(optionsFor(server.port, { deleteMails: true, timeouts }));
          // What costs the connection twice over one mail is that mail's fault, and the session goes on.
          if (fault !== 'silence' && (step === 'MEASURE' || step === 'FETCH')) {
            assert.equal((await polling).length, step === 'FETCH' ? 0 : 1);
            assert.equal(server.connections, 3);
          } else {
            const failure = await failureOf(polling);
            assert.ok(reasons.includes(failure.reason), `${failure.reason}: ${failure.message}`);
            assert.match(failure.message, /IMAP server 127\.0\.0\.1:\d+/);
          }
          assert.ok(performance.now() - startedAt < 2_000, `${performance.now() - startedAt} ms`);
        });
      });
    }
  }
}

test('a connection that drops in a fetch is made again, and every mail comes once', async () => {
  const mails = Array.from({ length: 5 }, (_, index) => Buffer.from(`Subject: ${index}\r\n\r\nbody\r\n`));
  const script: Script = {
    mails,
    onCommand: (command, wire) => {
      if (stepOf(command) !== 'FETCH' || command.args.startsWith('3 ') || command.args.startsWith('4'))
        return false;
      for (const uid of [1, 2]) wire.send(fetchRow(uid, command.args, mails[uid - 1] ?? mail));
      wire.send('* 3 FETCH (UID 3 FLAGS () BODY[] {20}\r\nSub');
      wire.end();
      return true;
    },
  };
  await withServer(script, async (server) => {
    assert.deepEqual(await drain(optionsFor(server.port)), mails);
    assert.equal(server.connections, 2);
    const fetches = server.commands
      .filter((one) => stepOf(one) === 'FETCH')
      .map(({ args }) => args.split(' ')[0]);
    assert.deepEqual(fetches, ['1:5', '3', '4:5']);
  });
});

test('a server that is gone for good after a drop is a failure, and one that drops for ever is too', async () => {
  const mails = Array.from({ length: 40 }, () => mail);
  const script: Script = {
    mails,
    onCommand: (command, wire) => {
      if (stepOf(command) !== 'FETCH') return false;
      wire.reset();
      return true;
    },
  };
  await withServer(script, async (server) => {
    await assertFails(drain(optionsFor(server.port)), 'connection-lost', /was lost/);
    assert.equal(server.connections, 21);
  });
  await withServer(
    faultAt('FETCH', () => {}),
    async (server) => {
      await withSession(optionsFor(server.port), async (session) => {
        const fetching = fetchAll(session, await listAndMeasure(session));
        await server.stop();
        const { reason } = await failureOf(fetching);
        assert.ok(reason === 'refused' || reason === 'connection-lost', reason);
      });
    },
  );
});

test('a folder that was made anew during a drop ends the session: its UIDs mean other mails', async () => {
  const script: Script = {
    mails: [mail],
    onCommand: (command, wire) => {
      if (stepOf(command) === 'FETCH') wire.end();
      if (command.name === 'SELECT' && command.earlier > 0) {
        wire.send(`* 1 EXISTS\r\n* OK [UIDVALIDITY 8] ok\r\n${command.tag} OK [READ-WRITE] ok\r\n`);
      }
      return stepOf(command) === 'FETCH' || (command.name === 'SELECT' && command.earlier > 0);
    },
  };
  await withServer(script, async (server) => {
    await assertFails(drain(optionsFor(server.port)), 'connection-lost', /was lost/);
  });
});

test('a server that never greets, or greets with BYE, fails in time', async () => {
  const timeouts = { connectMs: 100, commandMs: 100 };
  await withServer({ greeting: false }, async ({ port }) => {
    await assertFails(
      openImapMailbox(optionsFor(port, { timeouts })),
      'timeout',
      /no greeting within 100 ms/,
    );
  });
  await withServer({ greeting: '* BYE Too many connections\r\n' }, async ({ port }) => {
    await assertFails(openImapMailbox(optionsFor(port)), 'busy', /Too many connections/);
  });
  await withServer({ greeting: '* OK hel' }, async ({ port }) => {
    await assertFails(openImapMailbox(optionsFor(port, { timeouts })), 'timeout', /greeting/);
  });
});

test('the deadline spans the whole connect: each step in time, all of them not', async () => {
  const slowly = async (_command: Command, _wire: Wire): Promise<boolean> => {
    await new Promise((resolve) => setTimeout(resolve, 120));
    return false;
  };
  await withServer({ greeting: '* OK hi\r\n', onCommand: slowly }, async ({ port }) => {
    const startedAt = performance.now();
    const timeouts = { connectMs: 200, commandMs: 5_000 };
    await assertFails(openImapMailbox(optionsFor(port, { timeouts })), 'timeout', /within 200 ms/);
    assert.ok(performance.now() - startedAt < 1_000);
  });
});

for (const cut of ['end', 'reset'] as const) {
  test(`connections cut off by ${cut} after any byte end cleanly and give no mail cut short`, async () => {
    const mails = [mail, Buffer.from('Subject: b\r\n\r\n')];
    let failures = 0;
    let settled = 0;
    for (let cutAfterBytes = 1; cutAfterBytes < 1_000; cutAfterBytes += cut === 'end' ? 7 : 13) {
      await withServer({ mails, cutAfterBytes, cut }, async ({ port }) => {
        let session: MailboxSession | undefined;
        try {
          session = await openImapMailbox(optionsFor(port, { deleteMails: true }));
          const measured = await listAndMeasure(session);
          const fetched = await fetchAll(session, measured);
          assert.equal(fetched.length, 2);
          for (const one of fetched) {
            assert.notEqual(one.kind, 'gone', 'a mail that is there is not called gone');
            if (one.kind === 'mail') assert.deepEqual(one.source, mails[one.mail.id - 1]);
          }
          await session.settle(measured);
          settled += 1;
        } catch (error) {
          await failureOf(Promise.reject(error));
          failures += 1;
        } finally {
          await session?.close();
        }
      });
    }
    assert.ok(failures > 10 && settled > 5, `${failures} failures, ${settled} settled`);
  });
}

test('close ends at once while a command hangs, and twice is no harm', async () => {
  await withServer(
    faultAt('UID SEARCH', () => {}),
    async ({ port }) => {
      const session = await openImapMailbox(optionsFor(port));
      const listing = failureOf(session.list(10));
      const startedAt = performance.now();
      assert.equal(await session.close(), true);
      assert.equal(await session.close(), true);
      assert.ok(performance.now() - startedAt < 500);
      assert.equal((await listing).reason, 'connection-lost');
      await failureOf(session.list(10));
    },
  );
});

test('a server that answers LOGOUT never, or with nonsense, does not hold close', async () => {
  for (const answer of ['', '* ?? {\r\n', '+ go on\r\n']) {
    await withServer(
      faultAt('LOGOUT', (wire) => wire.send(answer)),
      async ({ port }) => {
        const session = await openImapMailbox(optionsFor(port));
        const startedAt = performance.now();
        assert.equal(await session.close(), true);
        assert.ok(performance.now() - startedAt < 500);
      },
    );
  }
});

test('a trickle that never becomes an answer is a timeout', async () => {
  const trickle = (wire: Wire): void => {
    const timer = setInterval(() => wire.send('x'), 10);
    setTimeout(() => clearInterval(timer), 2_000).unref();
  };
  for (const [step, half] of [
    ['UID SEARCH', '* SEARCH '],
    ['FETCH', '* 1 FETCH (UID 1 BODY[] {500000}\r\n'],
  ] as const) {
    await withServer(faultAt(step, trickle, half), async ({ port }) => {
      const timeouts = { connectMs: 5_000, commandMs: 200 };
      await assertFails(drain(optionsFor(port, { timeouts })), 'timeout', /nothing came within 200 ms/);
    });
  }
});

const nonsense: readonly { name: string; step: string; bytes: string; reasons: readonly FailureReason[] }[] =
  [
    {
      name: 'a literal larger than anything',
      step: 'FETCH',
      bytes: '* 1 FETCH (UID 1 BODY[] {99999999999}\r\n',
      reasons: ['protocol'],
    },
    {
      name: 'a literal with a size beyond numbers',
      step: 'FETCH',
      bytes: `* 1 FETCH (UID 1 BODY[] {${'9'.repeat(40)}}\r\n`,
      reasons: ['protocol'],
    },
    {
      name: 'a literal larger than the mail may be',
      step: 'FETCH',
      bytes: `* 1 FETCH (UID 1 BODY[] {${80 * 1024 * 1024}}\r\n`,
      reasons: ['protocol'],
    },
    {
      name: 'a literal shorter than it says',
      step: 'FETCH',
      bytes: '* 1 FETCH (UID 1 FLAGS () BODY[] {500}\r\nshort)\r\nX OK\r\n',
      reasons: ['timeout'],
    },
    {
      name: 'a tagged answer that is no status',
      step: 'UID SEARCH',
      bytes: 'TAG MAYBE perhaps\r\n',
      reasons: ['protocol'],
    },
    {
      name: 'an untagged NO to the command',
      step: 'UID SEARCH',
      bytes: 'BAD "no"\r\n',
      reasons: ['protocol'],
    },
    {
      name: 'NUL bytes',
      step: 'UID SEARCH',
      bytes: '\0\0\0* SEARCH 1\0\r\n\0\r\n',
      reasons: ['timeout', 'protocol'],
    },
    {
      name: 'a search for numbers that are none',
      step: 'UID SEARCH',
      bytes: '* SEARCH NaN 0 -1 1e9 99999999999999999999 {\r\nTAG OK\r\n',
      reasons: [],
    },
    {
      name: 'brackets without end',
      step: 'MEASURE',
      bytes: `* 1 FETCH ${'('.repeat(50_000)}\r\nTAG OK\r\n`,
      reasons: [],
    },
  ];

for (const { name, step, bytes, reasons } of nonsense) {
  test(`hostile answer: ${name}`, async () => {
    const script: Script = {
      mails: [mail],
      onCommand: (command, wire) => {
        if (stepOf(command) !== step) return false;
        wire.send(bytes.replaceAll('TAG', command.tag));
        return true;
      },
    };
    await withServer(script, async ({ port }) => {
      const timeouts = { connectMs: 5_000, commandMs: 250 };
      const polling = drain(optionsFor(port, { timeouts }));
      if (reasons.length === 0) {
        await polling;
        return;
      }
      const failure = await failureOf(polling);
      assert.ok(reasons.includes(failure.reason), `${failure.reason}: ${failure.message}`);
    });
  });
}

test('hostile answer: a line without end is cut off in bounded memory', async () => {
  const script = faultAt('UID SEARCH', (wire) => {
    const chunk = Buffer.alloc(4 * 1024 * 1024, 'A');
    wire.send('* SEARCH ');
    for (let sent = 0; sent < 10; sent += 1) wire.send(chunk);
  });
  await withServer(script, async ({ port }) => {
    await assertFails(drain(optionsFor(port)), 'protocol', /outside the IMAP protocol \(LineTooLarge\)/);
  });
});

test('unsolicited data and rows nobody asked for are no mails', async () => {
  const script: Script = {
    mails: [mail],
    onCommand: ({ tag, name, args }, wire) => {
      if (name !== 'UID FETCH' || !args.includes('BODY')) return false;
      wire.send('* 3 EXISTS\r\n* 0 RECENT\r\n* 1 FETCH (FLAGS ())\r\n* 1 FETCH (UID 1 FLAGS ())\r\n');
      wire.send(fetchRow(9, args, Buffer.from('not asked for')));
      wire.send(fetchRow(1, args, mail));
      wire.send(fetchRow(1, args, Buffer.from('once more')));
      wire.send(`${tag} OK done\r\n`);
      return true;
    },
  };
  await withServer(script, async ({ port }) => {
    assert.deepEqual(await drain(optionsFor(port)), [mail]);
  });
});

test('a mail that the server refuses does not stop the others', async () => {
  const mails = Array.from({ length: 6 }, (_, index) => Buffer.from(`Subject: ${index + 1}\r\n\r\n`));
  const script: Script = {
    mails,
    onCommand: ({ tag, name, args }, wire) => {
      if (name !== 'UID FETCH' || !args.includes('BODY')) return false;
      const [first = 0, last = first] = (args.split(' ')[0] ?? '').split(/[:,]/).map(Number);
      for (let uid = first; uid <= last; uid += 1) {
        if (uid === 2 || uid === 5) {
          wire.send(`${tag} NO [SERVERBUG] Internal error occurred.\r\n`);
          return true;
        }
        wire.send(fetchRow(uid, args, mails[uid - 1] ?? mail));
      }
      wire.send(`${tag} OK done\r\n`);
      return true;
    },
  };
  await withServer(script, async ({ port }) => {
    await withSession(optionsFor(port), async (session) => {
      const fetched = await fetchAll(session, await listAndMeasure(session));
      assert.equal(fetched.length, 6);
      assert.deepEqual(
        fetched.filter((one) => one.kind === 'unavailable').map((one) => one.mail.id),
        [2, 5],
      );
      assert.equal(sourcesOf(fetched).length, 4);
      const [bad] = fetched.filter((one) => one.kind === 'unavailable');
      assert.match(
        bad?.kind === 'unavailable' ? bad.sentence : '',
        /UID 2 in folder "INBOX" can't be fetched: the server answers NO \[SERVERBUG\] Internal error occurred/,
      );
    });
  });
});

test('a mail with no size to be had is still fetched', async () => {
  const script: Script = {
    mails: [mail, mail],
    onCommand: ({ tag, name, args }, wire) => {
      if (name !== 'UID FETCH' || args.includes('BODY')) return false;
      wire.send(`${tag} NO cannot measure\r\n`);
      return true;
    },
  };
  await withServer(script, async ({ port }) => {
    assert.deepEqual(await drain(optionsFor(port)), [mail, mail]);
  });
});

test('a server that is out of breath in a fetch blames no mail', async () => {
  const script: Script = {
    mails: [mail, mail],
    onCommand: ({ tag, name, args }, wire) => {
      if (name !== 'UID FETCH' || !args.includes('BODY')) return false;
      wire.send(`${tag} NO [UNAVAILABLE] Try later\r\n`);
      return true;
    },
  };
  await withServer(script, async ({ port }) => {
    await assertFails(drain(optionsFor(port)), 'busy', /\[UNAVAILABLE\] Try later/);
  });
});

test('an empty or missing body where there should be one is unavailable, not an empty mail', async () => {
  for (const body of ['{0}\r\n', 'NIL', '""']) {
    const script: Script = {
      mails: [mail],
      onCommand: ({ tag, name, args }, wire) => {
        if (name !== 'UID FETCH' || !args.includes('BODY')) return false;
        wire.send(`* 1 FETCH (UID 1 FLAGS () BODY[] ${body})\r\n${tag} OK done\r\n`);
        return true;
      },
    };
    await withServer(script, async ({ port }) => {
      await withSession(optionsFor(port), async (session) => {
        const [only] = await fetchAll(session, await listAndMeasure(session));
        assert.equal(only?.kind, 'unavailable', body);
      });
    });
  }
});

test('a mail of no bytes at all is a mail', async () => {
  await withServer({ mails: [Buffer.alloc(0)] }, async ({ port }) => {
    assert.deepEqual(await drain(optionsFor(port)), [Buffer.alloc(0)]);
  });
});

test('a refused STORE fails, in the words of the server', async () => {
  const script: Script = {
    onCommand: ({ tag, name }, wire) => {
      if (name !== 'UID STORE') return false;
      wire.send(`${tag} NO [NOPERM] Not yours\r\n`);
      return true;
    },
  };
  await withServer(script, async ({ port }) => {
    await assertFails(
      drain(optionsFor(port)),
      'protocol',
      /refused flagging mails: NO \[NOPERM\] Not yours\./,
    );
  });
});

test('tens of thousands of sparse UIDs are settled in command lines that any server takes', async () => {
  await withServer({}, async ({ port, commands }) => {
    await withSession(optionsFor(port), async (session) => {
      const mails = Array.from({ length: 20_000 }, (_, index) => ({ id: 2 * index + 1, key: `${index}` }));
      await session.settle(mails);
      const stores = commands.filter(({ name }) => name === 'UID STORE');
      assert.ok(stores.length > 1 && stores.length < 20, `${stores.length} commands`);
      for (const { args } of stores) assert.ok(args.length <= 8_000, `${args.length}`);
      assert.equal(stores.flatMap(({ args }) => args.split(' ')[0]?.split(',')).length, 20_000);
      await session.settle(mails.slice(0, 1));
      assert.equal(commands.at(-1)?.args, '1 +FLAGS.SILENT (\\Seen)');
    });
  });
});

test('what failed once fails again with the same sentence, on the same session', async () => {
  await withServer(
    faultAt('UID SEARCH', (wire) => wire.reset()),
    async ({ port }) => {
      await withSession(optionsFor(port), async (session) => {
        const first = await failureOf(session.list(1));
        assert.equal(await failureOf(session.list(1)), first);
        assert.equal(await failureOf(session.settle([{ key: 'k', id: 1 }])), first);
      });
    },
  );
});

test('a command starts its deadline only when its turn has come', async () => {
  const script: Script = { mails: [mail, mail] };
  await withServer(script, async ({ port }) => {
    const timeouts = { connectMs: 5_000, commandMs: 100 };
    await withSession(optionsFor(port, { timeouts }), async (session) => {
      const mails = await listAndMeasure(session);
      let settled: Promise<void> | undefined;
      let seen = 0;
      for await (const one of session.fetch(mails)) {
        settled ??= session.settle([one.mail]);
        seen += 1;
        await new Promise((resolve) => setTimeout(resolve, 150));
      }
      assert.equal(seen, 2);
      await settled;
    });
  });
});

test('a mail that is gone, or drops, while it streams ends the stream in an error, never short', async () => {
  const large = Buffer.alloc(9 * 1024 * 1024, 'y');
  const faults: readonly ((tag: string, wire: Wire) => void)[] = [
    (tag, wire) => wire.send(`${tag} OK done\r\n`),
    (tag, wire) => wire.send(`${tag} NO [EXPUNGEISSUED] gone\r\n`),
    (_tag, wire) => wire.send('* 1 FETCH (UID 1 BODY[]<4194304> {4194304}\r\nyyyy'),
    (_tag, wire) => wire.reset(),
  ];
  for (const fault of faults) {
    const script: Script = {
      mails: [large],
      onCommand: ({ tag, args }, wire) => {
        if (!args.includes('<4194304.')) return false;
        fault(tag, wire);
        return true;
      },
    };
    await withServer(script, async ({ port }) => {
      const timeouts = { connectMs: 5_000, commandMs: 300 };
      await withSession(optionsFor(port, { timeouts }), async (session) => {
        const [only] = await listAndMeasure(session);
        assert.ok(only !== undefined);
        const streamed = await session.openStream(only);
        assert.ok(streamed.kind === 'mail');
        await failureOf(buffer(streamed.stream));
      });
    });
  }
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertFails, drain, failureOf, fetchAll, listAndMeasure, sourcesOf, withSession } from './drain.ts';
import {
  aMail,
  fetchRow,
  optionsFor,
  type Script,
  uidsIn,
  type Wire,
  withServer,
} from './scriptedImapServer.ts';

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
        wire.send(fetchRow(uid, args, mails[uid - 1] ?? aMail));
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
    mails: [aMail, aMail],
    onCommand: ({ tag, name, args }, wire) => {
      if (name !== 'UID FETCH' || args.includes('BODY')) return false;
      wire.send(`${tag} NO cannot measure\r\n`);
      return true;
    },
  };
  await withServer(script, async ({ port }) => {
    assert.deepEqual(await drain(optionsFor(port)), [aMail, aMail]);
  });
});

test('a server that is out of breath in a fetch blames no mail', async () => {
  const script: Script = {
    mails: [aMail, aMail],
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

test('a mail for which alone a server says that it is busy does not stop the others', async () => {
  const busy = 'NO [UNAVAILABLE] FETCH Server error - Please try again later';
  const script: Script = {
    mails: [aMail, aMail, aMail],
    onCommand: ({ tag, name, args }, wire) => {
      if (name !== 'UID FETCH' || !args.includes('BODY')) return false;
      if (!uidsIn(args, 3).includes(1)) return false;
      wire.send(`${tag} ${busy}\r\n`);
      return true;
    },
  };
  await withServer(script, async ({ port }) => {
    await withSession(optionsFor(port), async (session) => {
      const fetched = await fetchAll(session, await listAndMeasure(session));
      assert.deepEqual(fetched.map(({ kind, mail }) => `${mail.id} ${kind}`).sort(), [
        '1 unavailable',
        '2 mail',
        '3 mail',
      ]);
    });
  });
});

test('an empty or missing body where there should be one is unavailable, not an empty mail', async () => {
  for (const body of ['{0}\r\n', 'NIL', '""']) {
    const script: Script = {
      mails: [aMail],
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

test('a mail with an empty body that the server then does not know any more was expunged meanwhile', async () => {
  const script: Script = {
    mails: [aMail, aMail],
    onCommand: ({ tag, name, args }, wire) => {
      if (name !== 'UID FETCH' || args.includes('SIZE')) return false;
      const second = args.includes('BODY') ? fetchRow(2, args, aMail) : '';
      const nil = args.includes('BODY') ? '* 1 FETCH (UID 1 FLAGS () BODY[] NIL)\r\n' : '';
      wire.send(Buffer.concat([Buffer.from(nil), Buffer.from(second), Buffer.from(`${tag} OK done\r\n`)]));
      return true;
    },
  };
  await withServer(script, async ({ port }) => {
    await withSession(optionsFor(port), async (session) => {
      const measured = await listAndMeasure(session);
      const kinds = (await fetchAll(session, measured)).map(({ mail, kind }) => [mail.id, kind]);
      assert.deepEqual(kinds.sort(), [
        [1, 'gone'],
        [2, 'mail'],
      ]);
    });
    await withSession(optionsFor(port, { wholeBytes: 0 }), async (session) => {
      const [first] = await fetchAll(session, await listAndMeasure(session));
      assert.equal(first?.kind, 'gone');
    });
  });
});

test('a body that is NIL, or empty for a mail of unknown size, is no empty mail', async () => {
  const script = (body: string, measure: string): Script => ({
    mails: [Buffer.alloc(0)],
    onCommand: ({ tag, name, args }, wire) => {
      if (name !== 'UID FETCH') return false;
      if (args.includes('BODY')) wire.send(`* 1 FETCH (UID 1 FLAGS () BODY[] ${body})\r\n${tag} OK done\r\n`);
      else wire.send(`${measure}${tag} ${measure === '' ? 'NO no size' : 'OK done'}\r\n`);
      return true;
    },
  });
  const cases = [script('NIL', '* 1 FETCH (UID 1 RFC822.SIZE 0)\r\n'), script('{0}\r\n', '')];
  for (const one of cases) {
    await withServer(one, async ({ port }) => {
      await withSession(optionsFor(port), async (session) => {
        const [only] = await fetchAll(session, await listAndMeasure(session));
        assert.equal(only?.kind, 'unavailable');
      });
    });
  }
});

test('a mail of no bytes at all is a mail', async () => {
  await withServer({ mails: [Buffer.alloc(0)] }, async ({ port }) => {
    assert.deepEqual(await drain(optionsFor(port)), [Buffer.alloc(0)]);
  });
});

test('a mail that is gone, or drops, while it streams ends the stream in an error, never short', async () => {
  const large = Buffer.alloc(9 * 1024 * 1024, 'y');
  const faults: readonly ((tag: string, wire: Wire) => void)[] = [
    (tag, wire) => wire.send(`${tag} OK done\r\n`),
    (tag, wire) => wire.send(`${tag} NO [EXPUNGEISSUED] gone\r\n`),
    (_tag, wire) => wire.send('* 1 FETCH (UID 1 BODY[]<1048576> {1048576}\r\nyyyy'),
    (_tag, wire) => wire.reset(),
  ];
  for (const fault of faults) {
    const script: Script = {
      mails: [large],
      onCommand: ({ tag, args }, wire) => {
        if (!args.includes('<1048576.')) return false;
        fault(tag, wire);
        return true;
      },
    };
    await withServer(script, async ({ port }) => {
      const timeouts = { connectMs: 5_000, openMs: 300, commandMs: 300 };
      await withSession(optionsFor(port, { timeouts }), async (session) => {
        await failureOf(fetchAll(session, await listAndMeasure(session)));
      });
    });
  }
});

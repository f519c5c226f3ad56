import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FailureReason } from '../../../shared/failure/failure.ts';
import { openImapMailbox } from '../../../shared/mailbox/imap/imapMailbox.ts';
import { until } from '../../reliability/mails.ts';
import {
  assertFails,
  assertRefused,
  drain,
  drained,
  failureOf,
  fetchAll,
  listAndMeasure,
  withSession,
} from './drain.ts';
import {
  type Answer,
  aMail,
  faultAt,
  fetchRow,
  optionsFor,
  smallMails,
  stepOf,
  timeoutsOf,
  type Wire,
  withServer,
} from './scriptedImapServer.ts';

const steps: readonly { step: string; half: string }[] = [
  { step: 'LOGIN', half: '* CAPABILITY IMAP4rev1\r\n' },
  { step: 'SELECT', half: '* 1 EXISTS\r\n* OK [UIDVALID' },
  { step: 'UID SEARCH', half: '* SEARCH 1' },
  { step: 'MEASURE', half: '* 1 FETCH (UID 1 ' },
  { step: 'FETCH', half: `* 1 FETCH (UID 1 FLAGS () BODY[] {${aMail.length}}\r\nSubject: a` },
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
          const timeouts = timeoutsOf(fault === 'silence' ? 150 : 5_000);
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
            if (step === 'LOGIN' && fault !== 'BYE') assert.match(failure.message, /the login/);
          }
          assert.ok(performance.now() - startedAt < 2_000, `${performance.now() - startedAt} ms`);
        });
      });
    }
  }
}

test('a connection that drops in a fetch is made again, and every mail comes once', async () => {
  const mails = smallMails(5);
  const FETCH: Answer = ({ args }, wire) => {
    if (/^[34]/.test(args)) return undefined;
    for (const uid of [1, 2]) wire.send(fetchRow(uid, args, mails[uid - 1]));
    wire.send('* 3 FETCH (UID 3 FLAGS () BODY[] {20}\r\nSub');
    wire.end();
    return '';
  };
  await withServer({ mails, answers: { FETCH } }, async (server) => {
    assert.deepEqual(await drain(optionsFor(server.port)), mails);
    assert.equal(server.connections, 2);
    const fetches = server.commands
      .filter((one) => stepOf(one) === 'FETCH')
      .map(({ args }) => args.split(' ')[0]);
    assert.deepEqual(fetches, ['1:5', '3', '4:5']);
  });
});

test('a server that drops for ever is a failure', async () => {
  const script = faultAt('FETCH', (wire) => wire.reset());
  await withServer({ ...script, mails: smallMails(40) }, async (server) => {
    await assertFails(drain(optionsFor(server.port)), 'connection-lost', /was lost/);
    assert.equal(server.connections, 21);
  });
});

test('a folder that was made anew during a drop ends the session, whose UIDs mean other mails, and leaves no connection open', async () => {
  const { answers, ...script } = faultAt('FETCH', (wire) => wire.end());
  const anew = '* 1 EXISTS\r\n* OK [UIDVALIDITY 8] ok\r\nTAG OK [READ-WRITE] ok\r\n';
  const SELECT: Answer = ({ earlier }) => (earlier > 0 ? anew : undefined);
  await withServer({ ...script, answers: { ...answers, SELECT } }, async ({ port, commands }) => {
    await assertFails(drain(optionsFor(port)), 'connection-lost', /was lost/);
    const isEnded = () => commands.some(({ name }) => name === 'LOGOUT');
    await until('the second connection is ended', isEnded, 5_000);
  });
});

const greetings: readonly (readonly [string | false, FailureReason, RegExp])[] = [
  [false, 'timeout', /no greeting within 200 ms/],
  ['* OK hel', 'timeout', /greeting/],
  // An alert of TLS.
  ['\x15\x03\x01\x00\x02\x02\x0a', 'timeout', /set useSsl to true/],
  ['* BYE Too many connections\r\n', 'busy', /Too many connections/],
];
for (const [greeting, reason, sentence] of greetings) {
  test(`a server that greets with ${JSON.stringify(greeting)} fails in time`, async () => {
    await assertRefused({ greeting }, reason, sentence, { timeouts: timeoutsOf(200) });
  });
}

test('the deadline spans the whole connect: each step in time, all of them not', async () => {
  const startedAt = performance.now();
  const slow = { greeting: '* OK hi\r\n', lateMs: () => 120 };
  await assertRefused(slow, 'timeout', /within 200 ms/, { timeouts: timeoutsOf(5_000, 200) });
  assert.ok(performance.now() - startedAt < 1_000);
});

for (const cut of ['end', 'reset'] as const) {
  test(`connections cut off by ${cut} after any byte end cleanly and give no mail cut short`, async () => {
    const mails = [aMail, Buffer.from('Subject: b\r\n\r\n')];
    let failures = 0;
    let settled = 0;
    for (let cutAfterBytes = 1; cutAfterBytes < 1_000; cutAfterBytes += cut === 'end' ? 7 : 13) {
      await withServer({ mails, cutAfterBytes, cut }, async ({ port }) => {
        const polling = withSession(optionsFor(port, { deleteMails: true }), async (session) => {
          const measured = await listAndMeasure(session);
          const fetched = await fetchAll(session, measured);
          assert.equal(fetched.length, 2);
          for (const one of fetched) {
            assert.notEqual(one.kind, 'gone', 'a mail that is there is not called gone');
            if (one.kind === 'mail') assert.deepEqual(one.source, mails[one.mail.id - 1]);
          }
          await session.settle(measured);
          settled += 1;
        });
        await polling.catch(async () => {
          await failureOf(polling);
          failures += 1;
        });
      });
    }
    assert.ok(failures > 10 && settled > 5, `${failures} failures, ${settled} settled`);
  });
}

test('close ends at once while a command hangs, and twice is no harm', async () => {
  await withServer({ answers: { 'UID SEARCH': '' } }, async ({ port }) => {
    const session = await openImapMailbox(optionsFor(port));
    const listing = failureOf(session.list(10));
    const startedAt = performance.now();
    assert.equal(await session.close(), true);
    assert.equal(await session.close(), true);
    assert.ok(performance.now() - startedAt < 500);
    assert.equal((await listing).reason, 'connection-lost');
    await failureOf(session.list(10));
  });
});

for (const LOGOUT of ['', '* ?? {\r\n', '+ go on\r\n']) {
  test(`a server that answers LOGOUT with ${JSON.stringify(LOGOUT)} does not hold close`, async () => {
    await withServer({ answers: { LOGOUT } }, async ({ port }) => {
      const session = await openImapMailbox(optionsFor(port));
      const startedAt = performance.now();
      assert.equal(await session.close(), true);
      assert.ok(performance.now() - startedAt < 500);
    });
  });
}

for (const [step, half] of [
  ['UID SEARCH', '* SEARCH '],
  ['FETCH', '* 1 FETCH (UID 1 BODY[] {500000}\r\n'],
] as const) {
  test(`a trickle that never becomes an answer to ${step} is a timeout`, async () => {
    const trickle = (wire: Wire): void => {
      const timer = setInterval(() => wire.send('x'), 10);
      setTimeout(() => clearInterval(timer), 2_000).unref();
    };
    const script = { ...faultAt(step, trickle, half), options: { timeouts: timeoutsOf(200, 5_000) } };
    await assertFails(drained(script), 'timeout', /nothing came within 200 ms/);
  });
}

test('a connection that is made anew while the session is closed is not left open', async () => {
  const { answers, ...script } = faultAt('FETCH', (wire) => wire.end());
  const closed = Promise.withResolvers<void>();
  const SELECT: Answer = async ({ earlier }) => {
    if (earlier > 0) await closed.promise;
    return undefined;
  };
  await withServer({ ...script, answers: { ...answers, SELECT } }, async ({ port, commands }) => {
    const count = (command: string) => commands.filter(({ name }) => name === command).length;
    const session = await openImapMailbox(optionsFor(port));
    const fetching = failureOf(fetchAll(session, await listAndMeasure(session)));
    await until('it connects anew', () => count('SELECT') === 2, 5_000);
    await session.close();
    closed.resolve();
    await fetching;
    await until('that connection is ended', () => count('LOGOUT') === 1, 5_000);
  });
});

test('a connection on which the folder turns out not to be polled as configured is ended', async () => {
  const SELECT = '* 1 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\nTAG OK [READ-ONLY] selected\r\n';
  await withServer({ answers: { SELECT } }, async ({ port, commands }) => {
    await assertFails(openImapMailbox(optionsFor(port)), 'folder', /read-only/);
    await until('it is ended', () => commands.some(({ name }) => name === 'LOGOUT'), 5_000);
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../../reliability/mails.ts';
import {
  assertFails,
  drain,
  drained,
  failureOf,
  fetchAll,
  fetched,
  listAndMeasure,
  onServer,
  sourcesOf,
} from './drain.ts';
import { type Answer, faultAt, optionsFor, stepOf, timeoutsOf, withServer } from './scriptedImapServer.ts';

test('a refused STORE fails, in the words of the server', async () => {
  const answers = { 'UID STORE': 'TAG NO [NOPERM] Not yours\r\n' };
  const polling = drained({ answers });
  await assertFails(polling, 'protocol', /refused flagging mails: NO \[NOPERM\] Not yours\./);
});

test('tens of thousands of sparse UIDs are settled in command lines that any server takes', async () => {
  await onServer({}, async (session, { commands }) => {
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

test('deleting asks for no row for each mail', async () => {
  await onServer({ options: { deleteMails: true } }, async (session, { commands }) => {
    await session.settle([{ id: 1, key: '1' }]);
    const stores = commands.filter(({ name }) => name === 'UID STORE').map(({ args }) => args);
    assert.deepEqual(stores, ['1 +FLAGS.SILENT (\\Deleted \\Seen)']);
  });
});

test('what a server keeps though it was told to expunge it, and unflags, is no candidate any more', async () => {
  let unread = '1 2';
  const answers: Record<string, Answer> = {
    'UID SEARCH': () => `* SEARCH ${unread}\r\nTAG OK done\r\n`,
    'UID STORE': ({ args }) => {
      if (args.includes('\\Seen')) unread = '';
      return undefined;
    },
  };
  await withServer({ answers }, async ({ port, commands }) => {
    const options = optionsFor(port, { deleteMails: true });
    assert.equal((await drain(options)).length, 2);
    assert.deepEqual(await drain(options), []);
    assert.equal(commands.filter(({ name }) => name === 'UID EXPUNGE').length, 1);
  });
});

test('what failed once fails again with the same sentence, on the same session', async () => {
  const script = faultAt('UID SEARCH', (wire) => wire.reset());
  await onServer(script, async (session) => {
    const first = await failureOf(session.list(1));
    assert.equal(await failureOf(session.list(1)), first);
    assert.equal(await failureOf(session.settle([{ key: 'k', id: 1 }])), first);
  });
});

test('a command starts its deadline only when its turn has come', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  await onServer({ options: { timeouts: timeoutsOf(100, 5_000) } }, async (session) => {
    const mails = await listAndMeasure(session);
    let settled: Promise<unknown> | undefined;
    let seen = 0;
    for await (const one of fetched(session, mails)) {
      settled ??= session.settle([one.mail]);
      seen += 1;
      // By now the settle waits for its turn.
      await new Promise(setImmediate);
      t.mock.timers.tick(150);
    }
    assert.equal(seen, 2);
    await settled;
  });
});

test('an IPv6 address stands in brackets in the endpoint, so that it is a URL', async () => {
  // Reaches a server that listens on 127.0.0.1.
  const options = { host: '::ffff:127.0.0.1' };
  await onServer({ options }, async ({ endpoint }, { port }) => {
    assert.equal(endpoint, `imap://[::ffff:127.0.0.1]:${port}/INBOX`);
    assert.ok(URL.canParse(endpoint));
  });
});

test('of small and large mails in turn each comes once, in order, and the server is asked no more than it takes', async () => {
  const mails = [10, 5_000, 20, 30, 5_000, 5_000, 40].map((size, index) => Buffer.alloc(size, `${index}`));
  await onServer({ mails, options: { wholeBytes: 1_000 } }, async (session, { commands }) => {
    const answers = await fetchAll(session, await listAndMeasure(session));
    assert.deepEqual(sourcesOf(answers), mails);
    assert.deepEqual(
      answers.map((one) => one.kind === 'mail' && one.isWhole),
      mails.map(({ length }) => length <= 1_000),
    );
    // The measure, three groups of small ones, and a piece of each large one.
    const fetches = commands.filter(({ name }) => name === 'UID FETCH').map(stepOf);
    assert.equal(fetches.filter((step) => step === 'MEASURE').length, 1);
    assert.equal(fetches.length, 7);
  });
});

test('rows in answer to a STORE, which asked for none, hold nothing up after a fetch', async () => {
  const row = '* 1 FETCH (UID 1 FLAGS (\\Seen $Forwarded $MDNSent NonJunk Junk Archive Later))\r\n';
  const answers = { 'UID STORE': `${row.repeat(4_000)}TAG OK done\r\n` };
  assert.equal((await drained({ answers })).length, 2);
});

for (const [what, line] of [
  ['does not say which flags it keeps', ''],
  ['keeps any flag', '* OK [PERMANENTFLAGS (\\*)] ok\r\n'],
] as const) {
  test(`a server that ${what} is polled`, async () => {
    const SELECT = `* 2 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n${line}TAG OK [READ-WRITE] selected\r\n`;
    assert.equal((await drained({ answers: { SELECT } })).length, 2);
  });
}

test('a settle that is under way when the session is closed comes to its end', async () => {
  const closing = Promise.withResolvers<void>();
  const STORE: Answer = async () => {
    await closing.promise;
    return undefined;
  };
  const script = { answers: { 'UID STORE': STORE }, options: { deleteMails: true } };
  await onServer(script, async (session, { commands }) => {
    const settling = session.settle(await session.list(9));
    const closed = session.close();
    closing.resolve();
    assert.deepEqual(await settling, []);
    await closed;
    await until('the session is ended', () => commands.at(-1)?.name === 'LOGOUT', 5_000);
    assert.deepEqual(
      commands.slice(-3).map(({ name }) => name),
      ['UID STORE', 'UID EXPUNGE', 'LOGOUT'],
    );
  });
});

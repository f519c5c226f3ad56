import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Failure } from '../../../shared/failure/failure.ts';
import type { FetchAnswer, MailMemory } from '../../../shared/mailbox/mailbox.ts';
import { bytesOf, CountedMemory, fetchAll } from '../memory.ts';
import { assertRefused, drained, failureOf, kindsOf, listAndMeasure, onServer, sourcesOf } from './drain.ts';
import { type Answer, aMail, faultAt, fetchRow, rows, timeoutsOf } from './scriptedImapServer.ts';

const mebibyte = 1024 * 1024;

function mailsOf(count: number, sizeBytes: number): Buffer[] {
  return Array.from({ length: count }, (_, index) => Buffer.alloc(sizeBytes, `${index} `));
}

test('a mail holds its bytes from before they are read until it is released, and nothing else does', async () => {
  const mails = mailsOf(20, 10_000);
  await onServer({ mails }, async (session) => {
    const memory = new CountedMemory();
    for await (const answer of session.fetch(await listAndMeasure(session), memory)) {
      assert.ok(answer.kind === 'mail' && answer.whole?.length === 10_000);
      assert.ok(memory.heldBytes >= 10_000, `${memory.heldBytes}`);
      answer.freeBytes();
      answer.freeBytes();
      assert.equal(answer.whole, undefined);
      await failureOf(answer.open());
      answer.release();
      answer.release();
    }
    assert.equal(memory.heldBytes, 0);
    assert.equal(memory.opened, 20);
  });
});

test('a fetch that waits for memory goes on when mails that it handed over are done with', async () => {
  const memory = new CountedMemory(250_000);
  const options = { timeouts: timeoutsOf(200, 5_000) };
  await onServer({ mails: mailsOf(60, 100_000), options }, async (session) => {
    let came = 0;
    for await (const answer of session.fetch(await listAndMeasure(session), memory)) {
      assert.ok(answer.kind === 'mail');
      assert.ok(memory.heldBytes <= 250_000);
      came += 1;
      // Sent behind the back of the fetch; one of them takes longer than a server may be silent.
      setTimeout(() => answer.release(), came === 3 ? 500 : 2);
    }
    assert.equal(came, 60);
  });
});

test('what was read ahead goes back when the consumer leaves, and the session goes on', async () => {
  const mails = mailsOf(200, 20_000);
  await onServer({ mails }, async (session) => {
    const measured = await listAndMeasure(session);
    const memory = new CountedMemory(100_000);
    for await (const answer of session.fetch(measured, memory)) {
      if (answer.mail.id < 3) continue;
      if (answer.kind === 'mail') answer.release();
      break;
    }
    assert.equal(memory.heldBytes, 40_000, 'two mails were never released');
    await session.settle(measured.slice(0, 1));
    assert.equal(memory.heldBytes, 40_000, 'what is read away takes none');
  });
});

test('what was read goes back when the fetch fails', async () => {
  const mails = mailsOf(6, 20_000);
  const FETCH: Answer = ({ args }) =>
    `${[1, 2, 3].map((uid) => fetchRow(uid, args, mails[uid - 1])).join('')}* 4 FETCH (UID 4 FLAGS () BODY[] {20000}\r\nhalf`;
  const options = { timeouts: timeoutsOf(100, 5_000) };
  await onServer({ mails, answers: { FETCH }, options }, async (session) => {
    const memory = new CountedMemory();
    await failureOf(fetchAll(session, await listAndMeasure(session), memory));
    assert.equal(memory.heldBytes, 0);
  });
});

test('rows that nobody asked for, and mails that are no candidates any more, are no mails and hold nothing', async () => {
  const FETCH: Answer = ({ args }) =>
    [
      '* 3 EXISTS\r\n* 0 RECENT\r\n* 2 FETCH (FLAGS ())\r\n* 2 FETCH (UID 2 FLAGS ())\r\n',
      fetchRow(9, args, Buffer.alloc(5_000, 'x')),
      fetchRow(1, args, aMail, '\\Seen'),
      fetchRow(2, args, aMail),
      fetchRow(2, args, Buffer.from('once more')),
      'TAG OK done\r\n',
    ].join('');
  await onServer({ mails: [aMail, aMail], answers: { FETCH } }, async (session) => {
    const memory = new CountedMemory();
    const fetched = await fetchAll(session, await listAndMeasure(session), memory);
    assert.deepEqual(kindsOf(fetched), ['1 gone', '2 mail']);
    assert.deepEqual(sourcesOf(fetched), [aMail]);
    assert.equal(memory.heldBytes, 0);
  });
});

test('a mail that is far larger than the server said is streamed, in bounded memory', async () => {
  const mails = [aMail, Buffer.alloc(31 * mebibyte, 'large '), aMail];
  const MEASURE = rows((uid) => `* ${uid} FETCH (UID ${uid} RFC822.SIZE 1000)\r\n`);
  await onServer({ mails, answers: { MEASURE }, options: { streamBytes: 3 * mebibyte } }, async (session) => {
    const memory = new CountedMemory();
    const fetched = await fetchAll(session, await listAndMeasure(session), memory);
    const ids = fetched.map(({ mail }) => mail.id);
    assert.deepEqual(ids, [1, 3, 2]);
    const sources = sourcesOf(fetched);
    assert.ok(ids.every((id, index) => sources[index]?.equals(mails[id - 1] ?? aMail)));
    assert.ok(memory.mostBytes <= 3 * mebibyte, `${memory.mostBytes}`);
    assert.equal(memory.heldBytes, 0);
  });
});

test('a stream can be opened again from its first byte, until the next mail is asked for', async () => {
  const mails = [Buffer.alloc(5 * mebibyte, 'first '), Buffer.alloc(3 * mebibyte, 'second ')];
  await onServer({ mails }, async (session) => {
    let before: (() => Promise<unknown>) | undefined;
    for await (const answer of session.fetch(await listAndMeasure(session), new CountedMemory())) {
      assert.ok(answer.kind === 'mail' && answer.whole === undefined);
      for await (const _ of await answer.open()) break;
      assert.ok((await bytesOf(await answer.open())).equals(mails[answer.mail.id - 1] ?? aMail));
      assert.ok((await bytesOf(await answer.open())).equals(mails[answer.mail.id - 1] ?? aMail));
      if (before !== undefined) assert.equal((await failureOf(before())).reason, 'internal');
      before = () => answer.open();
    }
  });
});

test('memory that is refused, since the run is to end, ends the fetch with that failure', async () => {
  const memory: MailMemory = {
    hold: () => ({ grow: () => Promise.reject(new Failure('storage', 'The run has to end.')), release() {} }),
  };
  await onServer({}, async (session) => {
    const failure = await failureOf(fetchAll(session, await listAndMeasure(session), memory));
    assert.equal(failure.message, 'The run has to end.');
  });
});

for (const step of ['LOGIN', 'SELECT', 'UID SEARCH', 'MEASURE', 'FETCH', 'UID STORE']) {
  test(`a signal ends what hangs at ${step}, soon and with its reason`, async () => {
    const abort = new AbortController();
    const end = () => setTimeout(() => abort.abort(new Failure('timeout', 'The time is up.')), 20);
    const startedAt = performance.now();
    const polling = drained({ ...faultAt(step, end), options: { signal: abort.signal } });
    assert.equal((await failureOf(polling)).message, 'The time is up.');
    assert.ok(performance.now() - startedAt < 2_000);
  });
}

test('a signal that has fired before opens nothing', async () => {
  await assertRefused(
    {},
    'timeout',
    /^The run had to end, so its session with IMAP server 127\.0\.0\.1:\d+ was dropped\.$/,
    { signal: AbortSignal.abort() },
  );
});

for (const [flag, wholeBytes] of [
  ['\\Seen', 1_000],
  ['\\Deleted', 1_000],
  ['\\Deleted', 0],
] as const) {
  const how = wholeBytes === 0 ? 'streamed' : 'whole';
  test(`mails that came (${how}) and are not handed over, since they are ${flag} now, hold no memory`, async () => {
    const mails = Array.from({ length: 50 }, () => Buffer.alloc(1_000, 'x'));
    const FETCH = rows((uid, { args }) => fetchRow(uid, args, mails[uid - 1], uid === 1 ? '' : flag));
    await onServer({ mails, answers: { FETCH }, options: { wholeBytes } }, async (session) => {
      const memory = new CountedMemory(3_000);
      const answers = await fetchAll(session, await listAndMeasure(session), memory);
      const kinds = answers.map(({ kind }) => kind);
      assert.deepEqual(kinds, ['mail', ...Array.from({ length: 49 }, () => 'gone')]);
      assert.equal(memory.heldBytes, 0);
    });
  });
}

for (const wholeBytes of [1_000_000, 0]) {
  const how = wholeBytes === 0 ? 'streamed' : 'whole';
  test(`a mail that is not done with as the fetch ends goes on holding its memory (${how})`, async () => {
    await onServer({ mails: mailsOf(2, 10_000), options: { wholeBytes } }, async (session) => {
      const memory = new CountedMemory();
      const answers: FetchAnswer[] = [];
      for await (const one of session.fetch(await listAndMeasure(session), memory)) answers.push(one);
      assert.ok(memory.heldBytes >= 20_000, `${memory.heldBytes}`);
      for (const answer of answers) if (answer.kind === 'mail') answer.release();
      assert.equal(memory.heldBytes, 0);
    });
  });
}

test('what a server sends twice holds no memory the second time', async () => {
  const mails = mailsOf(2_000, 1_000);
  const FETCH = rows((uid, { args }) => fetchRow(uid, args, mails[uid - 1]).repeat(2));
  await onServer({ mails, answers: { FETCH } }, async (session) => {
    const memory = new CountedMemory();
    const answers = await fetchAll(session, await listAndMeasure(session), memory);
    assert.deepEqual(sourcesOf(answers), mails);
    assert.ok(memory.mostBytes < mebibyte, `${memory.mostBytes}`);
  });
});

const unread = Buffer.alloc(1_000);
for (const [what, row] of [
  ['a server sends unasked', fetchRow(99, 'BODY.PEEK[]', unread)],
  ['come in a form that nobody can read', fetchRow(1, 'BODY.PEEK[]', unread).replace(/\)\r\n$/, ' "\r\n')],
] as const) {
  test(`mails that ${what} hold no memory`, async () => {
    const FETCH: Answer = ({ args }) => `${row.repeat(50)}${fetchRow(1, args, aMail)}TAG OK done\r\n`;
    await onServer({ mails: [aMail, aMail], answers: { FETCH } }, async (session) => {
      const answers = await fetchAll(session, await listAndMeasure(session), new CountedMemory(3_000));
      assert.deepEqual(kindsOf(answers), ['1 mail', '2 unavailable']);
    });
  });
}

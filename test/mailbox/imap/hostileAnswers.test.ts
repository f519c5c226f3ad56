import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FailureReason } from '../../../shared/failure/failure.ts';
import { type ConnectionState, describeLoginRefusal } from '../../../shared/mailbox/imap/imapFailure.ts';
import { assertFails, drained, failureOf } from './drain.ts';
import { type Answer, aMail, faultAt, fetchRow, rows, timeoutsOf } from './scriptedImapServer.ts';

const nonsense: Record<string, readonly [step: string, answer: string, ...FailureReason[]]> = {
  'a literal larger than anything': ['FETCH', '* 1 FETCH (UID 1 BODY[] {99999999999}\r\n', 'protocol'],
  'a literal with a size beyond numbers': [
    'FETCH',
    `* 1 FETCH (UID 1 BODY[] {${'9'.repeat(40)}}\r\n`,
    'protocol',
  ],
  'a literal larger than the mail may be': [
    'FETCH',
    `* 1 FETCH (UID 1 BODY[] {${80 * 1024 * 1024}}\r\n${'x'.repeat(5 * 1024 * 1024)}`,
    'protocol',
  ],
  'a literal shorter than it says': [
    'FETCH',
    '* 1 FETCH (UID 1 FLAGS () BODY[] {500}\r\nshort)\r\nX OK\r\n',
    'timeout',
  ],
  'a tagged answer that is no status': ['UID SEARCH', 'TAG MAYBE perhaps\r\n', 'protocol'],
  'an untagged NO to the command': ['UID SEARCH', 'BAD "no"\r\n', 'protocol'],
  'a tagged answer that can not be read': ['FETCH', 'TAG OK [X "open\r\n', 'protocol'],
  'very many small tokens': ['UID SEARCH', `* LIST ${'a '.repeat(150_000)}\r\nTAG OK\r\n`, 'protocol'],
  'NUL bytes': ['UID SEARCH', '\0\0\0* SEARCH 1\0\r\n\0\r\n', 'timeout', 'protocol'],
  'a search for numbers that are none': [
    'UID SEARCH',
    '* SEARCH NaN 0 -1 1e9 99999999999999999999 {\r\nTAG OK\r\n',
    'protocol',
  ],
  'brackets without end': ['MEASURE', `* 1 FETCH ${'('.repeat(50_000)}\r\nTAG OK\r\n`],
};

test('a refusal of very many full stops is told in time in proportion to it', () => {
  const state: ConnectionState = {
    protocol: 'IMAP',
    host: 'a.example',
    port: 993,
    security: 'tls',
    phase: 'login',
    username: 'x',
    authentication: 'password',
    secrets: [],
    socketError: undefined,
    startTlsOffered: false,
    byeReason: undefined,
    alert: undefined,
  };
  const startedAt = process.cpuUsage();
  describeLoginRefusal({ status: 'NO', text: `${'.'.repeat(100_000)}x` }, state);
  assert.ok(process.cpuUsage(startedAt).user < 1_000_000);
});

for (const [name, [step, answer, ...reasons]] of Object.entries(nonsense)) {
  test(`hostile answer: ${name}`, async () => {
    const options = { timeouts: timeoutsOf(250, 5_000) };
    const polling = drained({ mails: [aMail], answers: { [step]: answer }, options });
    if (reasons.length === 0) return void (await polling);
    const failure = await failureOf(polling);
    assert.ok(reasons.includes(failure.reason), `${failure.reason}: ${failure.message}`);
  });
}

test('hostile answer: a line without end is cut off in bounded memory', async () => {
  const script = faultAt('UID SEARCH', (wire) => {
    const chunk = Buffer.alloc(4 * 1024 * 1024, 'A');
    wire.send('* SEARCH ');
    for (let sent = 0; sent < 10; sent += 1) wire.send(chunk);
  });
  await assertFails(drained(script), 'protocol', /goes on sending what nobody asked for/);
});

test('rows that come behind a literal of another response are read all the same', async () => {
  const mails = [aMail, Buffer.concat([aMail, Buffer.alloc(300_000, 'x')]), aMail];
  const usual = rows((uid, { args }) => fetchRow(uid, args, mails[uid - 1]));
  const answer: Answer = (command) => `* LIST () "/" {5}\r\nINBOX\r\n${usual(command)}`;
  assert.ok(
    Buffer.concat(await drained({ mails, answers: { MEASURE: answer, FETCH: answer } })).equals(
      Buffer.concat(mails),
    ),
  );
});

const floods: readonly (readonly [string, string])[] = [
  ['FETCH', '* 9 FETCH (UID 9'],
  // The one mail that was asked for, without its size, and one that could be it.
  ['MEASURE', '* 1 FETCH (UID 1'],
  ['MEASURE', '* 9 FETCH (FLAGS ()'],
];
for (const [step, row] of floods) {
  test(`hostile answer: rows "${row}" without end, in answer to ${step}, are a flood`, async () => {
    const script = faultAt(step, (wire) => {
      const chunk = Buffer.from(`${row} X "${'x'.repeat(3_000)}")\r\n`.repeat(350));
      for (let sent = 0; sent < 40; sent += 1) wire.send(chunk);
    });
    const polling = drained({ ...script, options: { timeouts: timeoutsOf(2_000) } });
    await assertFails(polling, 'protocol', /outside the IMAP protocol \(ResponseTooLarge\)/);
  });
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FailureReason } from '../../../shared/failure/failure.ts';
import { assertFails, drain, failureOf } from './drain.ts';
import {
  aMail,
  faultAt,
  fetchRow,
  optionsFor,
  type Script,
  stepOf,
  withServer,
} from './scriptedImapServer.ts';

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
      mails: [aMail],
      onCommand: (command, wire) => {
        if (stepOf(command) !== step) return false;
        wire.send(bytes.replaceAll('TAG', command.tag));
        return true;
      },
    };
    await withServer(script, async ({ port }) => {
      const timeouts = { connectMs: 5_000, openMs: 250, commandMs: 250 };
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
    mails: [aMail],
    onCommand: ({ tag, name, args }, wire) => {
      if (name !== 'UID FETCH' || !args.includes('BODY')) return false;
      wire.send('* 3 EXISTS\r\n* 0 RECENT\r\n* 1 FETCH (FLAGS ())\r\n* 1 FETCH (UID 1 FLAGS ())\r\n');
      wire.send(fetchRow(9, args, Buffer.from('not asked for')));
      wire.send(fetchRow(1, args, aMail));
      wire.send(fetchRow(1, args, Buffer.from('once more')));
      wire.send(`${tag} OK done\r\n`);
      return true;
    },
  };
  await withServer(script, async ({ port }) => {
    assert.deepEqual(await drain(optionsFor(port)), [aMail]);
  });
});

test('rows that come behind a literal of another response are read all the same', async () => {
  const large = Buffer.concat([aMail, Buffer.alloc(300_000, 'x')]);
  const script: Script = {
    mails: [aMail, large, aMail],
    onCommand: ({ tag, name, args }, wire) => {
      if (name !== 'UID FETCH') return false;
      const rows = [aMail, large, aMail].map((mail, index) => fetchRow(index + 1, args, mail));
      const other = Buffer.from('* LIST () "/" {5}\r\nINBOX\r\n');
      wire.send(Buffer.concat([other, ...rows, Buffer.from(`${tag} OK done\r\n`)]));
      return true;
    },
  };
  await withServer(script, async ({ port }) => {
    assert.deepEqual(await drain(optionsFor(port)), [aMail, large, aMail]);
  });
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
    await withServer(script, async ({ port }) => {
      const timeouts = { connectMs: 5_000, openMs: 5_000, commandMs: 2_000 };
      const polling = drain(optionsFor(port, { timeouts }));
      await assertFails(polling, 'protocol', /outside the IMAP protocol \(ResponseTooLarge\)/);
    });
  });
}

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type ReliabilityBed, startReliabilityBed } from './bed.ts';
import { arrived, eachOnce, messagesOf, twoPartMails, until } from './mails.ts';

let bed: ReliabilityBed;
before(async () => {
  bed = await startReliabilityBed({ users: ['risky'] });
});
after(() => bed.stop());

/** Its text is so large that it is counted before it is looked into, which takes a while. */
function largeText(): Buffer {
  const line = `${'&amp;<p>&lt;x&gt;</p>'.repeat(4)}\r\n`;
  return Buffer.from(
    `From: a@example.com\r\nSubject: bad\r\nContent-Type: text/html; charset=iso-2022-jp\r\n\r\n${line.repeat(180_000)}`,
  );
}

test('a mail with which the process goes down twice goes whole, and what lies behind it arrives', async () => {
  await bed.addMailbox('risky', 'IMAP', [largeText(), ...twoPartMails('risky', 3)]);
  for (const deaths of [1, 2]) {
    const dying = await bed.startChild();
    try {
      await bed.order('risky');
      void dying.drainQueue().catch(() => undefined);
      const counted = new RegExp(`:${deaths}}`);
      await until('the mail is counted', async () =>
        counted.test(String((await bed.state('risky')).riskyMails)),
      );
    } finally {
      await dying.kill();
    }
    await bed.letDie('risky');
  }
  const child = await bed.startChild();
  try {
    await bed.order('risky');
    await child.drainQueue();
    assert.ok(child.logs.some(({ message }) => /2 runs ended with their process/.test(message)));
  } finally {
    await child.kill();
  }
  const state = await bed.state('risky');
  assert.equal(state.lastStatus, 'ok', String(state.lastError));
  assert.equal(state.riskyMails ?? '', '');
  const bad = messagesOf(bed, 'risky').filter(
    ({ applicationProperties }) => applicationProperties?.emailSubject === 'bad',
  );
  assert.deepEqual(
    bad.map(({ subject }) => subject),
    ['raw'],
  );
  assert.deepEqual(
    arrived(bed, 'risky').filter((line) => !line.startsWith('bad')),
    eachOnce('risky', 3),
  );
});

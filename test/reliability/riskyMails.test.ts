import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { HostProcess } from '../testbed/host/hostProcess.ts';
import { type ReliabilityBed, startReliabilityBed } from './bed.ts';
import { arrived, eachOnce, messagesOf, twoPartMails, until } from './mails.ts';

let bed: ReliabilityBed;
before(async () => {
  bed = await startReliabilityBed({ users: ['large-text', 'many-groups'] });
});
after(() => bed.stop());

/** The app goes about its work in 36; each of these mails needs more than 44. */
const inSmallHeap = (use: (child: HostProcess) => Promise<void>) =>
  bed.withChild(use, {}, ['--max-old-space-size=40']);

const head = 'From: a@example.com\r\nSubject: bad\r\nMIME-Version: 1.0\r\n';

/** The ids in its HTML are looked for in a picture behind it, and each keeps the text alive around it. */
function largeText(): Buffer {
  const filler = `${'y'.repeat(76)}\r\n`.repeat(20);
  const lines = Array.from(
    { length: 9_500 },
    (_, index) => `<img src="cid:picture-${index}@example.com"> \xb4\r\n${filler}`,
  );
  return Buffer.from(
    [
      `${head}Content-Type: multipart/related; boundary=b\r\n`,
      `--b\r\nContent-Type: text/html; charset=iso-8859-5\r\n\r\n${lines.join('')}`,
      '--b\r\nContent-Type: image/png\r\nContent-Id: <another@example.com>\r\n\r\npicture',
      '--b--\r\n',
    ].join('\r\n'),
    'latin1',
  );
}

/** Damaged, so that mailparser reads it too, which makes objects of all of its recipients. */
function manyGroups(): Buffer {
  const text = `Content-Type: text/plain; charset=utf-8\r\n\r\n\xfc\r\n`;
  return Buffer.from(`${head}To: ${'g:a@b.de;,'.repeat(26_000)}x@y.de\r\n${text}`, 'latin1');
}

for (const [name, bad] of [
  ['large-text', largeText],
  ['many-groups', manyGroups],
] as const) {
  test(`${name}: a mail that takes more memory than there is goes whole at the third time, and what lies behind it arrives`, async () => {
    await bed.addMailbox(name, 'IMAP', [bad(), ...twoPartMails(name, 3)]);
    for (const deaths of [1, 2]) {
      await bed.order(name);
      await inSmallHeap(async (dying) => {
        await assert.rejects(dying.drainQueue(), /The host process has ended/);
        await until('it says of what it died', () => /JavaScript heap out of memory/.test(dying.output()));
      });
      assert.match(String((await bed.state(name)).riskyMails), new RegExp(`:${deaths}}`));
      await bed.letDie(name);
    }
    await bed.order(name);
    await inSmallHeap(async (child) => {
      await child.drainQueue();
      assert.ok(child.logs.some(({ message }) => /2 runs ended with their process/.test(message)));
    });
    const state = await bed.state(name);
    assert.equal(state.lastStatus, 'ok', String(state.lastError));
    assert.equal(state.riskyMails ?? '', '');
    assert.deepEqual(
      messagesOf(bed, name, 'bad').map(({ subject }) => subject),
      ['raw'],
    );
    assert.deepEqual(
      arrived(bed, name).filter((line) => !line.startsWith('bad')),
      eachOnce(name, 3),
    );
  });
}

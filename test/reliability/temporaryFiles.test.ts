import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { noFaults } from '../testbed/broker/faults.ts';
import { type ReliabilityBed, startReliabilityBed } from './bed.ts';
import { arrived, attached, eachOnce, messagesOf, mixedMail, twoPartMails, until } from './mails.ts';

let bed: ReliabilityBed;
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'temporary-files-'));
  bed = await startReliabilityBed({ users: ['full-disk', 'crashed'] });
});
afterEach(() => Object.assign(bed.broker.faults, noFaults()));
after(async () => {
  await bed.stop();
  await rm(folder, { recursive: true });
});

const attachments = 26;
const attachmentBytes = 700_000;

/** A mail of many attachments that would each fit a message, and together more than memory may hold of it. */
function manyAttachments(subject: string): Buffer {
  const bytes = Buffer.alloc(attachmentBytes, 'x');
  const parts = Array.from({ length: attachments }, (_, index) =>
    attached('application/octet-stream', `${index}.bin`, bytes),
  );
  return mixedMail(`From: a@example.com\r\nSubject: ${subject}`, parts);
}

const filesIn = (path: string) =>
  existsSync(path)
    ? readdirSync(path, { recursive: true, withFileTypes: true }).filter((one) => one.isFile())
    : [];

test('no temporary file can be written: the mail arrives by claim check, and so do those behind it', async () => {
  // A file is no folder: whoever the app runs as, nothing can be made below it.
  const temporary = join(folder, 'no-folder');
  await writeFile(temporary, '');
  await bed.addMailbox('full-disk', 'IMAP', [manyAttachments('many'), ...twoPartMails('full-disk', 3)]);
  await bed.order('full-disk');
  await bed.withChild((child) => child.drainQueue(), { TMPDIR: temporary });
  const state = await bed.state('full-disk');
  assert.equal(state.lastError, '');
  const many = messagesOf(bed, 'full-disk', 'many');
  assert.equal(many.length, attachments);
  const checked = many.filter(({ applicationProperties }) => applicationProperties?.claimCheck !== undefined);
  assert.ok(checked.length > 0 && checked.length < attachments, `${checked.length} by claim check`);
  assert.deepEqual(
    arrived(bed, 'full-disk').filter((line) => !line.startsWith('many')),
    eachOnce('full-disk', 3),
  );
});

test('what a process that was killed has left is removed by the next one, and no file outlives its mail', async () => {
  const temporary = join(folder, 'usual');
  const ours = join(temporary, 'email-inbound-adapter');
  await bed.addMailbox('crashed', 'IMAP', [manyAttachments('many')]);
  bed.broker.faults.silentTransfers = true;
  await bed.order('crashed');
  await bed.withChild(
    async (child) => {
      void child.drainQueue().catch(() => undefined);
      await until('its parts lie in files', () => filesIn(ours).length > 0, 40_000);
    },
    { TMPDIR: temporary },
  );
  assert.ok(filesIn(ours).length > 0, 'the killed process left them');
  Object.assign(bed.broker.faults, noFaults());
  await bed.letDie('crashed');
  await bed.order('crashed');
  await bed.withChild(
    async (child) => {
      await child.drainQueue();
      assert.equal((await bed.state('crashed')).lastError, '');
      assert.deepEqual(filesIn(ours), []);
    },
    { TMPDIR: temporary },
  );
});

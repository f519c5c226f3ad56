import assert from 'node:assert/strict';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { noFaults } from '../testbed/broker/faults.ts';
import { seedMaildir } from '../testbed/seed.ts';
import {
  type AppTestbed,
  mailboxColumns,
  protocols,
  queueName,
  startAppTestbed,
  userOf,
  usersOf,
} from './testbed.ts';

const queues = [queueName, 'plain'] as const;
/** Of each protocol and queue; `other` is where a connection is pointed later. */
const mailboxes = ['repointed', 'again', 'stored', 'record', 'repointed-other', 'record-other'];

let bed: AppTestbed;
before(async () => {
  const users = queues.flatMap((queue) => usersOf(...mailboxes.map((mailbox) => `${mailbox}-${queue}`)));
  bed = await startAppTestbed({ users });
  bed.broker.createQueue({ name: 'plain' });
});
afterEach(() => void Object.assign(bed.broker.faults, noFaults()));
after(() => bed.stop());

function mailOf(text: string): Buffer {
  return Buffer.from(
    `From: a@example.com\r\nSubject: ${text}\r\nMessage-ID: <${text}@example.com>\r\n\r\n${text}\r\n`,
  );
}

/** Makes the mailbox anew, with this mail in it: UIDVALIDITY 14 as Exchange has it, and UID 1, whatever was there. */
async function remake(user: string, mail: Buffer): Promise<void> {
  const maildir = bed.dovecot.maildir(user);
  await seedMaildir(maildir, []);
  for (const file of await readdir(maildir, { recursive: true, withFileTypes: true })) {
    if (file.isFile()) await rm(join(file.parentPath, file.name));
  }
  const guid = Buffer.from(user.padEnd(16).slice(0, 16)).toString('hex');
  await writeFile(join(maildir, 'dovecot-uidlist'), `3 V14 N1 G${guid}\n`, { mode: 0o666 });
  await seedMaildir(maildir, [mail]);
}

for (const queue of queues) {
  const detection = queue === queueName ? 'with' : 'without';
  for (const protocol of protocols) {
    describe(`${protocol}, ${detection} duplicate detection`, () => {
      const userFor = (mailbox: string) => userOf(`${mailbox}-${queue}`, protocol);
      const point = (name: string, user: string) =>
        bed.addConnection(name, { ...mailboxColumns(bed.dovecot, protocol, user), queueName: queue });
      const pollsOne = async (name: string) => assert.equal((await bed.poll(name)).lastMailCount, 1);
      const assertThere = (...subjects: readonly string[]) => {
        const { messages } = bed.broker.queue(queue);
        const there = messages.map(({ applicationProperties }) => applicationProperties?.emailSubject);
        for (const subject of subjects) assert.ok(there.includes(subject), subject);
      };

      test('a connection that is pointed at another mailbox with the same numbers delivers its mail', async () => {
        const [name, other] = [userFor('repointed'), userFor('repointed-other')];
        await remake(name, mailOf(`first of ${name}`));
        await remake(other, mailOf(`first of ${other}`));
        for (const user of [name, other]) {
          await point(name, user);
          await pollsOne(name);
        }
        assertThere(`first of ${name}`, `first of ${other}`);
      });

      test('a number that is given again, to another mail, hides nothing', async () => {
        const name = userFor('again');
        await point(name, name);
        for (const round of ['one', 'two', 'three']) {
          await remake(name, mailOf(`${round} of ${name}`));
          await pollsOne(name);
          assertThere(`${round} of ${name}`);
        }
        const ids = bed.broker.queue(queue).messages.map(({ messageId }) => messageId);
        assert.equal(new Set(ids).size, ids.length);
      });

      test('a number that is given again while its first mail waits for the retry hides neither', async () => {
        const name = userFor('stored');
        await point(name, name);
        await remake(name, mailOf(`waiting of ${name}`));
        bed.broker.faults.quotaExceeded = true;
        assert.equal((await bed.poll(name)).lastStatus, 'failed');
        bed.broker.faults.quotaExceeded = false;
        await remake(name, mailOf(`later of ${name}`));
        await pollsOne(name);
        await bed.retryDeliveries();
        assertThere(`waiting of ${name}`, `later of ${name}`);
      });

      test('what is recorded of a mail does not hide another one with its number', async () => {
        const [name, other] = [userFor('record'), userFor('record-other')];
        await remake(name, mailOf(`one of ${name}`));
        await point(name, name);
        await bed.poll(name);
        // A record of the first mail, as a run leaves it that could not settle.
        await bed.setColumns(name, { cleanMailbox: '' });
        await remake(name, mailOf(`two of ${name}`));
        await pollsOne(name);
        await point(name, other);
        await remake(other, mailOf(`one of ${other}`));
        await pollsOne(name);
        assertThere(`two of ${name}`, `one of ${other}`);
      });
    });
  }
}

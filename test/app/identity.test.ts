import assert from 'node:assert/strict';
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { noFaults } from '../testbed/broker/faults.ts';
import { seedMaildir } from '../testbed/seed.ts';
import { type AppTestbed, mailboxColumns, queueName, startAppTestbed } from './testbed.ts';

const queues = [queueName, 'plain'] as const;
const protocols = ['IMAP', 'POP3'] as const;
const kinds = ['repointed', 'again', 'stored', 'record'];
const usersOf = (kind: string, protocol: string, queue: string) =>
  ['a', 'b'].map((which) => `${kind}-${protocol}-${queue}-${which}`.toLowerCase());

let bed: AppTestbed;
before(async () => {
  const users = kinds.flatMap((kind) =>
    protocols.flatMap((protocol) => queues.flatMap((queue) => usersOf(kind, protocol, queue))),
  );
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

function subjects(queue: string): string[] {
  return bed.broker
    .queue(queue)
    .messages.map(({ applicationProperties }) => String(applicationProperties?.emailSubject))
    .toSorted();
}

for (const queue of queues) {
  const detection = queue === queueName ? 'with' : 'without';
  for (const protocol of protocols) {
    describe(`${protocol}, ${detection} duplicate detection`, () => {
      const columnsOf = (user: string) => ({
        ...mailboxColumns(bed.dovecot, protocol, user),
        queueName: queue,
      });

      test('a connection that is pointed at another mailbox with the same numbers delivers its mail', async () => {
        const [a, b] = usersOf('repointed', protocol, queue);
        assert.ok(a && b);
        await remake(a, mailOf(`first of ${a}`));
        await remake(b, mailOf(`first of ${b}`));
        await bed.addConnection(`repointed-${protocol}-${queue}`, columnsOf(a));
        assert.equal((await bed.poll(`repointed-${protocol}-${queue}`)).lastMailCount, 1);
        await bed.addConnection(`repointed-${protocol}-${queue}`, columnsOf(b));
        assert.equal((await bed.poll(`repointed-${protocol}-${queue}`)).lastMailCount, 1);
        for (const user of [a, b]) assert.ok(subjects(queue).includes(`first of ${user}`), user);
      });

      test('a number that is given again, to another mail, hides nothing', async () => {
        const [user] = usersOf('again', protocol, queue);
        assert.ok(user);
        const name = `again-${protocol}-${queue}`;
        await bed.addConnection(name, columnsOf(user));
        for (const round of ['one', 'two', 'three']) {
          await remake(user, mailOf(`${round} of ${user}`));
          assert.equal((await bed.poll(name)).lastMailCount, 1);
          assert.ok(subjects(queue).includes(`${round} of ${user}`), round);
        }
        const ids = bed.broker.queue(queue).messages.map(({ messageId }) => messageId);
        assert.equal(new Set(ids).size, ids.length);
      });

      test('a number that is given again while its first mail waits for the retry hides neither', async () => {
        const [user] = usersOf('stored', protocol, queue);
        assert.ok(user);
        const name = `stored-${protocol}-${queue}`;
        await bed.addConnection(name, columnsOf(user));
        await remake(user, mailOf(`waiting of ${user}`));
        bed.broker.faults.quotaExceeded = true;
        assert.equal((await bed.poll(name)).lastStatus, 'failed');
        bed.broker.faults.quotaExceeded = false;
        await remake(user, mailOf(`later of ${user}`));
        assert.equal((await bed.poll(name)).lastMailCount, 1);
        await makeDue();
        await bed.host.fireTimer('retryDeliveries');
        for (const which of ['waiting', 'later']) {
          assert.ok(subjects(queue).includes(`${which} of ${user}`), which);
        }
      });

      test('what is recorded of a mail does not hide another one with its number', async () => {
        const [a, b] = usersOf('record', protocol, queue);
        assert.ok(a && b);
        const name = `record-${protocol}-${queue}`;
        await remake(a, mailOf(`one of ${a}`));
        await bed.addConnection(name, columnsOf(a));
        await bed.poll(name);
        // A record of the first mail, as a run leaves it that could not settle.
        await bed.connections.updateEntity({ partitionKey: 'acme', rowKey: name, cleanMailbox: '' }, 'Merge');
        await remake(a, mailOf(`two of ${a}`));
        assert.equal((await bed.poll(name)).lastMailCount, 1);
        await bed.addConnection(name, columnsOf(b));
        await remake(b, mailOf(`one of ${b}`));
        assert.equal((await bed.poll(name)).lastMailCount, 1);
        assert.ok(subjects(queue).includes(`two of ${a}`) && subjects(queue).includes(`one of ${b}`));
      });
    });
  }
}

async function makeDue(): Promise<void> {
  const table = bed.table('EmailUndelivered');
  const nextTryAt = new Date(Date.now() - 60_000).toISOString();
  const queryOptions = { filter: "RowKey lt 'mark'" };
  for await (const { partitionKey, rowKey } of table.listEntities({ queryOptions })) {
    if (partitionKey && rowKey) await table.updateEntity({ partitionKey, rowKey, nextTryAt }, 'Merge');
  }
}

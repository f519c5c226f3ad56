import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { countUnsettled, messagesOf } from '../reliability/mails.ts';
import { seedMaildir } from '../testbed/seed.ts';
import { type AppTestbed, asPerson, queueName, startAppTestbed } from './testbed.ts';

let bed: AppTestbed;
before(async () => {
  const users = ['filtered', 'moved', 'interrupted', 'unmovable'];
  bed = await startAppTestbed({ users });
});
after(() => bed.stop());

function mailFrom(from: string, subject: string): Buffer {
  const id = `${subject.replaceAll(/\W/g, '')}@example.com`;
  return Buffer.from(
    `From: Somebody <${from}>\r\nTo: orders@example.com\r\nSubject: ${subject}\r\nMessage-ID: <${id}>\r\n\r\n${subject}\r\n`,
  );
}

function subjectsOf(connection: string): string[] {
  const messages = messagesOf(bed, connection);
  return messages.map(({ applicationProperties }) => String(applicationProperties?.emailSubject)).toSorted();
}

async function subjectsIn(user: string, folder: string): Promise<string[]> {
  return await asPerson(bed.dovecot, user, async (client) => {
    await client.mailboxOpen(folder);
    const subjects: string[] = [];
    for await (const { envelope } of client.fetch('1:*', { envelope: true }))
      subjects.push(String(envelope?.subject));
    return subjects.toSorted();
  });
}

test('only mails that every filter takes are picked up; the others stay unread, and are looked at once', async () => {
  const mails = [
    mailFrom('ann@example.com', 'Invoice 1'),
    mailFrom('bob@elsewhere.com', 'Invoice 2'),
    mailFrom('ann@example.com', 'Hello'),
  ];
  const filters = { fromFilter: '*@example.com', subjectFilter: 'invoice' };
  await bed.addMailbox('filtered', 'IMAP', mails, filters);
  const first = await bed.poll('filtered');
  assert.equal(first.lastError, '');
  assert.equal(first.lastMailCount, 1);
  assert.deepEqual(subjectsOf('filtered'), ['Invoice 1']);
  await seedMaildir(bed.dovecot.maildir('filtered'), [mailFrom('ann@example.com', 'Invoice 3')]);
  assert.equal((await bed.poll('filtered')).lastMailCount, 1);
  // One that a person marks as unread anew is picked up again.
  await asPerson(bed.dovecot, 'filtered', (client) =>
    client.messageFlagsRemove({ subject: 'Invoice 1' }, ['\\Seen']),
  );
  await bed.poll('filtered');
  assert.equal(await countUnsettled(bed, 'filtered', 'IMAP'), 2, 'the two that the filters leave out');
  assert.deepEqual([...new Set(subjectsOf('filtered'))], ['Invoice 1', 'Invoice 3']);
  // Other filters look again at what was left.
  await bed.setColumns('filtered', { subjectFilter: 'hello' });
  assert.equal((await bed.poll('filtered')).lastMailCount, 1);
  assert.ok(subjectsOf('filtered').includes('Hello'));
});

test('moveToFolder: what was delivered is read and moved, into a folder made for it; what a rule leaves out stays', async () => {
  const attached = Buffer.from(
    'From: a@example.com\r\nSubject: with\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n',
  );
  const columns = { sendMessageBody: false, moveToFolder: 'Erledigt Größe' };
  await bed.addMailbox('moved', 'IMAP', [attached, mailFrom('a@example.com', 'without')], columns);
  const state = await bed.poll('moved');
  assert.equal(state.lastError, '');
  assert.equal(state.lastMailCount, 1);
  assert.deepEqual(await subjectsIn('moved', 'Erledigt Größe'), ['with']);
  assert.deepEqual(await subjectsIn('moved', 'INBOX'), ['without']);
  assert.equal((await bed.poll('moved')).lastMailCount, 0);
});

test('a mail that was delivered and only marked is moved by the next run, and not sent again', async () => {
  // A record as a run leaves it that was cut between the STORE and the MOVE: made by a run without the move.
  await bed.addMailbox('interrupted', 'IMAP', [mailFrom('a@example.com', 'half')]);
  const table = bed.table('EmailDelivered');
  let kept: Record<string, unknown> | undefined;
  bed.broker.faults.acceptDelayMs = 200;
  const polling = bed.poll('interrupted');
  while (!kept) {
    try {
      for await (const row of table.listEntities<Record<string, unknown>>()) {
        if (row.partitionKey === 'acme|interrupted') kept = { ...row };
      }
    } catch {
      // The table is made with the first record.
    }
  }
  await polling;
  bed.broker.faults.acceptDelayMs = 0;
  const { partitionKey, rowKey, mails, recordedAt } = kept;
  await table.upsertEntity({
    ...{ partitionKey: String(partitionKey), rowKey: String(rowKey), mails, recordedAt },
  });
  await bed.setColumns('interrupted', { moveToFolder: 'Done', cleanMailbox: '' });
  const sent = bed.broker.queue(queueName).transfers;
  const state = await bed.poll('interrupted');
  assert.equal(state.lastError, '');
  assert.deepEqual(await subjectsIn('interrupted', 'Done'), ['half']);
  assert.equal(bed.broker.queue(queueName).transfers, sent, 'nothing was sent');
});

test('mails that can not be moved keep no new one from being delivered, and are moved once they can be', async () => {
  const maildir = bed.dovecot.maildir('unmovable');
  const inTheWay = join(maildir, '.Done');
  await bed.addMailbox('unmovable', 'IMAP', [mailFrom('a@example.com', 'first')], { moveToFolder: 'Done' });
  await writeFile(inTheWay, '');
  for (const subject of ['second', 'third']) {
    const { lastStatus, lastError } = await bed.poll('unmovable');
    assert.equal(lastStatus, 'failed');
    assert.match(String(lastError), /refused moving mails to folder "Done"/);
    await seedMaildir(maildir, [mailFrom('a@example.com', subject)]);
  }
  assert.deepEqual(subjectsOf('unmovable'), ['first', 'second']);
  await rm(inTheWay);
  assert.equal((await bed.poll('unmovable')).lastError, '');
  assert.deepEqual(await subjectsIn('unmovable', 'Done'), ['first', 'second', 'third']);
  assert.deepEqual(subjectsOf('unmovable'), ['first', 'second', 'third']);
});

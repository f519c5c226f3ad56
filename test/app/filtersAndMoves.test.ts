import assert from 'node:assert/strict';
import { chmod, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ImapFlow } from 'imapflow';
import { listMaildir, seedMaildir } from '../testbed/seed.ts';
import { type AppTestbed, mailboxColumns, password, queueName, startAppTestbed } from './testbed.ts';

let bed: AppTestbed;
before(async () => {
  bed = await startAppTestbed({
    users: ['filtered', 'marked', 'moved', 'interrupted', 'unreadable', 'unmovable'],
  });
});
after(() => bed.stop());

function mailFrom(from: string, subject: string): Buffer {
  const id = `${subject.replaceAll(/\W/g, '')}@example.com`;
  return Buffer.from(
    `From: Somebody <${from}>\r\nTo: orders@example.com\r\nSubject: ${subject}\r\nMessage-ID: <${id}>\r\n\r\n${subject}\r\n`,
  );
}

function subjectsOf(connection: string): string[] {
  return bed.broker
    .queue(queueName)
    .messages.filter(({ applicationProperties }) => applicationProperties?.connection === connection)
    .map(({ applicationProperties }) => String(applicationProperties?.emailSubject))
    .toSorted();
}

async function asPerson<T>(user: string, act: (client: ImapFlow) => Promise<T>): Promise<T> {
  const client = new ImapFlow({
    ...{ host: '127.0.0.1', port: bed.dovecot.imapPort, secure: false, doSTARTTLS: false },
    auth: { user, pass: password },
    logger: false,
  });
  await client.connect();
  try {
    return await act(client);
  } finally {
    await client.logout();
  }
}

async function subjectsIn(user: string, folder: string): Promise<string[]> {
  return await asPerson(user, async (client) => {
    await client.mailboxOpen(folder);
    const subjects: string[] = [];
    for await (const { envelope } of client.fetch('1:*', { envelope: true }))
      subjects.push(String(envelope?.subject));
    return subjects.toSorted();
  });
}

test('only mails that every filter takes are picked up; the others stay unread, and are looked at once', async () => {
  await seedMaildir(bed.dovecot.maildir('filtered'), [
    mailFrom('ann@example.com', 'Invoice 1'),
    mailFrom('bob@elsewhere.com', 'Invoice 2'),
    mailFrom('ann@example.com', 'Hello'),
  ]);
  await bed.addConnection('filtered', {
    ...mailboxColumns(bed.dovecot, 'IMAP', 'filtered'),
    fromFilter: '*@example.com',
    subjectFilter: 'invoice',
  });
  const first = await bed.poll('filtered');
  assert.equal(first.lastError, '');
  assert.equal(first.lastMailCount, 1);
  assert.deepEqual(subjectsOf('filtered'), ['Invoice 1']);
  await seedMaildir(bed.dovecot.maildir('filtered'), [mailFrom('ann@example.com', 'Invoice 3')]);
  assert.equal((await bed.poll('filtered')).lastMailCount, 1);
  // One that a person marks as unread anew is picked up again.
  await asPerson('filtered', async (client) => {
    await client.mailboxOpen('INBOX');
    await client.messageFlagsRemove({ subject: 'Invoice 1' }, ['\\Seen']);
  });
  await bed.poll('filtered');
  const unread = (await listMaildir(bed.dovecot.maildir('filtered'))).filter(({ seen }) => !seen);
  assert.equal(unread.length, 2, 'the two that the filters leave out');
  assert.deepEqual([...new Set(subjectsOf('filtered'))], ['Invoice 1', 'Invoice 3']);
  // Other filters look again at what was left.
  await bed.addConnection('filtered', {
    ...(await columnsOf('filtered')),
    subjectFilter: 'hello',
  });
  assert.equal((await bed.poll('filtered')).lastMailCount, 1);
  assert.ok(subjectsOf('filtered').includes('Hello'));
});

async function columnsOf(name: string): Promise<Record<string, unknown>> {
  const { partitionKey: _p, rowKey: _r, etag: _e, timestamp: _t, ...columns } = await bed.state(name);
  return Object.fromEntries(Object.entries(columns).filter(([key]) => !key.startsWith('odata')));
}

test('with unmatchedMails=markRead the others are marked as read, sent nowhere, and in the journal', async () => {
  await seedMaildir(bed.dovecot.maildir('marked'), [
    mailFrom('ann@example.com', 'wanted'),
    mailFrom('ann@example.com', 'unwanted'),
  ]);
  await bed.addConnection('marked', {
    ...mailboxColumns(bed.dovecot, 'IMAP', 'marked'),
    subjectFilter: '!unwanted',
    unmatchedMails: 'markRead',
  });
  const state = await bed.poll('marked');
  assert.equal(state.lastError, '');
  assert.equal(state.lastMailCount, 1);
  assert.deepEqual(subjectsOf('marked'), ['wanted']);
  const mails = await listMaildir(bed.dovecot.maildir('marked'));
  assert.ok(mails.every(({ seen }) => seen));
  const answer = await bed.host.invokeHttp('GET /api/mails', {
    query: { connection: 'marked', q: 'unwanted' },
  });
  const { mails: found } = JSON.parse(answer.text());
  assert.equal(found.length, 1);
  assert.deepEqual([found[0].outcome, found[0].reason], ['left-out', 'filters']);
});

test('a mail that the server can not read is named, though the filter can not be asked about it', async () => {
  const maildir = bed.dovecot.maildir('unreadable');
  await seedMaildir(maildir, [
    mailFrom('ann@example.com', 'order 1'),
    mailFrom('ann@example.com', 'order 2'),
    mailFrom('ann@example.com', 'order 3'),
  ]);
  const [, second = ''] = (await readdir(join(maildir, 'new'))).toSorted();
  await chmod(join(maildir, 'new', second), 0);
  await bed.addConnection('unreadable', {
    ...mailboxColumns(bed.dovecot, 'IMAP', 'unreadable'),
    subjectFilter: 'order',
    unmatchedMails: 'markRead',
  });
  const { lastStatus, lastError } = await bed.poll('unreadable');
  assert.equal(lastStatus, 'failed');
  assert.match(String(lastError), /^Mail 2 could not be fetched \(try 1 of 3;/);
  assert.deepEqual(subjectsOf('unreadable'), ['order 1', 'order 3']);
  const mails = await listMaildir(maildir);
  assert.equal(mails.filter(({ seen }) => seen).length, 2);
});

test('moveToFolder: what was delivered is read and moved, into a folder made for it; what a rule leaves out stays', async () => {
  await seedMaildir(bed.dovecot.maildir('moved'), [
    Buffer.from(
      'From: a@example.com\r\nSubject: with\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n',
    ),
    mailFrom('a@example.com', 'without'),
  ]);
  await bed.addConnection('moved', {
    ...mailboxColumns(bed.dovecot, 'IMAP', 'moved'),
    sendMessageBody: false,
    moveToFolder: 'Erledigt Größe',
  });
  const state = await bed.poll('moved');
  assert.equal(state.lastError, '');
  assert.equal(state.lastMailCount, 1);
  assert.deepEqual(await subjectsIn('moved', 'Erledigt Größe'), ['with']);
  assert.deepEqual(await subjectsIn('moved', 'INBOX'), ['without']);
  assert.equal((await bed.poll('moved')).lastMailCount, 0);
});

test('a mail that was delivered and only marked is moved by the next run, and not sent again', async () => {
  await seedMaildir(bed.dovecot.maildir('interrupted'), [mailFrom('a@example.com', 'half')]);
  const columns = mailboxColumns(bed.dovecot, 'IMAP', 'interrupted');
  await bed.addConnection('interrupted', { ...columns, moveToFolder: 'Done' });
  // A record as a run leaves it that was cut between the STORE and the MOVE: made by a run without the move.
  const table = bed.table('EmailDelivered');
  await bed.addConnection('interrupted', columns);
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
  await bed.addConnection('interrupted', {
    ...(await columnsOf('interrupted')),
    moveToFolder: 'Done',
    cleanMailbox: '',
  });
  const sent = bed.broker.queue(queueName).transfers;
  const state = await bed.poll('interrupted');
  assert.equal(state.lastError, '');
  assert.deepEqual(await subjectsIn('interrupted', 'Done'), ['half']);
  assert.equal(bed.broker.queue(queueName).transfers, sent, 'nothing was sent');
});

test('mails that can not be moved keep no new one from being delivered, and are moved once they can be', async () => {
  const maildir = bed.dovecot.maildir('unmovable');
  const inTheWay = join(maildir, '.Done');
  await seedMaildir(maildir, [mailFrom('a@example.com', 'first')]);
  await writeFile(inTheWay, '');
  await bed.addConnection('unmovable', {
    ...mailboxColumns(bed.dovecot, 'IMAP', 'unmovable'),
    moveToFolder: 'Done',
  });
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

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startScriptedServer } from '../mailbox/pop3/scriptedServer.ts';
import { messagesOf } from '../reliability/mails.ts';
import { listMaildir, seedMaildir } from '../testbed/seed.ts';
import { type AppTestbed, asPerson, serverColumns, startAppTestbed } from './testbed.ts';

let bed: AppTestbed;
before(async () => {
  const dovecot = { withoutImapCapabilities: ['UIDPLUS'] };
  bed = await startAppTestbed({ users: ['stays', 'left-out', 'crashed'], dovecot });
});
after(() => bed.stop());

const mail = (subject: string): Buffer =>
  Buffer.from(
    `From: a@example.com\r\nSubject: ${subject}\r\nMessage-ID: <${subject}@x>\r\n\r\n${subject}\r\n`,
  );

/** Flags the first mail of the folder for deletion as another mail program does, or no more. */
async function flagFirst(user: string, isFlagged: boolean): Promise<void> {
  await asPerson(bed.dovecot, user, (client) =>
    isFlagged
      ? client.messageFlagsAdd('1', ['\\Seen', '\\Deleted'])
      : client.messageFlagsRemove('1', ['\\Deleted']),
  );
}

/** A mailbox of a mail that another has flagged and one that is to be polled. */
async function addMailbox(user: string, columns = {}): Promise<void> {
  await bed.addMailbox(user, 'IMAP', [mail('foreign')], { deleteMessages: true, ...columns });
  await flagFirst(user, true);
  await seedMaildir(bed.dovecot.maildir(user), [mail('ours')]);
}

async function mailLines(connection: string): Promise<Record<string, unknown>[]> {
  return (await bed.journal(connection)).filter(({ kind }) => kind === 'mail');
}

async function told(connection: string): Promise<Record<string, unknown>[]> {
  const answer = await bed.host.invokeHttp('GET /api/mails', { query: { connection } });
  return JSON.parse(answer.text()).mails;
}

for (const [user, outcome] of [
  ['stays', 'delivered'],
  ['left-out', 'left-out'],
] as const) {
  test(`a mail that could only be flagged is expunged once nothing else is flagged, whatever runs lie between (${outcome})`, async () => {
    const isSent = outcome === 'delivered';
    await addMailbox(user, { sendMessageBody: isSent });
    for (let run = 0; run < 3; run += 1) assert.equal((await bed.poll(user)).lastError, '');
    assert.equal((await listMaildir(bed.dovecot.maildir(user))).length, 2);
    await flagFirst(user, false);
    assert.equal((await bed.poll(user)).lastError, '');
    assert.equal((await listMaildir(bed.dovecot.maildir(user))).length, 1);
    assert.equal(messagesOf(bed, user).length, Number(isSent));
    assert.deepEqual(
      (await told(user)).map((line) => line.outcome),
      [outcome],
    );
  });
}

test('a mail that a crashed run delivered and flagged gets its line from the run that expunges it', async () => {
  await addMailbox('crashed');
  await bed.poll('crashed');
  const [line] = await mailLines('crashed');
  const journal = bed.container('email-journal');
  for await (const { name } of journal.listBlobsFlat()) {
    if (name.endsWith('/acme/crashed.jsonl')) await journal.deleteBlob(name);
  }
  // As a run leaves the row that dies before it has written its journal.
  await bed.setColumns('crashed', { lastStatus: 'running' });
  await flagFirst('crashed', false);
  assert.equal((await bed.poll('crashed')).lastError, '');
  const [only, ...more] = await told('crashed');
  assert.deepEqual(more, []);
  assert.deepEqual(
    [only?.at, only?.interchangeId, only?.outcome, only?.emailSubject],
    [line?.at, line?.interchangeId, 'delivered', 'ours'],
  );
});

test('a mail that a run delivered and could not settle is told once when the next has settled it', async (t) => {
  for (const [name, lastStatus] of [
    ['ended', 'failed'],
    ['died', 'running'],
  ] as const) {
    const quits = ['-ERR not now\r\n'];
    const server = await startScriptedServer({
      mails: [mail('pop')],
      answer: (command) => (command === 'QUIT' ? quits.pop() : undefined),
    });
    t.after(() => server.stop());
    await bed.addConnection(name, serverColumns('POP3', server.port));
    assert.equal((await bed.poll(name)).lastStatus, 'failed');
    await bed.setColumns(name, { lastStatus });
    assert.equal((await bed.poll(name)).lastStatus, 'ok');
    assert.equal(messagesOf(bed, name).length, 1);
    assert.equal((await told(name)).length, 1);
    // A run that died may have written its line or not.
    assert.equal((await mailLines(name)).length, name === 'died' ? 2 : 1);
  }
});

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { BlobServiceClient } from '@azure/storage-blob';
import { ImapFlow } from 'imapflow';
import { startScriptedServer } from '../mailbox/pop3/scriptedServer.ts';
import { listMaildir, seedMaildir } from '../testbed/seed.ts';
import { type AppTestbed, mailboxColumns, password, queueName, startAppTestbed } from './testbed.ts';

let bed: AppTestbed;
before(async () => {
  const dovecot = { withoutImapCapabilities: ['UIDPLUS'] };
  bed = await startAppTestbed({ users: ['stays', 'crashed'], dovecot });
});
after(() => bed.stop());

const mail = (subject: string): Buffer =>
  Buffer.from(
    `From: a@example.com\r\nSubject: ${subject}\r\nMessage-ID: <${subject}@x>\r\n\r\n${subject}\r\n`,
  );

/** Flags the first mail of the folder for deletion as another mail program does, or no more. */
async function flagFirst(user: string, isFlagged: boolean): Promise<void> {
  const client = new ImapFlow({
    ...{ host: '127.0.0.1', port: bed.dovecot.imapPort, secure: false, doSTARTTLS: false },
    auth: { user, pass: password },
    logger: false,
  });
  await client.connect();
  await client.mailboxOpen('INBOX');
  if (isFlagged) await client.messageFlagsAdd('1', ['\\Seen', '\\Deleted']);
  else await client.messageFlagsRemove('1', ['\\Deleted']);
  await client.logout();
}

/** A mailbox of a mail that another has flagged and one that is to be polled. */
async function addMailbox(user: string): Promise<void> {
  await seedMaildir(bed.dovecot.maildir(user), [mail('foreign')]);
  await flagFirst(user, true);
  await seedMaildir(bed.dovecot.maildir(user), [mail('ours')]);
  await bed.addConnection(user, {
    ...mailboxColumns(bed.dovecot, 'IMAP', user),
    deleteMessages: true,
  });
}

function journal() {
  const service = BlobServiceClient.fromConnectionString(bed.azurite.connectionString);
  return service.getContainerClient('email-journal');
}

/** All lines of this kind in the files of a connection. */
async function linesOf(connection: string, kind: string): Promise<Record<string, unknown>[]> {
  const lines: Record<string, unknown>[] = [];
  for await (const { name } of journal().listBlobsFlat()) {
    if (!name.endsWith(`/acme/${connection}.jsonl`)) continue;
    const text = (await journal().getBlobClient(name).downloadToBuffer()).toString();
    for (const line of text.split('\n').filter(Boolean)) lines.push(JSON.parse(line));
  }
  return lines.filter((line) => line.kind === kind);
}

async function told(connection: string): Promise<Record<string, unknown>[]> {
  const answer = await bed.host.invokeHttp('GET /api/mails', { query: { connection } });
  return JSON.parse(answer.text()).mails;
}

const sentOf = (connection: string): number =>
  bed.broker
    .queue(queueName)
    .messages.filter(({ applicationProperties }) => applicationProperties?.connection === connection).length;

test('a mail that could only be flagged is expunged once nothing else is flagged, whatever runs lie between', async () => {
  await addMailbox('stays');
  for (let run = 0; run < 3; run += 1) assert.equal((await bed.poll('stays')).lastError, '');
  assert.equal((await listMaildir(bed.dovecot.maildir('stays'))).length, 2);
  await flagFirst('stays', false);
  assert.equal((await bed.poll('stays')).lastError, '');
  assert.equal((await listMaildir(bed.dovecot.maildir('stays'))).length, 1);
  assert.equal(sentOf('stays'), 1);
  assert.equal((await told('stays')).length, 1);
});

test('a mail that a crashed run delivered and flagged gets its line from the run that expunges it', async () => {
  await addMailbox('crashed');
  await bed.poll('crashed');
  const [line] = await linesOf('crashed', 'mail');
  for await (const { name } of journal().listBlobsFlat()) {
    if (name.endsWith('/acme/crashed.jsonl')) await journal().deleteBlob(name);
  }
  // As a run leaves the row that dies before it has written its journal.
  await bed.connections.updateEntity(
    { partitionKey: 'acme', rowKey: 'crashed', lastStatus: 'running' },
    'Merge',
  );
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
    const login = { host: '127.0.0.1', useSsl: false, username: 'x', password };
    await bed.addConnection(name, { ...login, hostType: 'POP3', port: server.port });
    assert.equal((await bed.poll(name)).lastStatus, 'failed');
    await bed.connections.updateEntity({ partitionKey: 'acme', rowKey: name, lastStatus }, 'Merge');
    assert.equal((await bed.poll(name)).lastStatus, 'ok');
    assert.equal(sentOf(name), 1);
    assert.equal((await told(name)).length, 1);
    // A run that died may have written its line or not.
    assert.equal((await linesOf(name, 'mail')).length, name === 'died' ? 2 : 1);
  }
});

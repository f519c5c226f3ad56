import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ImapFlow } from 'imapflow';
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

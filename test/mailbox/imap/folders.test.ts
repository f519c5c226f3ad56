import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openImapMailbox } from '../../../shared/mailbox/imap/imapMailbox.ts';
import type { Dovecot } from '../../testbed/dovecot.ts';
import { newUser, optionsOn, smallMails, startServer, withMailProgram } from './dovecotUsers.ts';
import { assertFails, drain, withSession } from './drain.ts';

let server: Dovecot;

before(async () => {
  server = await startServer();
});
after(() => server.stop());

test('folders with spaces, quotes, ampersands and letters beyond ASCII are opened', async () => {
  const folders = ['Orders & Co', 'Größe "A"', '注文', 'a.b'];
  const user = await newUser([], server);
  await withMailProgram(optionsOn(server, user), async (client) => {
    for (const folder of folders) {
      await client.mailboxCreate(folder);
      await client.append(folder, smallMails(1)[0] ?? '');
    }
  });
  for (const folder of folders) {
    const options = optionsOn(server, user, { folder });
    await withSession(options, async (session) => {
      assert.equal(JSON.parse(session.mailboxId)[3], folder);
    });
    assert.deepEqual(await drain(options), smallMails(1));
  }
  const missing = openImapMailbox(optionsOn(server, user, { folder: 'Nö' }));
  await assertFails(missing, 'folder', /^Folder "Nö" on IMAP server/);
});

test('another UIDVALIDITY is another mailbox', async () => {
  const user = await newUser([], server);
  const options = optionsOn(server, user, { folder: 'Shop' });
  const keyOfNewFolder = async (): Promise<string> => {
    await withMailProgram(options, async (client) => {
      await client.mailboxCreate('Shop');
      await client.append('Shop', smallMails(1)[0] ?? '');
    });
    const key = await withSession(options, async (session) => session.mailboxId);
    await withMailProgram(options, (client) => client.mailboxDelete('Shop'));
    return key;
  };
  const first = await keyOfNewFolder();
  const second = await keyOfNewFolder();
  assert.match(first, /^\["imap","127\.0\.0\.1","user\d+","Shop","\d+"\]$/);
  assert.match(second, /"Shop","\d+"\]$/);
  assert.notEqual(first, second);
});

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
      assert.equal((await session.list(10))[0]?.key.split(':').slice(3).join(':'), folder);
    });
    assert.deepEqual(await drain(options), smallMails(1));
  }
  const missing = openImapMailbox(optionsOn(server, user, { folder: 'Nö' }));
  await assertFails(missing, 'folder', /^Folder "Nö" on IMAP server/);
});

test('another UIDVALIDITY gives other keys', async () => {
  const user = await newUser([], server);
  const options = optionsOn(server, user, { folder: 'Shop' });
  const keyOfNewFolder = async (): Promise<string> => {
    await withMailProgram(options, async (client) => {
      await client.mailboxCreate('Shop');
      await client.append('Shop', smallMails(1)[0] ?? '');
    });
    const key = await withSession(options, async (session) => (await session.list(1))[0]?.key ?? '');
    await withMailProgram(options, (client) => client.mailboxDelete('Shop'));
    return key;
  };
  const first = await keyOfNewFolder();
  const second = await keyOfNewFolder();
  assert.match(first, /^imap:\d+:1:Shop$/);
  assert.match(second, /^imap:\d+:1:Shop$/);
  assert.notEqual(first, second);
});

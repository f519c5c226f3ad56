import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { newUser, optionsOn, startServer, withMailProgram } from './dovecotUsers.ts';
import { drain, onServer, withSession } from './drain.ts';
import { smallMails } from './scriptedImapServer.ts';

const server = await startServer();
after(() => server.stop());

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

test('the folders to choose from are those that can be opened, as people see their names', async () => {
  const user = await newUser(smallMails(1), server);
  const options = optionsOn(server, user);
  await withMailProgram(options, async (client) => {
    for (const folder of ['Größe & Co', '注文', ['Orders', 'Done']]) await client.mailboxCreate(folder);
  });
  const names = await withSession(options, async (session) => {
    const found = await session.listFolders();
    assert.equal((await session.list(10)).length, 1, 'the session goes on');
    return found;
  });
  assert.deepEqual(
    names.filter((name) => name !== 'Orders'),
    [...['Größe & Co', 'INBOX', names.find((name) => /^Orders.Done$/.test(name))], '注文'],
  );
  for (const folder of names) await drain({ ...options, folder });
});

test('of very many folders five hundred are given, and of odd names none', async () => {
  const good = Array.from({ length: 700 }, (_, index) => `() "/" "F${1_000 + index}"`);
  const odd = ['(\\Noselect) "/" "A-parent"', '(\\NonExistent) "/" "A-ghost"', '() "/" ""'];
  const all = [...odd, `() "/" "A${'x'.repeat(300)}"`, ...good];
  const LIST = `${all.map((one) => `* LIST ${one}\r\n`).join('')}TAG OK done\r\n`;
  await onServer({ answers: { LIST } }, async (session) => {
    const names = await session.listFolders();
    assert.equal(names.length, 500);
    assert.equal(names[0], 'F1000');
  });
});

test('a look gives the first unread mails and their number, whatever the filter takes, and marks none', async () => {
  const user = await newUser(smallMails(4), server);
  const headerFilter = { fingerprint: 'none', takes: () => false };
  const options = optionsOn(server, user, { headerFilter, unmatchedMails: 'markRead' });
  await withSession(options, async (session) => {
    const { count, heads } = await session.sample(2, 10);
    assert.deepEqual([count, heads.map(String)], [4, ['Subject: 1', 'Subject: 2']]);
  });
  await withSession(options, async (session) => assert.equal((await session.sample(0, 0)).count, 4));
});

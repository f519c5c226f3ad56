import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startScriptedImapServer } from '../mailbox/imap/scriptedImapServer.ts';
import { startScriptedServer } from '../mailbox/pop3/scriptedServer.ts';
import { queueName, type RunningApp, serverColumns, startApp } from './testbed.ts';

let app: RunningApp;
before(async () => {
  app = await startApp();
});
after(() => app.stop());

const mail = Buffer.from(
  'From: a@example.com\r\nSubject: kept\r\nMessage-ID: <1@example.com>\r\n\r\nHello\r\n',
);
const sent = () => app.broker.queue(queueName).transfers;

test('POP3: a mail that the server keeps is deleted again and not sent again; from the second time on that is said', async (t) => {
  const server = await startScriptedServer({ mails: [mail], uidls: ['uidl-1'] });
  t.after(() => server.stop());
  await app.addConnection('keeps', serverColumns('POP3', server.port));
  const before = sent();
  const first = await app.poll('keeps');
  assert.equal(first.lastError, '');
  assert.equal(sent() - before, 1);
  const second = await app.poll('keeps');
  assert.equal(second.lastStatus, 'ok');
  const third = await app.poll('keeps');
  assert.equal(third.lastStatus, 'failed');
  assert.match(String(third.lastError), /lists mail 1 again, which was settled in 2 runs before/);
  assert.equal(sent() - before, 1, 'it was sent once');
  assert.equal(server.commands.filter((line) => line === 'DELE 1').length, 3);
});

test('IMAP: a mail that the server keeps unread is sent again, since a person may have meant it, and named', async (t) => {
  const server = await startScriptedImapServer({ mails: [mail] });
  t.after(() => server.stop());
  await app.addConnection('unread', serverColumns('IMAP', server.port));
  const before = sent();
  const states: Record<string, unknown>[] = [];
  for (let run = 0; run < 3; run += 1) states.push(await app.poll('unread'));
  assert.deepEqual(
    states.map(({ lastStatus }) => lastStatus),
    ['ok', 'ok', 'failed'],
  );
  assert.match(String(states[2]?.lastError), /which was settled in 2 runs before/);
  assert.equal(sent() - before, 3);
  const ids = app.broker.queue(queueName).duplicates;
  assert.ok(ids >= 2, 'with the same messageId, which duplicate detection drops');
});

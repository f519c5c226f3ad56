import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:net';
import { after, before, test } from 'node:test';
import { seedMaildir } from '../testbed/seed.ts';
import { type AppTestbed, mailboxColumns, startAppTestbed } from './testbed.ts';

let bed: AppTestbed;
let silent: Server;

before(async () => {
  bed = await startAppTestbed({ users: ['anna', 'bert'] });
  silent = createServer(() => undefined).listen(0, '127.0.0.1');
});
after(async () => {
  silent.close();
  await bed.stop();
});

const mail = Buffer.from('Subject: hello\r\n\r\nHello\r\n');

/** Every wrong connection of the test, by name, and the sentence that its run must end with. */
function wrongConnections(): Record<string, { columns: Record<string, unknown>; sentence: RegExp }> {
  const imap = mailboxColumns(bed.dovecot, 'IMAP', 'anna');
  const pop3 = mailboxColumns(bed.dovecot, 'POP3', 'anna');
  const { imapsPort, pop3sPort, imapPort, pop3Port } = bed.dovecot;
  return {
    'bad-interval': {
      columns: { ...imap, pollingIntervalSeconds: 30 },
      sentence: /^pollingIntervalSeconds is 30; it must be a whole number of at least 60/,
    },
    'nothing-to-send': {
      columns: { ...imap, sendAttachments: false, sendMessageBody: false },
      sentence: /sendMessageBody and sendAttachments are both false/,
    },
    'unknown-host': {
      columns: { ...imap, host: 'mail.invalid' },
      sentence: /mail\.invalid.*host/i,
    },
    refused: { columns: { ...imap, port: 1 }, sentence: /127\.0\.0\.1:1\b.*refused/ },
    'untrusted-imaps': {
      columns: { ...imap, useSsl: true, port: imapsPort },
      sentence: /certificate.*caCertificate/i,
    },
    'untrusted-pop3s': {
      columns: { ...pop3, useSsl: true, port: pop3sPort },
      sentence: /certificate.*caCertificate/i,
    },
    'tls-to-plain-imap': { columns: { ...imap, useSsl: true, port: imapPort }, sentence: /useSsl|TLS/ },
    'tls-to-plain-pop3': { columns: { ...pop3, useSsl: true, port: pop3Port }, sentence: /useSsl|TLS/ },
    'imap-login': {
      columns: { ...imap, password: 'wrong horse' },
      sentence: /^IMAP login to 127\.0\.0\.1:\d+ as anna was refused: .*Check username and password/,
    },
    'pop3-login': {
      columns: { ...pop3, password: 'wrong horse' },
      sentence: /^POP3 login to 127\.0\.0\.1:\d+ as anna was refused: .*Check username and password/,
    },
    folder: { columns: { ...imap, folder: 'Nowhere' }, sentence: /folder.*Nowhere/i },
    queue: { columns: { ...imap, queueName: 'nowhere' }, sentence: /queue nowhere doesn't exist/ },
  };
}

test('a connection with any wrong value fails alone, with its sentence, and is due the next minute', async () => {
  await seedMaildir(bed.dovecot.maildir('anna'), [mail]);
  await seedMaildir(bed.dovecot.maildir('bert'), [mail]);
  const wrong = wrongConnections();
  for (const [name, { columns }] of Object.entries(wrong)) {
    await bed.addConnection(name, {
      ...columns,
      ...(columns.pollingIntervalSeconds ? {} : { pollingIntervalSeconds: 3600 }),
    });
  }
  await bed.addConnection('right', mailboxColumns(bed.dovecot, 'IMAP', 'bert'));
  await bed.tick();

  const right = await bed.state('right');
  assert.equal(right.lastStatus, 'ok');
  assert.equal(right.lastMailCount, 1);
  for (const [name, { sentence }] of Object.entries(wrong)) {
    const state = await bed.state(name);
    assert.equal(state.lastStatus, 'failed', name);
    assert.match(String(state.lastError), sentence, name);
    assert.doesNotMatch(String(state.lastError), /horse/, name);
    assert.equal(state.consecutiveFailures, 1, name);
    const endedAt = new Date(String(state.lastRunEndedAt)).getTime();
    assert.equal(
      new Date(String(state.nextRunAt)).getTime(),
      (Math.floor(endedAt / 60_000) + 1) * 60_000,
      name,
    );
  }
  assert.deepEqual(
    bed.broker
      .queue('email-inbound')
      .messages.map(({ applicationProperties }) => applicationProperties?.connection),
    ['right'],
  );
});

test('a connection that was mended works at its next poll and its error is gone', async () => {
  await seedMaildir(bed.dovecot.maildir('anna'), [mail]);
  const columns = mailboxColumns(bed.dovecot, 'POP3', 'anna');
  await bed.addConnection('mended', { ...columns, password: 'wrong' });
  assert.equal((await bed.poll('mended')).lastStatus, 'failed');
  await bed.connections.updateEntity(
    { partitionKey: 'acme', rowKey: 'mended', password: columns.password },
    'Merge',
  );
  const state = await bed.poll('mended');
  assert.equal(state.lastStatus, 'ok');
  assert.equal(state.lastError, '');
  assert.equal(state.consecutiveFailures, 0);
});

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { seedMaildir } from '../testbed/seed.ts';
import { type AppTestbed, mailboxColumns, startAppTestbed } from './testbed.ts';

let bed: AppTestbed;

before(async () => {
  bed = await startAppTestbed({ users: ['anna', 'bert'] });
});
after(() => bed.stop());

const mail = Buffer.from('Subject: hello\r\n\r\nHello\r\n');

/** Every wrong connection of the test, by name: its columns, and the sentence that its run must end with. */
function wrongConnections(): Record<string, [columns: Record<string, unknown>, sentence: RegExp]> {
  const imap = mailboxColumns(bed.dovecot, 'IMAP', 'anna');
  const pop3 = mailboxColumns(bed.dovecot, 'POP3', 'anna');
  const { imapsPort, pop3sPort } = bed.dovecot;
  const refused = /login to 127\.0\.0\.1:\d+ as anna was refused: .*Check username and password/;
  return {
    'bad-interval': [
      { ...imap, pollingIntervalSeconds: 30 },
      /^pollingIntervalSeconds is 30; it must be a whole number of at least 60/,
    ],
    'nothing-to-send': [
      { ...imap, sendAttachments: false, sendMessageBody: false },
      /sendMessageBody and sendAttachments are both false/,
    ],
    'unknown-host': [{ ...imap, host: 'mail.invalid' }, /mail\.invalid.*host/i],
    refused: [{ ...imap, port: 1 }, /127\.0\.0\.1:1\b.*refused/],
    'untrusted-imaps': [{ ...imap, useSsl: true, port: imapsPort }, /certificate.*caCertificate/i],
    'untrusted-pop3s': [{ ...pop3, useSsl: true, port: pop3sPort }, /certificate.*caCertificate/i],
    'tls-to-plain-imap': [{ ...imap, useSsl: true }, /useSsl|TLS/],
    'tls-to-plain-pop3': [{ ...pop3, useSsl: true }, /useSsl|TLS/],
    'imap-login': [{ ...imap, password: 'wrong horse' }, new RegExp(`^IMAP ${refused.source}`)],
    'pop3-login': [{ ...pop3, password: 'wrong horse' }, new RegExp(`^POP3 ${refused.source}`)],
    folder: [{ ...imap, folder: 'Nowhere' }, /folder.*Nowhere/i],
    queue: [{ ...imap, queueName: 'nowhere' }, /queue nowhere doesn't exist/],
  };
}

test('a connection with any wrong value fails alone, with its sentence, and is due the next minute', async () => {
  await seedMaildir(bed.dovecot.maildir('anna'), [mail]);
  await bed.addMailbox('bert', 'IMAP', [mail]);
  const wrong = wrongConnections();
  for (const [name, [columns]] of Object.entries(wrong)) {
    await bed.addConnection(name, { pollingIntervalSeconds: 3600, ...columns });
  }
  await bed.tick();

  const right = await bed.state('bert');
  assert.equal(right.lastStatus, 'ok');
  assert.equal(right.lastMailCount, 1);
  for (const [name, [, sentence]] of Object.entries(wrong)) {
    const state = await bed.state(name);
    assert.equal(state.lastStatus, 'failed', name);
    assert.match(String(state.lastError), sentence, name);
    assert.doesNotMatch(String(state.lastError), /horse/, name);
    assert.equal(state.consecutiveFailures, 1, name);
    const lines = (await bed.journal(name)).map(({ kind, status, error }) => ({ kind, status, error }));
    assert.deepEqual(lines, [{ kind: 'run', status: 'failed', error: state.lastError }], name);
    const endedAt = Date.parse(String(state.lastRunEndedAt));
    assert.equal(Date.parse(String(state.nextRunAt)), (Math.floor(endedAt / 60_000) + 1) * 60_000, name);
  }
  assert.deepEqual(
    bed.broker
      .queue('email-inbound')
      .messages.map(({ applicationProperties }) => applicationProperties?.connection),
    ['bert'],
  );
});

test('orders that name nothing, or what is gone or disabled, are dropped and logged', async () => {
  await bed.addConnection('off', { enabled: false, host: 'mail.example.com', lastStatus: 'ok' });
  const texts = [
    'not json',
    '{"customer":"acme"}',
    '{"customer":"acme","connection":"gone"}',
    '{"customer":"acme","connection":"off"}',
  ];
  for (const text of texts) await bed.orders.sendMessage(Buffer.from(text).toString('base64'));
  const tally = await bed.host.drainQueue();
  assert.deepEqual(tally, { succeeded: texts.length, failed: 0, poisoned: 0 });
  const logged = bed.host.logs.map(({ message }) => message).join('\n');
  assert.match(logged, /acme\/gone is gone/);
  assert.match(logged, /acme\/off is disabled/);
  assert.equal((await bed.state('off')).lastStatus, 'ok');
});

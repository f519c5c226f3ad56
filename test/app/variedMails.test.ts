import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sampleMails } from '../mail/mails.ts';
import { listMaildir, seedMaildir } from '../testbed/seed.ts';
import { arrivedParts, expectedParts, inAnyOrder } from './arrived.ts';
import { type AppTestbed, mailboxColumns, queueName, startAppTestbed } from './testbed.ts';

const mailCount = 200;
const mails = sampleMails(mailCount, 7);

let bed: AppTestbed;
before(async () => {
  bed = await startAppTestbed({ users: ['anna', 'bert', 'carl', 'dora'] });
});
after(() => bed.stop());

const cases = [
  { name: 'imap', hostType: 'IMAP', user: 'anna', columns: {}, left: { count: mailCount, seen: mailCount } },
  {
    name: 'imap-delete',
    hostType: 'IMAP',
    user: 'bert',
    columns: { deleteMessages: true },
    left: { count: 0, seen: 0 },
  },
  { name: 'pop3', hostType: 'POP3', user: 'carl', columns: {}, left: { count: 0, seen: 0 } },
] as const;

for (const { name, hostType, user, columns, left } of cases) {
  test(`${name}: a mailbox of ${mailCount} varied mails arrives complete and byte-exact, and is settled`, async () => {
    const maildir = bed.dovecot.maildir(user);
    await seedMaildir(
      maildir,
      mails.map(({ source }) => source),
    );
    await bed.addConnection(name, { ...mailboxColumns(bed.dovecot, hostType, user), ...columns });
    const state = await bed.poll(name);
    assert.equal(state.lastError, '');
    assert.equal(state.lastMailCount, mailCount);

    const queue = bed.broker.queue(queueName);
    const expected = mails.map(expectedParts);
    assert.deepEqual(
      inAnyOrder(arrivedParts(queue.messages, name)),
      inAnyOrder(expected.filter((parts) => parts.length > 0)),
    );
    assert.equal(state.lastMessageCount, expected.flat().length);
    const found = await listMaildir(maildir);
    assert.deepEqual({ count: found.length, seen: found.filter(({ seen }) => seen).length }, left);

    const before = queue.transfers;
    const again = await bed.poll(name);
    assert.equal(again.lastMailCount, 0);
    assert.equal(queue.transfers, before);
    assert.equal(queue.duplicates, 0);
  });
}

test('all four ports are read, with TLS by a private CA', async () => {
  const { dovecot } = bed;
  const { caCertificate } = dovecot;
  const one = Buffer.from('Subject: hello\r\n\r\nHello\r\n');
  const ports = {
    'port-imap': mailboxColumns(dovecot, 'IMAP', 'dora'),
    'port-imaps': {
      ...mailboxColumns(dovecot, 'IMAP', 'dora'),
      useSsl: true,
      port: dovecot.imapsPort,
      caCertificate,
    },
    'port-imap-starttls': { ...mailboxColumns(dovecot, 'IMAP', 'dora'), startTls: true, caCertificate },
    'port-pop3': mailboxColumns(dovecot, 'POP3', 'dora'),
    'port-pop3s': {
      ...mailboxColumns(dovecot, 'POP3', 'dora'),
      useSsl: true,
      port: dovecot.pop3sPort,
      caCertificate,
    },
    'port-pop3-stls': { ...mailboxColumns(dovecot, 'POP3', 'dora'), startTls: true, caCertificate },
  };
  for (const [name, columns] of Object.entries(ports)) {
    await bed.addConnection(name, { ...columns, deleteMessages: true });
    await seedMaildir(dovecot.maildir('dora'), [one]);
    const state = await bed.poll(name);
    assert.equal(state.lastError, '', name);
    assert.equal(state.lastMailCount, 1, name);
  }
});

test('no record is left when nothing is in flight', async () => {
  for await (const row of bed.table('EmailDelivered').listEntities()) assert.fail(`left: ${row.rowKey}`);
});

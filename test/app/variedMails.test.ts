import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { sampleMails } from '../mail/mails.ts';
import { listMaildir } from '../testbed/seed.ts';
import { arrivedParts, expectedParts, inAnyOrder } from './arrived.ts';
import { type AppTestbed, protocols, queueName, startAppTestbed } from './testbed.ts';

const mailCount = 200;
const mails = sampleMails(mailCount, 7);

let bed: AppTestbed;
before(async () => {
  bed = await startAppTestbed({ users: ['imap', 'imap-delete', 'pop3', 'dora'] });
});
after(() => bed.stop());

const cases = [
  { protocol: 'IMAP', name: 'imap', columns: {}, left: { count: mailCount, seen: mailCount } },
  { protocol: 'IMAP', name: 'imap-delete', columns: { deleteMessages: true }, left: { count: 0, seen: 0 } },
  { protocol: 'POP3', name: 'pop3', columns: {}, left: { count: 0, seen: 0 } },
] as const;

for (const { protocol, name, columns, left } of cases) {
  test(`${name}: a mailbox of ${mailCount} varied mails arrives complete and byte-exact, and is settled`, async () => {
    const sources = mails.map(({ source }) => source);
    await bed.addMailbox(name, protocol, sources, columns);
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
    const found = await listMaildir(bed.dovecot.maildir(name));
    assert.deepEqual({ count: found.length, seen: found.filter(({ seen }) => seen).length }, left);

    const before = queue.transfers;
    const again = await bed.poll(name);
    assert.equal(again.lastMailCount, 0);
    assert.equal(queue.transfers, before);
    assert.equal(queue.duplicates, 0);
  });
}

test('all four ports are read, with TLS by a private CA', async () => {
  const { caCertificate, imapsPort, pop3sPort } = bed.dovecot;
  const tlsPorts = { IMAP: imapsPort, POP3: pop3sPort };
  for (const protocol of protocols) {
    for (const columns of [
      {},
      { useSsl: true, port: tlsPorts[protocol], caCertificate },
      { startTls: true, caCertificate },
    ]) {
      const one = Buffer.from('Subject: hello\r\n\r\nHello\r\n');
      await bed.addMailbox('dora', protocol, [one], { ...columns, deleteMessages: true });
      const state = await bed.poll('dora');
      const which = `${protocol} with ${Object.keys(columns)}`;
      assert.deepEqual([state.lastError, state.lastMailCount], ['', 1], which);
    }
  }
});

test('no record is left when nothing is in flight', async () => {
  for await (const row of bed.table('EmailDelivered').listEntities()) assert.fail(`left: ${row.rowKey}`);
});

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { BlobServiceClient } from '@azure/storage-blob';
import { ImapFlow } from 'imapflow';
import { seedMaildir } from '../testbed/seed.ts';
import { type AppTestbed, mailboxColumns, password, queueName, startAppTestbed } from './testbed.ts';

const attachment = Buffer.alloc(5_000_000, 'large ');

let bed: AppTestbed;
before(async () => {
  bed = await startAppTestbed({ users: ['repeats'], maxMessageSizeBytes: 262_144 });
});
after(() => bed.stop());

function mail(): Buffer {
  return Buffer.from(
    [
      'From: a@example.com',
      'Subject: large',
      'Content-Type: application/pdf; name="Plan Größe.pdf"',
      'Content-Transfer-Encoding: base64',
      '',
      ...(attachment.toString('base64').match(/.{1,76}/g) ?? []),
      '',
    ].join('\r\n'),
  );
}

async function markUnread(): Promise<void> {
  const client = new ImapFlow({
    ...{ host: '127.0.0.1', port: bed.dovecot.imapPort, secure: false, doSTARTTLS: false },
    auth: { user: 'repeats', pass: password },
    logger: false,
  });
  await client.connect();
  await client.mailboxOpen('INBOX');
  await client.messageFlagsRemove({ all: true }, ['\\Seen']);
  await client.logout();
}

test('a mail that is polled twice leaves one payload, which says what it holds', async () => {
  await seedMaildir(bed.dovecot.maildir('repeats'), [mail()]);
  await bed.addConnection('repeats', mailboxColumns(bed.dovecot, 'IMAP', 'repeats'));
  assert.equal((await bed.poll('repeats')).lastMailCount, 1);
  const container = BlobServiceClient.fromConnectionString(bed.azurite.connectionString).getContainerClient(
    'email-payloads',
  );
  const payloads = async () => {
    const found: { name: string; lastModified: number }[] = [];
    for await (const { name, properties } of container.listBlobsFlat()) {
      found.push({ name, lastModified: properties.lastModified.getTime() });
    }
    return found;
  };
  const [first, ...none] = await payloads();
  assert.ok(first);
  assert.deepEqual(none, []);
  // Ages are told by the second.
  const nextSecond = Math.ceil((first.lastModified + 1) / 1_000) * 1_000;
  while (Date.now() < nextSecond + 50) await new Promise((resolve) => setTimeout(resolve, 50));
  await markUnread();
  const state = await bed.poll('repeats');
  assert.equal(state.lastError, '');
  assert.equal(state.lastMailCount, 1);
  const again = await payloads();
  assert.deepEqual(
    again.map(({ name }) => name),
    [first.name],
  );
  assert.ok((again[0]?.lastModified ?? 0) > first.lastModified, 'its age is renewed');
  assert.equal(bed.broker.queue(queueName).duplicates, 1);
  const blob = container.getBlobClient(first.name);
  const { contentType, metadata } = await blob.getProperties();
  assert.equal(contentType, 'application/pdf');
  assert.equal(metadata?.sha256, createHash('sha256').update(attachment).digest('hex'));
  assert.ok((await blob.downloadToBuffer()).equals(attachment));
});

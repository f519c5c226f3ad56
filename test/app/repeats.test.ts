import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { type AppTestbed, asPerson, queueName, startAppTestbed } from './testbed.ts';

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

test('a mail that is polled twice leaves one payload, which says what it holds', async () => {
  await bed.addMailbox('repeats', 'IMAP', [mail()]);
  assert.equal((await bed.poll('repeats')).lastMailCount, 1);
  const container = bed.container('email-payloads');
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
  const [message] = bed.broker.queue(queueName).messages;
  assert.equal(message?.applicationProperties?.claimCheck, `email-payloads/${first.name}`);
  assert.equal(message?.body.length, 0);
  // Ages are told by the second.
  const nextSecond = Math.ceil((first.lastModified + 1) / 1_000) * 1_000;
  while (Date.now() < nextSecond + 50) await new Promise((resolve) => setTimeout(resolve, 50));
  await asPerson(bed.dovecot, 'repeats', (client) => client.messageFlagsRemove({ all: true }, ['\\Seen']));
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
  assert.equal(metadata?.sha256, hash('sha256', attachment));
  assert.ok((await blob.downloadToBuffer()).equals(attachment));
});

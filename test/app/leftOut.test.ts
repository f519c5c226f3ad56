import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { BlobServiceClient } from '@azure/storage-blob';
import { listMaildir, seedMaildir } from '../testbed/seed.ts';
import { type AppTestbed, mailboxColumns, queueName, startAppTestbed } from './testbed.ts';

const protocols = ['IMAP', 'POP3'] as const;

const userOf = (kind: string, protocol: string) => `${kind}-${protocol.toLowerCase()}`;

let bed: AppTestbed;
before(async () => {
  bed = await startAppTestbed({
    users: protocols.flatMap((protocol) => [userOf('all', protocol), userOf('names', protocol)]),
  });
});
after(() => bed.stop());

const textOnly = Buffer.from('From: a@example.com\r\nSubject: only text\r\n\r\nHello\r\n');
const withPicture = Buffer.from(
  [
    'From: a@example.com',
    'Subject: a picture',
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    'Content-Type: text/plain',
    '',
    'Look',
    '--b',
    'Content-Type: image/png; name=logo.png',
    'Content-Disposition: attachment; filename=logo.png',
    'Content-Transfer-Encoding: base64',
    '',
    'aGVsbG8=',
    '--b--',
    '',
  ].join('\r\n'),
);

async function journalLines(name: string): Promise<Record<string, unknown>[]> {
  const service = BlobServiceClient.fromConnectionString(bed.azurite.connectionString);
  const container = service.getContainerClient('email-journal');
  const lines: Record<string, unknown>[] = [];
  for await (const blob of container.listBlobsFlat()) {
    if (!blob.name.endsWith(`/acme/${name}.jsonl`)) continue;
    const text = (await container.getBlobClient(blob.name).downloadToBuffer()).toString();
    lines.push(
      ...text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
    );
  }
  return lines;
}

for (const protocol of protocols) {
  test(`${protocol}: a mail of which a rule leaves out all is settled, told of, and no delivered mail`, async () => {
    const user = userOf('all', protocol);
    await seedMaildir(bed.dovecot.maildir(user), [textOnly, withPicture]);
    await bed.addConnection(user, { ...mailboxColumns(bed.dovecot, protocol, user), sendMessageBody: false });
    const sent = bed.broker.queue(queueName).accepted;
    const state = await bed.poll(user);
    assert.equal(state.lastStatus, 'ok');
    assert.equal(state.lastMailCount, 1, 'the picture alone counts');
    assert.equal(bed.broker.queue(queueName).accepted - sent, 1);
    const left = await listMaildir(bed.dovecot.maildir(user));
    assert.ok(protocol === 'IMAP' ? left.every(({ seen }) => seen) : left.length === 0);
    const mails = (await journalLines(user)).filter(({ kind }) => kind === 'mail');
    assert.deepEqual(
      mails.map(({ emailSubject, outcome, reason }) => [emailSubject, outcome, reason]).toSorted(),
      [
        ['a picture', 'delivered', undefined],
        ['only text', 'left-out', 'sendMessageBody'],
      ],
    );
    assert.equal((await bed.poll(user)).lastMailCount, 0, 'it does not come again');
  });

  test(`${protocol}: attachmentFilter leaves out by name, numbers without gaps, and says so`, async () => {
    const user = userOf('names', protocol);
    await seedMaildir(bed.dovecot.maildir(user), [withPicture]);
    await bed.addConnection(user, {
      ...mailboxColumns(bed.dovecot, protocol, user),
      sendMessageBody: false,
      attachmentFilter: '*.pdf, !logo*',
    });
    const state = await bed.poll(user);
    assert.equal(state.lastError, '');
    assert.equal(state.lastMailCount, 0);
    const [line] = (await journalLines(user)).filter(({ kind }) => kind === 'mail');
    assert.equal(line?.outcome, 'left-out');
    assert.match(String(line?.reason), /attachmentFilter|sendMessageBody/);
  });
}

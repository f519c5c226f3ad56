import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { base64Lines } from '../mail/encode.ts';
import { addImapServer, startPollingBed } from './pollingBed.ts';

const bed = await startPollingBed([]);
after(() => bed.stop());

const pictures = 24;
const pictureBytes = (index: number) => Buffer.alloc(30_000, `picture ${index} `);

const album = Buffer.from(
  `Subject: album\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n${Array.from(
    { length: pictures },
    (_, index) =>
      `--b\r\nContent-Type: image/jpeg; name=${index}.jpg\r\nContent-Transfer-Encoding: base64\r\n\r\n${base64Lines(pictureBytes(index))}\r\n`,
  ).join('')}--b--\r\n`,
);

test('a mail whose many payloads have other numbers than before arrives', async (t) => {
  const queueName = 'small';
  const queue = bed.broker.createQueue({ name: queueName, maxMessageSizeBytes: 20_000 });
  await addImapServer(bed, t, 'album', { mails: [album] }, { queueName });
  assert.equal((await bed.poll('album')).lastError, '');
  assert.equal(queue.accepted, pictures);
  // The mail is marked unread, to come again without its first picture: each one's name is another's now.
  await bed.setColumns('album', { attachmentFilter: '!0.jpg' });
  const { lastError, lastMailCount } = await bed.poll('album');
  assert.deepEqual([lastError, lastMailCount, queue.accepted], ['', 1, 2 * pictures - 1]);
  const payloads = bed.container('email-payloads');
  for (const [index, { applicationProperties }] of queue.messages.slice(pictures).entries()) {
    const blob = String(applicationProperties?.claimCheck).replace('email-payloads/', '');
    const bytes = await payloads.getBlobClient(blob).downloadToBuffer();
    assert.ok(bytes.equals(pictureBytes(index + 1)), blob);
  }
});

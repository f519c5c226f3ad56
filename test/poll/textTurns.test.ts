import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { after, type TestContext, test } from 'node:test';
import type { Answer } from '../mailbox/imap/scriptedImapServer.ts';
import { messagesOf, until } from '../reliability/mails.ts';
import { addImapServer, startPollingBed } from './pollingBed.ts';

const mebibyte = 1_048_576;

const bed = await startPollingBed([]);
after(() => bed.stop());

const linesOf = (bytes: number, line: string) => Buffer.alloc(bytes, line);
const attachment = linesOf(1.5 * mebibyte, 'a line of an attachment\r\n');
const text = linesOf(3 * mebibyte, 'a line of the text\n');

/** Both parts are more than a message of the queue carries, and the attachment is uploaded before the text is read. */
const mail = Buffer.concat([
  Buffer.from('Subject: two\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n'),
  Buffer.from('--b\r\nContent-Type: application/zip; name=a.zip\r\n\r\n'),
  attachment,
  Buffer.from('\r\n--b\r\nContent-Type: text/plain\r\n\r\n'),
  text,
  Buffer.from('\r\n--b--\r\n'),
]);

/** A mailbox whose mail is held back from its fourth MiB on until `mayGoOn`; gives from where it was asked for. */
async function addServer(t: TestContext, name: string, mayGoOn: Promise<void>): Promise<readonly number[]> {
  const offsets: number[] = [];
  const FETCH: Answer = async ({ args }) => {
    const [, offset] = /BODY\.PEEK\[\]<(\d+)\./.exec(args) ?? [];
    offsets.push(Number(offset));
    if (Number(offset) >= 3 * mebibyte) await mayGoOn;
    return undefined;
  };
  await addImapServer(bed, t, name, { mails: [mail], answers: { FETCH } });
  return offsets;
}

test('a mail that waits for its turn to hold text is let go of, read again from its beginning, and arrives whole', async (t) => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const holder = await addServer(t, 'holder', released);
  const waiter = await addServer(t, 'waiter', Promise.resolve());
  const poll = await bed.openInstance();
  const polls = [poll('holder')];
  await until('the first has the turn of its queue', () => holder.includes(3 * mebibyte));
  polls.push(poll('waiter'));
  await until('the second needs one', () => waiter.includes(3 * mebibyte));
  release();

  for (const state of await Promise.all(polls)) {
    assert.deepEqual([state.lastStatus, state.lastError, state.lastMailCount], ['ok', '', 1]);
  }
  const timesBegun = (offsets: readonly number[]) => offsets.filter((offset) => offset === 0).length;
  assert.deepEqual([timesBegun(holder), timesBegun(waiter)], [1, 2]);
  const payloads = bed.container('email-payloads');
  for (const name of ['holder', 'waiter']) {
    const hashes = new Map<unknown, string>();
    for (const { subject, applicationProperties = {} } of messagesOf(bed, name)) {
      const blob = String(applicationProperties.claimCheck).replace('email-payloads/', '');
      hashes.set(subject, hash('sha256', await payloads.getBlobClient(blob).downloadToBuffer()));
    }
    assert.deepEqual(Object.fromEntries(hashes), {
      body: hash('sha256', text),
      attachment: hash('sha256', attachment),
    });
  }
});

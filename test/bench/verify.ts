import { createHash } from 'node:crypto';
import { BlobServiceClient } from '@azure/storage-blob';
import { forEachOf } from '../../shared/wait/parallel.ts';
import type { ListedMessage } from '../testbed/broker/control.ts';
import { listMaildir } from '../testbed/seed.ts';
import type { StoredMail } from './stock.ts';

const emptySha256 = createHash('sha256').digest('hex');
const blobsAtOnce = 8;

/**
 * Throws unless the messages are those of these mails: none missing, none twice, each with the bytes
 * that were seeded, also where a claim check leads to them.
 */
export async function checkArrived(
  messages: readonly ListedMessage[],
  mails: readonly StoredMail[],
  storageConnectionString: string,
): Promise<void> {
  const expected = new Map<string, string>();
  for (const { messageId, parts } of mails) {
    for (const [index, { kind, sizeBytes, sha256 }] of parts.entries()) {
      expected.set(`${messageId} ${index + 1}/${parts.length}`, `${kind} of ${sizeBytes} bytes ${sha256}`);
    }
  }
  const blobs = BlobServiceClient.fromConnectionString(storageConnectionString);
  const ids = new Set<string | undefined>();
  await forEachOf(messages, blobsAtOnce, async (message) => {
    const { emailMessageId, partNumber, partCount, size, sha256 } = message.applicationProperties;
    const key = `${emailMessageId} ${partNumber}/${partCount}`;
    const content = await contentOf(message, blobs);
    const found = `${message.subject} of ${content.sizeBytes} bytes ${content.sha256}`;
    if (expected.get(key) !== found)
      throw new Error(`${key} arrived as ${found}, not as ${expected.get(key)}.`);
    if (size !== content.sizeBytes || sha256 !== content.sha256)
      throw new Error(`${key} says wrong of itself.`);
    expected.delete(key);
    ids.add(message.messageId);
  });
  if (expected.size > 0)
    throw new Error(`${expected.size} parts did not arrive, as ${[...expected.keys()][0]}.`);
  if (ids.size !== messages.length) throw new Error('Some messages have an id in common.');
}

/** Throws unless the mails are settled: read where IMAP keeps them, gone with POP3. */
export async function checkMailbox(
  maildir: string,
  protocol: 'IMAP' | 'POP3',
  mailCount: number,
): Promise<void> {
  const left = await listMaildir(maildir);
  const read = left.filter(({ seen, deleted }) => seen && !deleted).length;
  const expected = protocol === 'IMAP' ? mailCount : 0;
  if (left.length !== expected || read !== expected) {
    throw new Error(
      `${left.length} mails are in the mailbox, ${read} read; there should be ${expected}, all read.`,
    );
  }
}

async function contentOf(
  { bodySha256, sizeBytes, applicationProperties }: ListedMessage,
  blobs: BlobServiceClient,
): Promise<{ sizeBytes: number; sha256: string }> {
  const { claimCheck } = applicationProperties;
  if (claimCheck === undefined) return { sizeBytes, sha256: bodySha256 };
  if (bodySha256 !== emptySha256) throw new Error('A message with a claim check has a body, too.');
  const [, container = '', name = ''] = /^([^/]+)\/(.+)$/s.exec(String(claimCheck)) ?? [];
  const bytes = await blobs.getContainerClient(container).getBlobClient(name).downloadToBuffer();
  return { sizeBytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}

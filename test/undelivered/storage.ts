import { createHash, randomUUID } from 'node:crypto';
import type { TableClient } from '@azure/data-tables';
import type { ContainerClient } from '@azure/storage-blob';
import { buildMessages, interchangeIdOf, type PartMessage } from '../../shared/delivery/message.ts';
import { Failure } from '../../shared/failure/failure.ts';
import type { Content, Part } from '../../shared/mail/mail.ts';
import { openContainer } from '../../shared/storage/blobs.ts';
import { openTable } from '../../shared/storage/tables.ts';
import { openRecordBlobs, type RecordBlobs } from '../../shared/undelivered/recordBlobs.ts';
import { openRecordTable, type RecordTable } from '../../shared/undelivered/recordTable.ts';
import { openRetryQueue } from '../../shared/undelivered/retryQueue.ts';
import type { RetryQueue, UndeliveredMail, UndeliveredStore } from '../../shared/undelivered/undelivered.ts';
import { openUndeliveredStore } from '../../shared/undelivered/undeliveredStore.ts';
import type { Azurite } from '../testbed/azurite.ts';

/** Table and containers of one test, apart from those of the others. */
export interface Storage {
  readonly table: TableClient;
  readonly undelivered: ContainerClient;
  readonly payloads: ContainerClient;
  readonly clock: Clock;
  readonly store: UndeliveredStore;
  readonly queue: RetryQueue;
  /** As `queue`, over parts that fail as `records` and `blobs` say. */
  queueOver(records: Partial<RecordTable>, blobs: Partial<RecordBlobs>): RetryQueue;
  /** Names of all blobs in the container of undelivered mails. */
  blobs(): Promise<string[]>;
  rows(): Promise<Record<string, unknown>[]>;
}

export interface Clock {
  now: Date;
}

export async function openStorage(azurite: Pick<Azurite, 'connectionString'>): Promise<Storage> {
  const suffix = randomUUID().replaceAll('-', '').slice(0, 12);
  const access = { kind: 'connectionString', connectionString: azurite.connectionString } as const;
  const noCredential = () => Promise.reject(new Error('No identity here.'));
  const table = await openTable(access, `Undelivered${suffix}`, noCredential);
  const undelivered = await openContainer(access, `undelivered-${suffix}`, noCredential);
  const payloads = await openContainer(access, `payloads-${suffix}`, noCredential);
  const clock: Clock = { now: new Date('2026-11-20T10:00:45.500Z') };
  const now = () => clock.now;
  const records = openRecordTable(table);
  const blobs = openRecordBlobs({ undelivered, payloads });
  return {
    table,
    undelivered,
    payloads,
    clock,
    store: openUndeliveredStore(records, blobs, now),
    queue: openRetryQueue(records, blobs, now),
    queueOver: (overRecords, overBlobs) =>
      openRetryQueue({ ...records, ...overRecords }, { ...blobs, ...overBlobs }, now),
    blobs: async () => {
      if (!(await undelivered.exists())) return [];
      const names: string[] = [];
      for await (const blob of undelivered.listBlobsFlat()) names.push(blob.name);
      return names;
    },
    rows: async () => {
      const rows: Record<string, unknown>[] = [];
      try {
        for await (const row of table.listEntities()) rows.push(row);
      } catch {
        // The table is made at first use.
      }
      return rows;
    },
  };
}

export function contentOf(bytes: Buffer): Content {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { kind: 'bytes', bytes, sizeBytes: bytes.length, sha256 };
}

/** A mail none of whose parts was accepted, with one part for each of `bodies`. */
export function undeliveredMail(
  bodies: readonly (Content | string)[],
  with_: Partial<UndeliveredMail> & { readonly uid?: number } = {},
): UndeliveredMail {
  const { uid = 1, ...rest } = with_;
  const identity = {
    customer: rest.customer ?? 'acme',
    connection: rest.connection ?? 'orders',
    mailKey: `imap:7:${uid}:INBOX`,
  };
  const envelope = { subject: 'Order 17 – Ümlaut', messageId: '<17@example.com>', from: 'a@example.com' };
  const parts = bodies.map((body, index): Part => {
    const content = typeof body === 'string' ? contentOf(Buffer.from(body)) : body;
    return index === 0
      ? { kind: 'body', contentType: 'text/plain; charset=utf-8', fileName: 'body.txt', content }
      : { kind: 'attachment', contentType: 'application/pdf', fileName: `${index}.pdf`, content };
  });
  const endpoint = 'imaps://mail.example.com:993/INBOX';
  const messages = buildMessages({ ...identity, endpoint }, { envelope, parts }, 'mail');
  return {
    ...identity,
    queueName: 'inbound',
    interchangeId: interchangeIdOf(identity),
    envelope,
    failure: new Failure('delivery', 'Service Bus queue inbound was away.'),
    partCount: messages.length,
    parts: messages,
    ...rest,
  };
}

/** The same mail when only these parts are left. */
export function onlyParts(mail: UndeliveredMail, numbers: readonly number[]): UndeliveredMail {
  const isLeft = ({ partNumber }: PartMessage) => numbers.includes(partNumber);
  return { ...mail, parts: mail.parts.filter(isLeft) };
}

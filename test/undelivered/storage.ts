import { randomUUID } from 'node:crypto';
import type { TestContext } from 'node:test';
import type { Content, Part } from '../../shared/mail/mail.ts';
import { identifyMail } from '../../shared/message/identity.ts';
import { buildMessages, interchangeIdOf } from '../../shared/message/message.ts';
import { openContainer } from '../../shared/storage/blobs.ts';
import { openTable } from '../../shared/storage/tables.ts';
import { StoredParts } from '../../shared/undelivered/storedParts.ts';
import {
  type DueRecord,
  type UndeliveredMail,
  UndeliveredStore,
} from '../../shared/undelivered/undeliveredStore.ts';
import { accessTo, blobNames, contentOf, noCredential } from '../destination/support.ts';
import type { Azurite } from '../testbed/azurite.ts';

type Row = Readonly<Record<string, unknown>> & { readonly partitionKey: string; readonly rowKey: string };

export type Storage = Awaited<ReturnType<typeof openStorage>>;

/** Tables and containers of one test, apart from those of the others. */
export async function openStorage(azurite: Pick<Azurite, 'connectionString'>) {
  const suffix = randomUUID().replaceAll('-', '').slice(0, 12);
  const access = accessTo(azurite.connectionString);
  const table = await openTable(access, `Undelivered${suffix}`, noCredential);
  /** That of delivered mails. */
  const delivered = await openTable(access, `Delivered${suffix}`, noCredential);
  const undelivered = await openContainer(access, `undelivered-${suffix}`, noCredential);
  const payloads = await openContainer(access, `payloads-${suffix}`, noCredential);
  const clock = { now: new Date('2026-11-20T10:00:45.500Z') };
  const parts = new StoredParts(undelivered, payloads);
  const store = new UndeliveredStore(table, parts, () => clock.now);
  const allRows = async (): Promise<Row[]> => {
    const rows: Row[] = [];
    try {
      for await (const row of table.listEntities()) {
        const { partitionKey = '', rowKey = '' } = row;
        rows.push({ ...row, partitionKey, rowKey });
      }
    } catch {
      // The table is made at first use.
    }
    return rows;
  };
  const isMark = ({ rowKey }: Row) => rowKey.startsWith('mark');
  return {
    ...{ table, delivered, undelivered, payloads, clock, parts, store },
    /** All records, the newest first. */
    records: async () => (await store.list({ limit: 100 })).records,
    newest: async () => (await store.list({ limit: 1 })).records[0],
    /** What is due, the newest first. */
    async due() {
      const due: DueRecord[] = [];
      for await (const each of store.findDue()) due.push(each);
      return due;
    },
    /** Names of all blobs in the container of undelivered mails. */
    blobs: () => blobNames(undelivered),
    /** The rows of records, without the marks. */
    rows: async () => (await allRows()).filter((row) => !isMark(row)),
    marks: async () => (await allRows()).filter(isMark),
  };
}

export function passMinutes(storage: Storage, minutes: number): void {
  storage.clock.now = new Date(storage.clock.now.getTime() + minutes * 60_000);
}

/** As after an answer that was lost: the repeat that follows finds its own change. */
export function repeatUpdates(t: TestContext, { table }: Storage): void {
  const update = table.updateEntity.bind(table);
  t.mock.method(table, 'updateEntity', async (...args: Parameters<typeof update>) => {
    await update(...args);
    return await update(...args);
  });
}

/** A mail none of whose parts was accepted, with one part for each of `bodies`. */
export function undeliveredMail(
  bodies: readonly (Content | string)[],
  with_: Partial<UndeliveredMail> & { readonly uid?: number } = {},
): UndeliveredMail {
  const { uid = 1, ...rest } = with_;
  const mailboxId = rest.mailboxId ?? 'imap|mail.example.com|box|INBOX|7';
  const origin = {
    customer: rest.customer ?? 'acme',
    connection: rest.connection ?? 'orders',
    identity: rest.identity ?? identifyMail(mailboxId, `imap:7:${uid}:INBOX`, `fields ${uid}`),
  };
  const envelope = { subject: 'Order 17 – Ümlaut', messageId: '<17@example.com>', from: 'a@example.com' };
  const parts = bodies.map((body, index): Part => {
    const content = typeof body === 'string' ? contentOf(Buffer.from(body)) : body;
    return index === 0
      ? { kind: 'body', contentType: 'text/plain; charset=utf-8', fileName: 'body.txt', content }
      : { kind: 'attachment', contentType: 'application/pdf', fileName: `${index}.pdf`, content };
  });
  const endpoint = 'imaps://mail.example.com:993/INBOX';
  const messages = buildMessages({ ...origin, endpoint }, { envelope, parts }, 'mail');
  return {
    ...origin,
    mailboxId,
    protocol: 'imap',
    queueName: 'inbound',
    interchangeId: interchangeIdOf(origin),
    envelope,
    error: 'Service Bus queue inbound was away.',
    partCount: messages.length,
    parts: messages,
    ...rest,
  };
}

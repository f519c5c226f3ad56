import { readTime } from '../schedule/due.ts';
import { nextTryAt } from './backOff.ts';
import { readPartNumbers, writePartNumbers } from './partNumbers.ts';
import type { RecordChange, UndeliveredMail, UndeliveredRecord, UndeliveredStatus } from './undelivered.ts';

/** All records lie in one partition: there are few, and one query must find those that are due. */
export const recordPartition = 'undelivered';

/**
 * A record's life: `storing` while its blobs are written, then `waiting` or `abandoned`, then `delivered`
 * until its blobs are gone. So every blob has a row that leads to it, whatever dies in between.
 */
export type RowStatus = 'storing' | 'delivered' | UndeliveredStatus;

/** An entity of table `EmailUndelivered`. */
export interface RecordRow {
  readonly id: string;
  readonly etag: string;
  readonly status: RowStatus;
  /** Where in the container its blobs lie; a new one for each try to store. */
  readonly folder: string;
  /** Ascending. */
  readonly unsent: readonly number[];
  readonly takenUntil: Date | undefined;
  /** Who has taken it last. */
  readonly taker: string | undefined;
  /** As the mail's key says. */
  readonly protocol: 'imap' | 'pop3' | 'unknown';
  readonly record: Omit<UndeliveredRecord, 'status'>;
}

export type RowColumns = Readonly<Record<string, string | number>>;

/** A leftover is cleared when the run that was storing it can't be at work any more. */
const storingLastsMs = 3_600_000;
const maxErrorCharacters = 1_024;
const maxKeyCharacters = 1_024;
const maxEnvelopeCharacters = 256;

/** The row of a mail whose blobs are about to be written. */
export function storingRow(mail: UndeliveredMail, folder: string, now: Date): RowColumns {
  const { envelope } = mail;
  return {
    status: 'storing' satisfies RowStatus,
    folder,
    customer: mail.customer,
    connection: mail.connection,
    queueName: mail.queueName,
    mailKey: cut(mail.mailKey, maxKeyCharacters),
    interchangeId: mail.interchangeId,
    ...(envelope.subject ? { emailSubject: cut(envelope.subject, maxEnvelopeCharacters) } : {}),
    ...(envelope.messageId ? { emailMessageId: cut(envelope.messageId, maxEnvelopeCharacters) } : {}),
    storedAt: now.toISOString(),
    nextTryAt: new Date(now.getTime() + storingLastsMs).toISOString(),
    takenUntil: '',
    tries: 0,
    lastError: cut(mail.failure.message, maxErrorCharacters),
    partCount: mail.partCount,
    ...unsentColumns(mail.parts.map(({ partNumber }) => partNumber)),
  };
}

/** What is merged once the blobs are written. */
export function storedColumns(now: Date): RowColumns {
  return {
    status: 'waiting' satisfies RowStatus,
    storedAt: now.toISOString(),
    nextTryAt: nextTryAt(0, now).toISOString(),
  };
}

export function unsentColumns(unsent: readonly number[]): RowColumns {
  return { unsent: writePartNumbers(unsent), partsLeft: unsent.length };
}

export function changeColumns(change: RecordChange): RowColumns {
  return {
    status: change.status,
    nextTryAt: change.nextTryAt?.toISOString() ?? '',
    tries: change.tries,
    takenUntil: '',
    ...(change.lastTryAt ? { lastTryAt: change.lastTryAt.toISOString() } : {}),
    ...(change.lastError === undefined ? {} : { lastError: cut(change.lastError, maxErrorCharacters) }),
  };
}

/** Decodes an entity; undefined for one that this app can't have written. */
export function readRow(entity: Readonly<Record<string, unknown>>): RecordRow | undefined {
  const { rowKey, etag, folder, customer, connection, queueName, unsent } = entity;
  const status = statuses.find((known) => known === entity.status);
  const storedAt = readTime(entity.storedAt);
  if (!status || !storedAt || !isText(rowKey) || !isText(folder) || !isText(unsent)) return undefined;
  if (!isText(customer) || !isText(connection) || !isText(queueName)) return undefined;
  const partCount = readCount(entity.partCount);
  // Someone has edited it: rather a part twice, which its messageId tells, than never.
  const numbers = readPartNumbers(unsent) ?? Array.from({ length: partCount }, (_, index) => index + 1);
  return {
    id: rowKey,
    etag: isText(etag) ? etag : '*',
    status,
    folder,
    unsent: numbers,
    takenUntil: readTime(entity.takenUntil),
    taker: isText(entity.taker) ? entity.taker : undefined,
    protocol: protocolOf(entity.mailKey),
    record: {
      id: rowKey,
      customer,
      connection,
      queueName,
      storedAt,
      nextTryAt: readTime(entity.nextTryAt),
      lastTryAt: readTime(entity.lastTryAt),
      tries: readCount(entity.tries),
      lastError: isText(entity.lastError) ? entity.lastError : '',
      partsLeft: numbers.length,
      partCount,
      emailSubject: isText(entity.emailSubject) ? entity.emailSubject : undefined,
      emailMessageId: isText(entity.emailMessageId) ? entity.emailMessageId : undefined,
    },
  };
}

/** The record as operators see it; undefined while it is being stored or removed. */
export function visibleRecord(row: RecordRow | undefined): UndeliveredRecord | undefined {
  if (row?.status !== 'waiting' && row?.status !== 'abandoned') return undefined;
  return { ...row.record, status: row.status };
}

const statuses: readonly RowStatus[] = ['storing', 'waiting', 'abandoned', 'delivered'];

function protocolOf(mailKey: unknown): RecordRow['protocol'] {
  if (!isText(mailKey)) return 'unknown';
  return mailKey.startsWith('imap:') ? 'imap' : mailKey.startsWith('pop3') ? 'pop3' : 'unknown';
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function readCount(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}

function cut(text: string, maxCharacters: number): string {
  return text.slice(0, maxCharacters).toWellFormed();
}

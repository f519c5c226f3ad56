import type { ConnectionKey } from '../connection/connectionStore.ts';
import type { MailEnvelope } from '../mail/mail.ts';
import { clockToleranceMs, minuteMs, readTime } from '../time/time.ts';

/**
 * `waiting` for its next try; `abandoned` after the age limit, kept for a person to resend or give up. In the table a
 * record begins as `storing`, while its blobs are written, and ends as `removing`, until they are gone: so every blob
 * has a row that leads to it, whatever dies in between.
 */
export type UndeliveredStatus = 'waiting' | 'abandoned';

/** How each column of a record is read, save those by which it is known for one. */
const readers = {
  protocol: (value: unknown) => (value === 'pop3' ? 'pop3' : 'imap'),
  interchangeId: (value: unknown) => readText(value) ?? '',
  /** On a whole minute; undefined when abandoned. */
  nextTryAt: readTime,
  lastTryAt: readTime,
  /** Tries by the catastrophic retry that failed. */
  tries: readCount,
  /** One sentence, at most 1,024 characters. */
  lastError: (value: unknown) => readText(value) ?? '',
  /** How many parts are still to be sent. */
  partsLeft: readCount,
  partCount: readCount,
  /** Cut at 256 characters each; they help a person to know the mail. */
  emailSubject: readText,
  emailFrom: readText,
  emailDate: readText,
  emailMessageId: readText,
};

/** What an operator sees of one undelivered mail. */
export type UndeliveredRecord = ConnectionKey & {
  /** Sorts the newest first. */
  readonly id: string;
  readonly queueName: string;
  readonly status: UndeliveredStatus;
  readonly storedAt: Date;
} & { readonly [Name in keyof typeof readers]: ReturnType<(typeof readers)[Name]> };

/** What is merged into a record after a try. */
export interface RecordChange {
  readonly status: UndeliveredStatus;
  readonly nextTryAt: Date | undefined;
  readonly tries: number;
  /** Both stay as they were where absent. */
  readonly lastTryAt?: Date;
  readonly lastError?: string;
}

export type RowColumns = Readonly<Record<string, string | number>>;

/** All records lie in one partition: those that are due are found by one query, whatever their queue. */
export const recordPartition = 'undelivered';
/** The keys of the marks of stored mails, in the same partition, begin with this and sort behind all records. */
const markPrefix = 'mark';
export const afterRecords = markPrefix;

/** A leftover is cleared when the run that was storing it can't be at work any more. */
const storingLastsMs = 3_600_000;
const maxErrorCharacters = 1_024;
const maxEnvelopeCharacters = 256;
const latestMs = 9_999_999_999_999;
const waitsMinutes = [1, 2, 4, 8, 16, 32];
const longestWaitMinutes = 60;
export const longestWaitMs = longestWaitMinutes * minuteMs;

/** An id that sorts before those of all older records. */
export function newRecordId(storedAt: Date, uuid: string): string {
  return `${String(latestMs - storedAt.getTime()).padStart(13, '0')}-${uuid}`;
}

export function isRecordId(id: string): boolean {
  return /^\d{13}-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id);
}

/** The key of the mark that says of a mail that it was stored; `identityId` is its identity's. */
export function markKey(customer: string, connection: string, identityId: string): string {
  return `${markPrefix}|${customer}|${connection}|${identityId}`;
}

/** OData: the marks of one connection. */
export function marksOf(customer: string, connection: string): string {
  const prefix = markKey(customer, connection, '');
  return `PartitionKey eq '${recordPartition}' and RowKey ge '${prefix}' and RowKey lt '${prefix}~'`;
}

/** What the row of a mail says whose blobs are about to be written. */
export interface NewRecord
  extends Pick<
    UndeliveredRecord,
    'customer' | 'connection' | 'protocol' | 'queueName' | 'interchangeId' | 'partCount' | 'partsLeft'
  > {
  readonly envelope: MailEnvelope;
  /** Why it could not be sent: one sentence. */
  readonly error: string;
}

export function storingRow(mail: NewRecord, now: Date): RowColumns {
  const { customer, connection, protocol, queueName, interchangeId, partCount, partsLeft } = mail;
  const { subject, from, date, messageId } = mail.envelope;
  const known = { emailSubject: subject, emailFrom: from, emailDate: date, emailMessageId: messageId };
  const present = Object.entries(known).flatMap(([name, value]) =>
    value ? [[name, cut(value, maxEnvelopeCharacters)] as const] : [],
  );
  return {
    status: 'storing',
    ...{ customer, connection, protocol, queueName, interchangeId, partCount, partsLeft },
    ...Object.fromEntries(present),
    storedAt: now.toISOString(),
    nextTryAt: new Date(now.getTime() + storingLastsMs).toISOString(),
    takenUntil: '',
    tries: 0,
    lastError: cut(mail.error, maxErrorCharacters),
  };
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

/** Decodes an entity; undefined for one that this app can't have written, and while it is stored or removed. */
export function readRecord(entity: Readonly<Record<string, unknown>>): UndeliveredRecord | undefined {
  const { status } = entity;
  const texts = [entity.rowKey, entity.customer, entity.connection, entity.queueName].map(readText);
  const [id, customer, connection, queueName] = texts;
  const storedAt = readTime(entity.storedAt);
  if (!storedAt || (status !== 'waiting' && status !== 'abandoned') || texts.includes(undefined)) {
    return undefined;
  }
  const known = { id, customer, connection, queueName, status, storedAt } as const;
  const read = Object.entries(readers).map(([name, reader]) => [name, reader(entity[name])]);
  return { ...known, ...Object.fromEntries(read) } as UndeliveredRecord;
}

/**
 * When a record is due after `failedTries` tries (0: it has just been stored), counted from `from`. On a
 * whole minute, seconds cut off, so that the timer never comes just too early and costs a minute more.
 */
export function nextTryAt(failedTries: number, from: Date): Date {
  const waitMinutes = waitsMinutes[failedTries] ?? longestWaitMinutes;
  return wholeMinute(new Date(from.getTime() + waitMinutes * minuteMs));
}

/**
 * What becomes of a record that could not be sent: due again, at the age limit at the latest, or abandoned. One that
 * was stored by a clock far ahead is as old as its tries have taken.
 */
export function afterFailure(
  record: Pick<UndeliveredRecord, 'storedAt' | 'tries'>,
  triedAt: Date,
  maxAgeMs: number,
): RecordChange {
  const tries = record.tries + 1;
  const first = waitsMinutes.slice(0, tries);
  const waitedMinutes = first.reduce(
    (sum, minutes) => sum + minutes,
    (tries - first.length) * longestWaitMinutes,
  );
  const isAhead = record.storedAt.getTime() > triedAt.getTime() + clockToleranceMs;
  const storedAtMs = isAhead ? triedAt.getTime() - waitedMinutes * minuteMs : record.storedAt.getTime();
  const endsAt = wholeMinute(new Date(storedAtMs + maxAgeMs));
  if (triedAt >= endsAt) return { status: 'abandoned', nextTryAt: undefined, tries };
  const dueAtMs = Math.min(nextTryAt(tries, triedAt).getTime(), endsAt.getTime());
  return { status: 'waiting', nextTryAt: new Date(dueAtMs), tries };
}

export function wholeMinute(time: Date): Date {
  return new Date(Math.floor(time.getTime() / minuteMs) * minuteMs);
}

function readText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function readCount(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}

function cut(text: string, maxCharacters: number): string {
  return text.slice(0, maxCharacters).toWellFormed();
}

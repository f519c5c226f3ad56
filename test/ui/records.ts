import { randomUUID } from 'node:crypto';
import { changeColumns, newRecordId, recordPartition, storingRow } from '../../shared/undelivered/record.ts';
import type { AppTestbed } from '../app/testbed.ts';

export interface MadeRecord {
  readonly connection: string;
  readonly subject: string;
  readonly from?: string;
  readonly interchangeId?: string;
  readonly storedAt: Date;
  readonly tries: number;
  readonly partCount: number;
  readonly partsLeft: number;
  /** Undefined for an abandoned one. */
  readonly nextTryAt: Date | undefined;
  readonly error: string;
}

/** Puts the record of an undelivered mail of customer `acme` into the table, without its parts; gives its id. */
export async function addRecord(bed: AppTestbed, made: MadeRecord): Promise<string> {
  const { connection, subject, from, storedAt, tries, partCount, partsLeft, nextTryAt, error } = made;
  const interchangeId = made.interchangeId ?? randomUUID();
  const mail = {
    customer: 'acme',
    connection,
    protocol: 'imap',
    queueName: 'email-inbound',
    interchangeId,
    envelope: { subject, date: storedAt.toISOString(), ...(from === undefined ? {} : { from }) },
    error,
    partCount,
    partsLeft,
  } as const;
  const status = nextTryAt === undefined ? 'abandoned' : 'waiting';
  const id = newRecordId(storedAt, randomUUID());
  const table = bed.table('EmailUndelivered');
  await table.createTable();
  await table.upsertEntity({
    partitionKey: recordPartition,
    rowKey: id,
    ...storingRow(mail, storedAt),
    ...changeColumns({ status, nextTryAt, tries }),
  });
  return id;
}

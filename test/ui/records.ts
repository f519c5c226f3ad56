import { Failure } from '../../shared/failure/failure.ts';
import {
  changeColumns,
  recordPartition,
  storingRow,
  unsentColumns,
} from '../../shared/undelivered/recordRow.ts';
import type { AppTestbed } from '../app/testbed.ts';

export interface MadeRecord {
  readonly id: string;
  readonly connection: string;
  readonly subject: string;
  readonly storedAt: Date;
  readonly tries: number;
  readonly partCount: number;
  readonly unsent: readonly number[];
  /** Undefined for an abandoned one. */
  readonly nextTryAt: Date | undefined;
  readonly error: string;
}

/** Puts the record of an undelivered mail of customer `acme` into the table, without its parts. */
export async function addRecord(bed: AppTestbed, made: MadeRecord): Promise<void> {
  const { id, connection, subject, storedAt, tries, partCount, unsent, nextTryAt, error } = made;
  const mail = {
    customer: 'acme',
    connection,
    queueName: 'email-inbound',
    mailKey: `imap:INBOX:1:${id}`,
    interchangeId: id,
    envelope: { subject },
    failure: new Failure('queue', error),
    partCount,
    parts: [],
  };
  const status = nextTryAt === undefined ? 'abandoned' : 'waiting';
  const table = bed.table('EmailUndelivered');
  await table.createTable();
  await table.upsertEntity({
    partitionKey: recordPartition,
    rowKey: id,
    ...storingRow(mail, id, storedAt),
    ...unsentColumns(unsent),
    ...changeColumns({ status, nextTryAt, tries }),
  });
}

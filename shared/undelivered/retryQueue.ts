import { randomUUID } from 'node:crypto';
import { Failure } from '../failure/failure.ts';
import type { RecordBlobs } from './recordBlobs.ts';
import { changeColumns, type RecordRow, unsentColumns, visibleRecord } from './recordRow.ts';
import type { RecordTable } from './recordTable.ts';
import type {
  DueRecord,
  Leftover,
  RecordChange,
  RetryQueue,
  TakenRecord,
  UndeliveredRecord,
} from './undelivered.ts';

/**
 * How long a record stays with who has taken it: longer than any tick can take, since a taker that has died
 * holds it as long.
 */
export const takenMs = 600_000;

const maxConflicts = 5;

/** The side of the store that `retryDeliveries` works on; several instances may work on it at once. */
export function openRetryQueue(table: RecordTable, blobs: RecordBlobs, now: () => Date): RetryQueue {
  /** Gives the row's new version; undefined when another instance was quicker. */
  const takeRow = async (id: string, etag: string): Promise<RecordRow | undefined> => {
    const taker = randomUUID();
    const takenUntil = new Date(now().getTime() + takenMs).toISOString();
    await table.merge(id, { taker, takenUntil }, etag);
    // Read whether or not it was refused: a repeated request is, where the first one's answer was lost.
    const row = await table.read(id);
    return row?.taker === taker ? row : undefined;
  };

  const removeRow = async ({ id, folder, etag }: Leftover): Promise<void> => {
    await blobs.removeFolder(folder);
    await table.remove(id, etag);
  };

  const keep = async (row: RecordRow, accepted: ReadonlySet<number>, change: RecordChange): Promise<void> => {
    let current: RecordRow | undefined = row;
    for (let conflicts = 0; conflicts < maxConflicts; conflicts += 1) {
      // Gone or delivered: another run got the rest accepted meanwhile.
      if (current === undefined || !visibleRecord(current)) return;
      const left = current.unsent.filter((number) => !accepted.has(number));
      const columns = { ...unsentColumns(left), ...changeColumns(change) };
      if ((await table.merge(row.id, columns, current.etag)) !== undefined) return;
      current = await table.read(row.id);
    }
    throw new Failure('storage', `The record of undelivered mail ${row.id} is being changed by others.`);
  };

  const takenRecord = (row: RecordRow, record: UndeliveredRecord): TakenRecord => ({
    record,
    async readParts() {
      const unsent = new Set(row.unsent);
      const parts = await blobs.readParts(row.folder, row.id);
      const left = parts.filter(({ partNumber }) => unsent.has(partNumber));
      if (left.length > 0) return left;
      // Else nothing left to send would pass for everything sent.
      throw new Failure('storage', `Undelivered mail ${row.id} has none of the parts that its record names.`);
    },
    readBody: (part) => blobs.readBody(row.folder, part),
    toClaimCheck: (part) => blobs.toClaimCheck(row.folder, part, record),
    async remove() {
      // This write decides that nothing of it is sent again; whoever finds the row later only clears it.
      const delivered = { status: 'delivered', nextTryAt: now().toISOString() };
      const etag = await table.merge(row.id, delivered, '*');
      if (etag !== undefined) await removeRow({ id: row.id, folder: row.folder, etag });
    },
    keep: (accepted, change) => keep(row, accepted, change),
  });

  return {
    async findDue(limit) {
      const records: DueRecord[] = [];
      const leftovers: Leftover[] = [];
      const time = now().toISOString();
      const filter = `status ne 'abandoned' and nextTryAt le '${time}' and takenUntil le '${time}'`;
      for await (const row of table.find(filter)) {
        const record = visibleRecord(row);
        if (record) records.push({ record, etag: row.etag });
        else leftovers.push({ id: row.id, folder: row.folder, etag: row.etag });
        if (records.length + leftovers.length >= limit) break;
      }
      return { records, leftovers };
    },

    async take(due) {
      const row = await takeRow(due.record.id, due.etag);
      const record = visibleRecord(row);
      return row && record && takenRecord(row, record);
    },

    async putOff(due, change) {
      await table.merge(due.record.id, changeColumns(change), due.etag);
    },

    async clear(leftover) {
      const row = await takeRow(leftover.id, leftover.etag);
      if (row) await removeRow(row);
    },
  };
}

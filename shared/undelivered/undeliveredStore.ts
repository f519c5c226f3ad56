import { randomUUID } from 'node:crypto';
import { Failure } from '../failure/failure.ts';
import { wholeMinute } from './backOff.ts';
import type { RecordBlobs } from './recordBlobs.ts';
import { type RecordRow, storedColumns, storingRow, unsentColumns, visibleRecord } from './recordRow.ts';
import type { RecordTable } from './recordTable.ts';
import type { UndeliveredMail, UndeliveredRecord, UndeliveredStore } from './undelivered.ts';

/** How often a write is tried anew because another instance came in between. */
const maxConflicts = 5;
const idPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function openUndeliveredStore(
  table: RecordTable,
  blobs: RecordBlobs,
  now: () => Date,
): UndeliveredStore {
  const read = async (id: string): Promise<RecordRow | undefined> =>
    idPattern.test(id) ? await table.read(id) : undefined;

  /** Writes the row that leads to the blobs before there are any, then the blobs, then that they are whole. */
  const storeAnew = async (mail: UndeliveredMail, found: RecordRow | undefined): Promise<boolean> => {
    const { interchangeId } = mail;
    const folder = `${interchangeId}/${randomUUID()}`;
    const row = storingRow(mail, folder, now());
    const etag = found
      ? await table.replace(interchangeId, row, found.etag)
      : ((await table.create(interchangeId, row)) ?? (await ownVersion(interchangeId, folder)));
    if (etag === undefined) return false;
    // Only now can the run that began it not finish any more. What can't be removed does no harm.
    if (found) await blobs.removeFolder(found.folder).catch(() => undefined);
    await blobs.write(folder, mail.parts);
    if ((await table.merge(interchangeId, storedColumns(now()), etag)) !== undefined) return true;
    // A repeated request may be refused since its first try was done though the answer was lost.
    const current = await table.read(interchangeId);
    if (current?.folder === folder) return current.status !== 'storing';
    await blobs.removeFolder(folder);
    return false;
  };

  const ownVersion = async (id: string, folder: string): Promise<string | undefined> => {
    const row = await table.read(id);
    return row?.folder === folder ? row.etag : undefined;
  };

  /** A part that either run got accepted is on the queue. */
  const storeAgain = async (mail: UndeliveredMail, row: RecordRow): Promise<boolean> => {
    if (row.record.partCount !== mail.partCount) return true;
    const unsent = new Set(mail.parts.map(({ partNumber }) => partNumber));
    const left = row.unsent.filter((number) => unsent.has(number));
    if (left.length === row.unsent.length) return true;
    const status = left.length === 0 ? { status: 'delivered', nextTryAt: now().toISOString() } : {};
    return (await table.merge(row.id, { ...unsentColumns(left), ...status }, row.etag)) !== undefined;
  };

  return {
    async store(mail) {
      if (!idPattern.test(mail.interchangeId)) {
        throw new Failure(
          'internal',
          `An undelivered mail of ${mail.customer}/${mail.connection} has no id.`,
        );
      }
      let found: RecordRow | undefined;
      for (let conflicts = 0; conflicts < maxConflicts; conflicts += 1) {
        if (found?.status === 'delivered') return;
        const stored =
          found === undefined || found.status === 'storing'
            ? !isTaken(found, now()) && (await storeAnew(mail, found))
            : await storeAgain(mail, found);
        if (stored) return;
        found = await table.read(mail.interchangeId);
      }
      throw new Failure(
        'storage',
        `Undelivered mail ${mail.interchangeId} of ${mail.customer}/${mail.connection} is being changed by others; it stays on the server and is tried again.`,
      );
    },

    async isStored(interchangeId) {
      const row = await read(interchangeId);
      return row !== undefined && row.status !== 'storing';
    },

    async list(limit) {
      const newest: UndeliveredRecord[] = [];
      for await (const row of table.find(`(status eq 'waiting' or status eq 'abandoned')`)) {
        const record = visibleRecord(row);
        if (record) newest.push(record);
        if (newest.length >= 2 * limit) keepNewest(newest, limit);
      }
      return keepNewest(newest, limit);
    },

    async get(id) {
      return visibleRecord(await read(id));
    },

    async resend(id) {
      for (let conflicts = 0; conflicts < maxConflicts; conflicts += 1) {
        const row = await read(id);
        if (row === undefined || !visibleRecord(row)) return false;
        const due = { status: 'waiting', nextTryAt: wholeMinute(now()).toISOString() };
        if ((await table.merge(id, due, row.etag)) !== undefined) return true;
      }
      throw new Failure('storage', `Undelivered mail ${id} is being changed by others. Try again.`);
    },
  };
}

function isTaken(row: RecordRow | undefined, now: Date): boolean {
  return row?.takenUntil !== undefined && row.takenUntil > now;
}

function keepNewest(records: UndeliveredRecord[], limit: number): UndeliveredRecord[] {
  records.sort((a, b) => b.storedAt.getTime() - a.storedAt.getTime());
  records.length = Math.min(records.length, limit);
  return records;
}

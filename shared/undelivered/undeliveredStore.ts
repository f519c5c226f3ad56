import { randomUUID } from 'node:crypto';
import { odata, type TableClient, type TransactionAction } from '@azure/data-tables';
import type { ConnectionKey } from '../connection/connectionStore.ts';
import { type Fence, FencedOff } from '../destination/destination.ts';
import { Failure } from '../failure/failure.ts';
import { type MailIdentity, shortHash } from '../message/identity.ts';
import type { PartMessage } from '../message/message.ts';
import { withMade } from '../storage/firstUse.ts';
import { codeOf, isMissing, statusOf, storageFailure, unlessMissing } from '../storage/storageFailure.ts';
import { findEntities } from '../storage/tables.ts';
import { clockToleranceMs, readTime } from '../time/time.ts';
import { Limit } from '../wait/parallel.ts';
import type { StoredPart } from './manifest.ts';
import {
  afterRecords,
  changeColumns,
  isRecordId,
  longestWaitMs,
  markKey,
  marksOf,
  type NewRecord,
  newRecordId,
  nextTryAt,
  type RecordChange,
  type RowColumns,
  readRecord,
  recordPartition,
  storingRow,
  type UndeliveredRecord,
  wholeMinute,
} from './record.ts';
import type { StoredParts } from './storedParts.ts';

/** A mail that was fetched and whose parts Service Bus did not all accept within the endpoint retry. */
export interface UndeliveredMail extends Omit<NewRecord, 'partsLeft'> {
  readonly mailboxId: string;
  readonly identity: MailIdentity;
  /** Those that were not accepted, in sending order. */
  readonly parts: readonly PartMessage[];
}

/** What a tick of the retry knows of a record before it takes it. */
export interface DueRecord extends ConnectionKey {
  readonly id: string;
  readonly queueName: string;
  readonly storedAt: Date;
  readonly tries: number;
  readonly etag: string;
  /** What an interrupted `store` or removal has left: to be cleared, not sent. */
  readonly isLeftover: boolean;
}

/** A record that this instance alone may send. */
export interface TakenRecord extends UndeliveredRecord {
  readonly taker: string;
}

type Row = Readonly<Record<string, unknown>>;

/** How long a record stays with who has taken it: longer than any tick can take. */
export const takenMs = 600_000;

/** How many mails one process stores at a time: a queue that refuses may have thousands on their way. */
const storesAtOnce = 8;
const maxConflicts = 5;
const conflict = Symbol('another has changed the row meanwhile');
const maxActions = 100;
const dueColumns = [
  ...['PartitionKey', 'RowKey', 'customer', 'connection', 'queueName', 'storedAt', 'tries', 'status'],
];

/**
 * What was picked up and could not be pushed: table `EmailUndelivered`, one row a mail, and container
 * `email-undelivered`. Beside the record of a mail lies its mark, which says to the next run of its connection that
 * the mail is to be settled and not sent. Rejections are `Failure`s of reason `storage`.
 */
export class UndeliveredStore {
  readonly parts: StoredParts;
  readonly #table: TableClient;
  readonly #now: () => Date;
  readonly #stores = new Limit(storesAtOnce);

  constructor(table: TableClient, parts: StoredParts, now: () => Date) {
    this.#table = table;
    this.parts = parts;
    this.#now = now;
  }

  /**
   * Keeps the mail's parts and marks it; when it resolves, to the time of its record, they are safe and the mail may
   * be settled. Nothing is begun any more once the run's signal has fired: it then rejects with the signal's reason. A
   * run that may not write any more stores nothing: it then rejects with `FencedOff`.
   */
  async store(mail: UndeliveredMail, run?: Fence & { readonly signal: AbortSignal }): Promise<Date> {
    return await this.#stores.run(async () => {
      run?.signal.throwIfAborted();
      const storedAt = this.#now();
      const id = newRecordId(storedAt, randomUUID());
      const doing = `storing undelivered mail ${mail.interchangeId} of ${mail.customer}/${mail.connection}`;
      // First the row that leads to the blobs, then the blobs, then that they are whole.
      const row = { ...keysOf(id), ...storingRow({ ...mail, partsLeft: mail.parts.length }, storedAt) };
      // Made, not written over: a try that storage carries out late would undo what has come since.
      const made = await withMade(this.#table, () => this.#table.createEntity(row)).catch(
        (error: unknown) => {
          // Its own repeat, where an answer was lost.
          if (codeOf(error) !== 'EntityAlreadyExists') throw storageFailure(error, doing);
        },
      );
      await this.parts.write(id, mail.parts);
      // Another run may have sent the mail meanwhile.
      if (run?.mayWrite() === false) throw new FencedOff();
      const { customer, connection } = mail;
      const mark = markKey(customer, connection, mail.identity.id);
      const whole = { ...keysOf(id), status: 'waiting', nextTryAt: nextTryAt(0, this.#now()).toISOString() };
      const marked = {
        ...{ ...keysOf(mark), customer, connection, mailbox: shortHash(mail.mailboxId) },
        ...{ keyHash: mail.identity.keyHash, storedAt: storedAt.toISOString() },
      };
      try {
        await this.#table.submitTransaction([
          ['update', whole, 'Merge', { etag: made?.etag ?? '*' }],
          ['upsert', marked, 'Replace'],
        ]);
      } catch (error) {
        // Cleared as a leftover meanwhile: no row leads to its blobs.
        if (isMissing(error)) await this.parts.remove(id).catch(() => undefined);
        // It may have been done though its answer was lost.
        const row = await this.#read(id).catch(() => undefined);
        if (row?.status !== 'waiting') throw storageFailure(error, doing);
      }
      return storedAt;
    });
  }

  /**
   * The mails of a connection that were stored, whatever became of their records since, and may not be settled yet.
   * `mailbox` is the `shortHash` of its mailbox.
   */
  async readMarks(customer: string, connection: string) {
    const prefix = markKey(customer, connection, '');
    const marks = [];
    for await (const { rowKey, mailbox, keyHash, storedAt } of this.#find(marksOf(customer, connection))) {
      marks.push({
        identityId: String(rowKey).slice(prefix.length),
        mailbox: String(mailbox),
        keyHash: String(keyHash),
        storedAt: readTime(storedAt) ?? new Date(0),
      });
    }
    return marks;
  }

  /** Forgets that these mails were stored: they are settled, or gone. */
  async removeMarks(customer: string, connection: string, identityIds: readonly string[]): Promise<void> {
    const keys = identityIds.map((id) => keysOf(markKey(customer, connection, id)));
    const doing = 'removing marks of undelivered mails';
    await this.#inHundreds(keys, doing, (key) => ({
      action: ['delete', key],
      alone: () => this.#table.deleteEntity(key.partitionKey, key.rowKey).catch(unlessMissing(doing)),
    }));
  }

  /**
   * One page, the newest first, by an index: as fast with 50,000 records as with 50. `next`, the id of the last one,
   * is what `after` is for the next page; undefined at the end.
   */
  async list({
    customer,
    connection,
    limit,
    after = '',
  }: Partial<ConnectionKey> & { limit: number; after?: string }) {
    const conditions = [
      odata`PartitionKey eq ${recordPartition} and RowKey gt ${after} and RowKey lt ${afterRecords}`,
      `(status eq 'waiting' or status eq 'abandoned')`,
      ...(customer === undefined ? [] : [odata`customer eq ${customer}`]),
      ...(connection === undefined ? [] : [odata`connection eq ${connection}`]),
    ];
    const records: UndeliveredRecord[] = [];
    for await (const entity of this.#find(conditions.join(' and '))) {
      const record = readRecord(entity);
      if (record === undefined) continue;
      if (records.length === limit) return { records, next: records.at(-1)?.id };
      records.push(record);
    }
    return { records, next: undefined };
  }

  /** Undefined where there is none of that id, whatever the text. */
  async get(id: string): Promise<UndeliveredRecord | undefined> {
    const row = await this.#read(id);
    return row && readRecord(row);
  }

  /** Makes the record due now, also an abandoned one; false where there is none of that id. */
  async resend(id: string): Promise<boolean> {
    return await this.#change(id, async (row) => {
      if (row === undefined || !readRecord(row)) return false;
      const now = this.#now();
      const due = {
        status: 'waiting',
        nextTryAt: wholeMinute(now).toISOString(),
        resendAskedAt: now.toISOString(),
      };
      return (await this.#merge(id, due, etagOf(row))) || conflict;
    });
  }

  /** Removes the record for good, with its blobs; gives what it was, or undefined where there is none of that id. */
  async giveUp(id: string): Promise<UndeliveredRecord | undefined> {
    const remover = randomUUID();
    return await this.#change(id, async (row) => {
      const record = row && readRecord(row);
      if (!record) return undefined;
      const isBegun = await this.#beginRemoving(id, etagOf(row), remover);
      // A repeated request is refused where the first one's answer was lost.
      if (!isBegun && (await this.#read(id))?.remover !== remover) return conflict;
      // It is decided: what can't be cleared now is cleared by the next tick.
      await this.#clear(id).catch(() => undefined);
      return record;
    });
  }

  /** Records whose time has come and that nobody has taken, the newest first; only what a choice among them needs. */
  async *findDue(): AsyncIterable<DueRecord> {
    const filter = `PartitionKey eq '${recordPartition}' and RowKey lt '${afterRecords}' and ${isDue(this.#now())}`;
    for await (const entity of this.#find(filter, dueColumns)) {
      const { rowKey, customer, connection, queueName, storedAt, tries, status } = entity;
      if (typeof rowKey !== 'string') continue;
      yield {
        id: rowKey,
        customer: String(customer),
        connection: String(connection),
        queueName: String(queueName),
        storedAt: readTime(storedAt) ?? new Date(0),
        tries: Number(tries) || 0,
        etag: etagOf(entity),
        isLeftover: status !== 'waiting',
      };
    }
  }

  /** Takes a record for this instance alone; undefined when another was quicker, or there is nothing to send. */
  async take(due: DueRecord): Promise<TakenRecord | undefined> {
    const taker = randomUUID();
    const takenUntil = new Date(this.#now().getTime() + takenMs).toISOString();
    await this.#merge(due.id, { taker, takenUntil, resendAskedAt: '' }, due.etag);
    // Read whether or not it was refused: a repeated request is, where the first one's answer was lost.
    const row = await this.#read(due.id);
    const record = row?.taker === taker ? readRecord(row) : undefined;
    return record && { ...record, taker };
  }

  /**
   * Writes the outcome of a try and gives the record free. Where a resend was asked for meanwhile it stays due; where
   * it was given up, or another has taken it since, the outcome is dropped. Resolves to whether it was written whole.
   */
  async keep(
    { id, taker }: Pick<TakenRecord, 'id' | 'taker'>,
    change: RecordChange,
    unsent?: readonly StoredPart[],
  ): Promise<boolean> {
    // Another that has taken it since may have sent more of it.
    const isTaker = unsent !== undefined && (await this.#read(id))?.taker === taker;
    if (isTaker) await this.parts.keepOnly(id, unsent);
    const columns = { ...changeColumns(change), ...(unsent ? { partsLeft: unsent.length } : {}) };
    return await this.#change(id, async (row) => {
      if (!row || !readRecord(row) || row.taker !== taker) return false;
      const asked = row.resendAskedAt ? { status: 'waiting', nextTryAt: String(row.nextTryAt) } : {};
      return (await this.#merge(id, { ...columns, ...asked }, etagOf(row))) ? !row.resendAskedAt : conflict;
    });
  }

  /** Writes the same kind of outcome to many records that nobody has taken. */
  async putOff(changes: readonly (readonly [DueRecord, RecordChange])[]): Promise<void> {
    await this.#inHundreds(changes, 'putting off undelivered mails', ([{ id, etag }, change]) => ({
      action: ['update', { ...keysOf(id), ...changeColumns(change) }, 'Merge', { etag }],
      alone: () => this.#merge(id, changeColumns(change), etag),
    }));
  }

  /** Removes a record with its blobs. The first write decides that nothing of it is sent again. */
  async remove(id: string, etag = '*'): Promise<void> {
    if (await this.#beginRemoving(id, etag)) await this.#clear(id);
  }

  /** False where the row has changed or is gone. */
  async #beginRemoving(id: string, etag: string, remover = ''): Promise<boolean> {
    const removing = { status: 'removing', nextTryAt: this.#now().toISOString(), takenUntil: '', remover };
    return await this.#merge(id, removing, etag);
  }

  async #clear(id: string): Promise<void> {
    await this.parts.remove(id);
    const removed = this.#table.deleteEntity(recordPartition, id, { etag: '*' });
    await removed.catch(unlessMissing(`removing the record of undelivered mail ${id}`));
  }

  /** A hundred in one transaction; where one of them has changed or is gone, none is done by it, and each alone. */
  async #inHundreds<Item>(
    items: readonly Item[],
    doing: string,
    write: (item: Item) => { action: TransactionAction; alone: () => Promise<unknown> },
  ): Promise<void> {
    for (let from = 0; from < items.length; from += maxActions) {
      const some = items.slice(from, from + maxActions).map(write);
      try {
        await this.#table.submitTransaction(some.map(({ action }) => action));
      } catch (error) {
        if (statusOf(error) !== 412 && !isMissing(error)) throw storageFailure(error, doing);
        for (const { alone } of some) await alone();
      }
    }
  }

  /** Does it anew, with the row as it then is, where another has changed it meanwhile. */
  async #change<T>(id: string, change: (row: Row | undefined) => Promise<T | typeof conflict>): Promise<T> {
    for (let conflicts = 0; conflicts < maxConflicts; conflicts += 1) {
      const changed = await change(await this.#read(id));
      if (changed !== conflict) return changed;
    }
    throw new Failure('storage', `Undelivered mail ${id} is being changed by others. Try again.`);
  }

  async #read(id: string): Promise<Row | undefined> {
    if (!isRecordId(id)) return undefined;
    const reading = this.#table.getEntity<Record<string, unknown>>(recordPartition, id);
    return await reading.catch(unlessMissing(`reading the record of undelivered mail ${id}`));
  }

  #find(filter: string, select?: string[]): AsyncIterable<Row> {
    return findEntities(this.#table, 'reading the table EmailUndelivered', filter, select);
  }

  /** False where the row has changed or is gone. */
  async #merge(id: string, columns: RowColumns, etag: string): Promise<boolean> {
    try {
      await this.#table.updateEntity({ ...keysOf(id), ...columns }, 'Merge', { etag });
      return true;
    } catch (error) {
      if (statusOf(error) === 412 || isMissing(error)) return false;
      throw storageFailure(error, `writing the record of undelivered mail ${id}`);
    }
  }
}

/**
 * OData: whose time has come. A time further ahead than it can be was written by a clock that was wrong, and counts
 * as past; not that of a mail being stored, of which another instance may be writing the blobs.
 */
function isDue(now: Date): string {
  const time = now.toISOString();
  const [latestTry, latestTaking] = [longestWaitMs, takenMs].map((ms) =>
    new Date(now.getTime() + ms + clockToleranceMs).toISOString(),
  );
  const isTime = `(nextTryAt le '${time}' or (nextTryAt gt '${latestTry}' and status ne 'storing'))`;
  return `status ne 'abandoned' and ${isTime} and (takenUntil le '${time}' or takenUntil gt '${latestTaking}')`;
}

function keysOf(rowKey: string): { readonly partitionKey: string; readonly rowKey: string } {
  return { partitionKey: recordPartition, rowKey };
}

function etagOf(entity: Row): string {
  return typeof entity.etag === 'string' ? entity.etag : '*';
}

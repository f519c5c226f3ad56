import type { TableClient } from '@azure/data-tables';
import type { ConnectionKey } from '../connection/connectionStore.ts';
import { type MailIdentity, shortHash } from '../message/identity.ts';
import { withMade } from '../storage/firstUse.ts';
import { failing, isMissing, storageFailure } from '../storage/storageFailure.ts';
import { findEntities } from '../storage/tables.ts';
import { readTime } from '../time/time.ts';

export interface DeliveredMailsOptions extends ConnectionKey {
  readonly table: TableClient;
  /** Which mailbox the connection points to now. */
  readonly mailboxId: string;
  readonly runId: string;
  readonly now: () => Date;
}

const maxActions = 100;
const keyBytes = 16;
const idBytes = 32;
/** Nothing that was delivered and could not be settled is remembered for longer. */
const longestMs = 7 * 86_400_000;

/** Rows of the table, mostly one: mails that were recorded together, by identity id, with the hash of their keys. */
interface Row {
  readonly rowKeys: string[];
  readonly recordedAt: Date;
  readonly mails: Map<string, string>;
}

/**
 * What a connection delivered and may not have settled, in table `EmailDelivered`: such a mail is settled by the next
 * run, not sent. A row holds many mails, so that the table costs few writes; it goes when all of them are settled.
 * Rejections are `Failure`s of reason `storage`.
 */
export class DeliveredMails {
  readonly #options: DeliveredMailsOptions;
  readonly #partitionKey: string;
  /** The hash of the mailbox, which begins the key of each of its rows. */
  readonly #mailbox: string;
  /** By the ids of the mails in it. */
  readonly #rowOf = new Map<string, Row>();
  #written = 0;

  constructor(options: DeliveredMailsOptions) {
    this.#options = options;
    this.#partitionKey = partitionOf(options.customer, options.connection);
    this.#mailbox = shortHash(options.mailboxId);
  }

  /** Whether nothing is left that was delivered from this mailbox and not settled. */
  get isEmpty(): boolean {
    return this.#rowOf.size === 0;
  }

  /** When the mail was recorded; undefined where it is not. */
  recordedAt(identity: MailIdentity): Date | undefined {
    return this.#rowOf.get(identity.id)?.recordedAt;
  }

  /** The hashes of the keys of all these mails. */
  keyHashes(): ReadonlySet<string> {
    return new Set([...new Set(this.#rowOf.values())].flatMap(({ mails }) => [...mails.values()]));
  }

  /** Reads what earlier runs have left; for a run after one that did not end cleanly. Removes what is too old. */
  async read(): Promise<void> {
    const { table, now } = this.#options;
    const tooOld: string[] = [];
    for await (const entity of findRows(table, this.#partitionKey)) {
      const { rowKey, mails } = entity;
      if (typeof rowKey !== 'string') continue;
      const recordedAt = readTime(entity.recordedAt) ?? new Date(0);
      const ageMs = now().getTime() - recordedAt.getTime();
      if (ageMs > longestMs) tooOld.push(rowKey);
      else if (rowKey.startsWith(`${this.#mailbox}-`))
        this.#remember({ rowKeys: [rowKey], recordedAt, mails: readMails(mails) });
    }
    await deleteAll(table, this.#partitionKey, tooOld);
  }

  /** Records that every part of these mails was accepted by Service Bus. */
  async record(identities: readonly MailIdentity[]): Promise<void> {
    const { table, runId, now } = this.#options;
    this.#written += 1;
    const rowKey = `${this.#mailbox}-${runId}-${String(this.#written).padStart(6, '0')}`;
    const recordedAt = now();
    const mails = new Map(identities.map(({ id, keyHash }) => [id, keyHash]));
    const entity = {
      partitionKey: this.#partitionKey,
      rowKey,
      recordedAt: recordedAt.toISOString(),
      mails: writeMails(mails),
    };
    // A repeat after a lost answer writes the same.
    const writing = withMade(table, () => table.upsertEntity(entity, 'Replace'));
    await writing.catch(failing(doing('writing')));
    this.#remember({ rowKeys: [rowKey], recordedAt, mails });
  }

  /** These mails are settled, or gone from the server: removes the rows of which none is left. */
  async forget(identityIds: Iterable<string>): Promise<void> {
    const touched = new Set<Row>();
    for (const id of identityIds) {
      const row = this.#rowOf.get(id);
      if (!row) continue;
      this.#rowOf.delete(id);
      row.mails.delete(id);
      touched.add(row);
    }
    const empty = [...touched].filter(({ mails }) => mails.size === 0).flatMap(({ rowKeys }) => rowKeys);
    await deleteAll(this.#options.table, this.#partitionKey, empty);
  }

  /** Forgets the mails whose key is none of these: a complete list no longer has them. */
  async keepOnly(keyHashes: ReadonlySet<string>): Promise<void> {
    const all = [...this.#rowOf].map(([id, { mails }]) => ({ id, keyHash: mails.get(id) ?? '' }));
    await this.forget(all.filter(({ keyHash }) => !keyHashes.has(keyHash)).map(({ id }) => id));
  }

  /** Where another row names one of the mails, since its write was done and its answer lost, both go together. */
  #remember(row: Row): void {
    const others = new Set([...row.mails.keys()].flatMap((id) => this.#rowOf.get(id) ?? []));
    for (const { rowKeys, mails } of others) {
      row.rowKeys.push(...rowKeys);
      for (const [id, keyHash] of mails) row.mails.set(id, keyHash);
    }
    for (const id of row.mails.keys()) this.#rowOf.set(id, row);
  }
}

/** Removes all that is remembered of a connection that was deleted. */
export async function forgetConnection(
  table: TableClient,
  customer: string,
  connection: string,
): Promise<void> {
  const partitionKey = partitionOf(customer, connection);
  const rowKeys: string[] = [];
  for await (const { rowKey } of findRows(table, partitionKey, ['PartitionKey', 'RowKey'])) {
    if (typeof rowKey === 'string') rowKeys.push(rowKey);
  }
  await deleteAll(table, partitionKey, rowKeys);
}

function findRows(table: TableClient, partitionKey: string, select?: string[]) {
  const filter = `PartitionKey eq '${partitionKey.replaceAll("'", "''")}'`;
  return findEntities(table, doing('reading'), filter, select);
}

/** A hundred at a time; rows that are gone already do no harm. */
async function deleteAll(
  table: TableClient,
  partitionKey: string,
  rowKeys: readonly string[],
): Promise<void> {
  for (let from = 0; from < rowKeys.length; from += maxActions) {
    const some = rowKeys.slice(from, from + maxActions);
    const [first, second] = some;
    try {
      if (first !== undefined && second === undefined) await table.deleteEntity(partitionKey, first);
      else await table.submitTransaction(some.map((rowKey) => ['delete', { partitionKey, rowKey }]));
    } catch (error) {
      if (!isMissing(error)) throw storageFailure(error, doing('writing'));
      // One was gone, and with it none of the others was removed; or the answer of a first try was lost.
      if (some.length > 1) for (const each of some) await deleteAll(table, partitionKey, [each]);
    }
  }
}

function partitionOf(customer: string, connection: string): string {
  return `${customer}|${connection}`;
}

function doing(what: 'reading' | 'writing'): string {
  return `${what} the table EmailDelivered`;
}

function writeMails(mails: ReadonlyMap<string, string>): Uint8Array {
  return Buffer.from([...mails].map(([id, keyHash]) => id + keyHash).join(''), 'hex');
}

function readMails(column: unknown): Map<string, string> {
  const mails = new Map<string, string>();
  if (!(column instanceof Uint8Array)) return mails;
  const bytes = Buffer.from(column);
  for (let at = 0; at + idBytes + keyBytes <= bytes.length; at += idBytes + keyBytes) {
    const id = bytes.toString('hex', at, at + idBytes);
    mails.set(id, bytes.toString('hex', at + idBytes, at + idBytes + keyBytes));
  }
  return mails;
}

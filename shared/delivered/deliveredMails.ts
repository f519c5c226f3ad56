import type { TableClient, TransactionAction } from '@azure/data-tables';
import { type MailIdentity, shortHash } from '../message/identity.ts';
import { codeOf, isMissing, storageFailure } from '../storage/storageFailure.ts';
import { withTable } from '../storage/tables.ts';
import { readTime } from '../time/time.ts';

export interface DeliveredMailsOptions {
  readonly table: TableClient;
  readonly customer: string;
  readonly connection: string;
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

/** A row of the table: mails that were recorded together, by identity id, with the hash of their keys. */
interface Row {
  readonly rowKey: string;
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
  readonly #rows = new Map<string, Row>();
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

  has(identity: MailIdentity): boolean {
    return this.#rowOf.has(identity.id);
  }

  /** When the mail was recorded; undefined where it is not. */
  recordedAt(identity: MailIdentity): Date | undefined {
    return this.#rowOf.get(identity.id)?.recordedAt;
  }

  /** The hashes of the keys of all these mails. */
  keyHashes(): ReadonlySet<string> {
    return new Set([...this.#rows.values()].flatMap(({ mails }) => [...mails.values()]));
  }

  /** Reads what earlier runs have left; for a run after one that did not end cleanly. Removes what is too old. */
  async read(): Promise<void> {
    const { table, now } = this.#options;
    const filter = `PartitionKey eq '${this.#partitionKey.replaceAll("'", "''")}'`;
    const tooOld: string[] = [];
    try {
      for await (const entity of table.listEntities<Record<string, unknown>>({ queryOptions: { filter } })) {
        const { rowKey, mails } = entity;
        if (typeof rowKey !== 'string') continue;
        const recordedAt = readTime(entity.recordedAt) ?? new Date(0);
        const ageMs = now().getTime() - recordedAt.getTime();
        if (ageMs > longestMs) tooOld.push(rowKey);
        else if (rowKey.startsWith(`${this.#mailbox}-`))
          this.#remember({ rowKey, recordedAt, mails: readMails(mails) });
      }
    } catch (error) {
      if (codeOf(error) !== 'TableNotFound') throw storageFailure(error, doing('reading'));
    }
    await this.#run(tooOld.map((rowKey) => ['delete', this.#keys(rowKey)]));
  }

  /** Records that every part of these mails was accepted by Service Bus. */
  async record(identities: readonly MailIdentity[]): Promise<void> {
    const { table, runId, now } = this.#options;
    this.#written += 1;
    const rowKey = `${this.#mailbox}-${runId}-${String(this.#written).padStart(6, '0')}`;
    const recordedAt = now();
    const row = { rowKey, recordedAt, mails: new Map(identities.map(({ id, keyHash }) => [id, keyHash])) };
    const entity = {
      ...this.#keys(rowKey),
      recordedAt: recordedAt.toISOString(),
      mails: writeMails(row.mails),
    };
    try {
      // A repeat after a lost answer writes the same.
      await withTable(table, () => table.upsertEntity(entity, 'Replace'));
    } catch (error) {
      throw storageFailure(error, doing('writing'));
    }
    this.#remember(row);
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
    const empty = [...touched].filter(({ mails }) => mails.size === 0);
    for (const { rowKey } of empty) this.#rows.delete(rowKey);
    await this.#run(empty.map(({ rowKey }) => ['delete', this.#keys(rowKey)]));
  }

  /** Forgets the mails whose key is none of these: a complete list no longer has them. */
  async keepOnly(keyHashes: ReadonlySet<string>): Promise<void> {
    const gone = [...this.#rows.values()].flatMap(({ mails }) =>
      [...mails].filter(([, keyHash]) => !keyHashes.has(keyHash)).map(([id]) => id),
    );
    await this.forget(gone);
  }

  #remember(row: Row): void {
    this.#rows.set(row.rowKey, row);
    for (const id of row.mails.keys()) this.#rowOf.set(id, row);
  }

  #keys(rowKey: string): { readonly partitionKey: string; readonly rowKey: string } {
    return { partitionKey: this.#partitionKey, rowKey };
  }

  async #run(deletions: readonly TransactionAction[]): Promise<void> {
    await deleteAll(this.#options.table, deletions);
  }
}

/** Removes all that is remembered of a connection that was deleted. */
export async function forgetConnection(
  table: TableClient,
  customer: string,
  connection: string,
): Promise<void> {
  const partitionKey = partitionOf(customer, connection);
  const queryOptions = {
    filter: `PartitionKey eq '${partitionKey.replaceAll("'", "''")}'`,
    select: ['PartitionKey', 'RowKey'],
  };
  const deletions: TransactionAction[] = [];
  try {
    for await (const { rowKey } of table.listEntities({ queryOptions })) {
      if (rowKey) deletions.push(['delete', { partitionKey, rowKey }]);
    }
  } catch (error) {
    if (codeOf(error) !== 'TableNotFound') throw storageFailure(error, doing('reading'));
  }
  await deleteAll(table, deletions);
}

/** A hundred at a time; rows that are gone already do no harm. */
async function deleteAll(table: TableClient, deletions: readonly TransactionAction[]): Promise<void> {
  for (let from = 0; from < deletions.length; from += maxActions) {
    const some = deletions.slice(from, from + maxActions);
    try {
      if (some.length > 1) await table.submitTransaction([...some]);
      else for (const [, { partitionKey, rowKey }] of some) await table.deleteEntity(partitionKey, rowKey);
    } catch (error) {
      if (!isMissing(error)) throw storageFailure(error, doing('writing'));
      // One was gone, and with it none of the others was removed; or the answer of a first try was lost.
      if (some.length > 1) for (const each of some) await deleteAll(table, [each]);
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

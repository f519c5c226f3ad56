import type { TableClient } from '@azure/data-tables';
import { Failure } from '../failure/failure.ts';
import { codeOf, isMissing, statusOf, storageFailure } from '../storage/storageFailure.ts';
import { withTable } from '../storage/tables.ts';

/** A connection's keys in `EmailConnections`. */
export interface ConnectionKey {
  readonly customer: string;
  readonly connection: string;
}

/** An entity as it lies in the table, undecoded; `etag` is its version. */
export interface ConnectionEntity {
  readonly key: ConnectionKey;
  readonly columns: Readonly<Record<string, unknown>>;
  readonly etag: string;
}

export type StatePatch = Readonly<Record<string, string | number>>;

/** Table `EmailConnections`: the operator's config columns are read, the app's state columns merged. */
export interface ConnectionStore {
  /**
   * The entities that match `filter` (OData), with just the columns `select`; all of them where it is
   * undefined. Read page by page.
   */
  find(filter: string | undefined, select?: readonly string[]): AsyncIterable<ConnectionEntity>;
  /** Undefined where there is no such connection. */
  read(key: ConnectionKey): Promise<ConnectionEntity | undefined>;
  /**
   * Merges state columns and gives the new version. With `etag`, only if the entity is still that version:
   * else `changed`. `missing` where the connection has been removed meanwhile.
   */
  merge(key: ConnectionKey, patch: StatePatch, etag?: string): Promise<MergeOutcome>;
}

export type MergeOutcome =
  | { readonly kind: 'merged'; readonly etag: string }
  | { readonly kind: 'changed' | 'missing' };

/** Opens the store on its table client; rejections are `Failure`s of reason `storage`. */
export function openConnectionStore(table: TableClient): ConnectionStore {
  return {
    async *find(filter, select) {
      try {
        yield* findEntities(table, filter, select);
      } catch (error) {
        if (codeOf(error) !== 'TableNotFound')
          throw storageFailure(error, 'reading the table EmailConnections');
        await table.createTable().catch((created: unknown) => {
          throw storageFailure(created, 'creating the table EmailConnections');
        });
      }
    },

    async read(key) {
      try {
        const entity = await withTable(table, () => table.getEntity(key.customer, key.connection));
        return toEntity(entity);
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw storageFailure(error, `reading connection ${key.customer}/${key.connection}`);
      }
    },

    async merge(key, patch, etag) {
      try {
        const entity = { partitionKey: key.customer, rowKey: key.connection, ...patch };
        const { etag: merged } = await table.updateEntity(entity, 'Merge', { etag: etag ?? '*' });
        return { kind: 'merged', etag: merged ?? '*' };
      } catch (error) {
        if (statusOf(error) === 412) return { kind: 'changed' };
        if (isMissing(error)) return { kind: 'missing' };
        throw storageFailure(error, `writing the state of connection ${key.customer}/${key.connection}`);
      }
    },
  };
}

async function* findEntities(
  table: TableClient,
  filter: string | undefined,
  select: readonly string[] | undefined,
): AsyncIterable<ConnectionEntity> {
  const queryOptions = {
    ...(filter === undefined ? {} : { filter }),
    ...(select === undefined ? {} : { select: ['PartitionKey', 'RowKey', ...select] }),
  };
  for await (const entity of table.listEntities({ queryOptions })) yield toEntity(entity);
}

function toEntity(entity: object): ConnectionEntity {
  const { partitionKey, rowKey, etag, ...columns } = entity as Record<string, unknown>;
  if (typeof partitionKey !== 'string' || typeof rowKey !== 'string') {
    throw new Failure('storage', 'Storage answered an entity of EmailConnections without keys.');
  }
  return {
    key: { customer: partitionKey, connection: rowKey },
    columns,
    etag: typeof etag === 'string' ? etag : '*',
  };
}

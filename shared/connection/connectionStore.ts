import type { TableClient } from '@azure/data-tables';
import { Failure } from '../failure/failure.ts';
import { codeOf, isMissing, statusOf, storageFailure } from '../storage/storageFailure.ts';
import { withTable } from '../storage/tables.ts';
import { isConfigColumn, isStorableKey } from './columns.ts';

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

/** Config columns as they are written. */
export type StoredColumns = Readonly<Record<string, string | number | boolean | bigint>>;

/**
 * Table `EmailConnections`. Polls read the operator's config columns and merge the app's state columns;
 * the HTTP API writes config for an operator.
 */
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
  /** False where there is a connection of that key already. */
  insert(key: ConnectionKey, columns: StoredColumns): Promise<boolean>;
  /**
   * Writes `columns` in place of all config columns of `entity`; state and the operator's notes stay. Only
   * if it is still the version that was read: else `changed`, or `missing`.
   */
  replaceConfig(entity: ConnectionEntity, columns: StoredColumns): Promise<ReplaceOutcome>;
  /** Only if it is still the version `etag`: else `changed`, or `missing`. */
  remove(key: ConnectionKey, etag: string): Promise<'removed' | 'changed' | 'missing'>;
}

export type MergeOutcome =
  | { readonly kind: 'merged'; readonly etag: string }
  | { readonly kind: 'changed' | 'missing' };

export type ReplaceOutcome =
  /** `columns` are all that the entity has now. */
  | { readonly kind: 'replaced'; readonly columns: ConnectionEntity['columns'] }
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
      if (!isStorableKey(key.customer) || !isStorableKey(key.connection)) return undefined;
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

    async insert(key, columns) {
      try {
        const entity = { partitionKey: key.customer, rowKey: key.connection, ...columns };
        await withTable(table, () => table.createEntity(entity));
        return true;
      } catch (error) {
        if (codeOf(error) === 'EntityAlreadyExists') return false;
        throw storageFailure(error, `writing connection ${key.customer}/${key.connection}`);
      }
    },

    async replaceConfig({ key, columns: stored, etag }, columns) {
      const others = Object.entries(stored).filter(([name]) => !isConfigColumn(name) && !isService(name));
      try {
        const all = { ...Object.fromEntries(others), ...columns };
        const entity = { ...all, partitionKey: key.customer, rowKey: key.connection };
        await table.updateEntity(entity, 'Replace', { etag });
        return { kind: 'replaced', columns: all };
      } catch (error) {
        if (statusOf(error) === 412) return { kind: 'changed' };
        if (isMissing(error)) return { kind: 'missing' };
        throw storageFailure(error, `writing connection ${key.customer}/${key.connection}`);
      }
    },

    async remove(key, etag) {
      try {
        await table.deleteEntity(key.customer, key.connection, { etag });
        return 'removed';
      } catch (error) {
        if (statusOf(error) === 412) return 'changed';
        if (isMissing(error)) return 'missing';
        throw storageFailure(error, `removing connection ${key.customer}/${key.connection}`);
      }
    },
  };
}

/** What the service adds to an entity by itself. */
function isService(name: string): boolean {
  return name === 'timestamp' || name.startsWith('odata.');
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

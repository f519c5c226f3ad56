import type { TableClient } from '@azure/data-tables';
import { withMade } from '../storage/firstUse.ts';
import {
  codeOf,
  failing,
  field,
  isMissing,
  statusOf,
  storageFailure,
  unlessMissing,
} from '../storage/storageFailure.ts';
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

/** Config columns as they are written. */
export type StoredColumns = Readonly<Record<string, string | number | boolean>>;

/** It is no longer the version that was asked for, or has been removed meanwhile. */
interface NotWritten {
  readonly kind: 'changed' | 'missing';
}

export type ConnectionStore = ReturnType<typeof openConnectionStore>;

/**
 * Table `EmailConnections`. Polls read the operator's config columns and merge the app's state columns;
 * the HTTP API writes config for an operator. Rejections are `Failure`s of reason `storage`.
 */
export function openConnectionStore(table: TableClient) {
  return {
    /**
     * The entities that match `filter` (OData), or all of them where it is undefined, with just the columns
     * `select`: a note may have the name of a key. Read page by page.
     */
    async *find(filter: string | undefined, select: readonly string[]): AsyncIterable<ConnectionEntity> {
      const queryOptions = {
        ...(filter === undefined ? {} : { filter }),
        select: ['PartitionKey', 'RowKey', ...select],
      };
      try {
        for await (const entity of table.listEntities({ queryOptions })) yield toEntity(entity);
      } catch (error) {
        if (codeOf(error) !== 'TableNotFound')
          throw storageFailure(error, 'reading the table EmailConnections');
        await table.createTable().catch(failing('creating the table EmailConnections'));
      }
    },

    /** Undefined where there is no such connection. */
    async read(key: ConnectionKey): Promise<ConnectionEntity | undefined> {
      if (!isStorableKey(key.customer) || !isStorableKey(key.connection)) return undefined;
      let etag: unknown;
      const reading = withMade(table, () =>
        table.getEntity(key.customer, key.connection, {
          onResponse: ({ parsedBody }) => {
            etag = field(parsedBody, 'odata.etag');
          },
        }),
      );
      const entity = await reading.catch(unlessMissing(`reading connection ${nameOf(key)}`));
      // The library takes a note that is called `etag` or `rowKey` for the entity's own.
      return entity && toEntity({ ...entity, ...keysOf(key), etag });
    },

    /** Merges state columns and gives the new version. With `etag`, only if the entity is still that version. */
    async merge(
      key: ConnectionKey,
      patch: Readonly<Record<string, string | number>>,
      etag = '*',
    ): Promise<{ readonly kind: 'merged'; readonly etag: string } | NotWritten> {
      return await writeVersion(`writing the state of connection ${nameOf(key)}`, async () => {
        const merged = await table.updateEntity({ ...keysOf(key), ...patch }, 'Merge', { etag });
        return { kind: 'merged', etag: merged.etag ?? '*' };
      });
    },

    /** False where there is a connection of that key already. */
    async insert(key: ConnectionKey, columns: StoredColumns): Promise<boolean> {
      try {
        await withMade(table, () => table.createEntity({ ...withTypes(columns), ...keysOf(key) }));
        return true;
      } catch (error) {
        if (codeOf(error) === 'EntityAlreadyExists') return false;
        throw storageFailure(error, `writing connection ${nameOf(key)}`);
      }
    },

    /**
     * Writes `columns` in place of all config columns of `entity`, and gives all that it has now; state and the
     * operator's notes stay. Only if it is still the version that was read.
     */
    async replaceConfig(
      { key, columns: stored, etag }: ConnectionEntity,
      columns: StoredColumns,
    ): Promise<{ readonly kind: 'replaced'; readonly columns: ConnectionEntity['columns'] } | NotWritten> {
      const others = Object.entries(stored).filter(([name]) => !isConfigColumn(name) && !isService(name));
      return await writeVersion(`writing connection ${nameOf(key)}`, async () => {
        const all = { ...Object.fromEntries(others), ...columns };
        await table.updateEntity({ ...withTypes(all), ...keysOf(key) }, 'Replace', { etag });
        return { kind: 'replaced', columns: all };
      });
    },

    /** Only if it is still the version `etag`. */
    async remove(key: ConnectionKey, etag: string): Promise<{ readonly kind: 'removed' } | NotWritten> {
      return await writeVersion(`removing connection ${nameOf(key)}`, async () => {
        await table.deleteEntity(key.customer, key.connection, { etag });
        return { kind: 'removed' };
      });
    },
  };
}

async function writeVersion<Written>(
  doing: string,
  write: () => Promise<Written>,
): Promise<Written | NotWritten> {
  try {
    return await write();
  } catch (error) {
    if (statusOf(error) === 412) return { kind: 'changed' };
    if (isMissing(error)) return { kind: 'missing' };
    throw storageFailure(error, doing);
  }
}

/** A whole number without a type is an Int32 to the service, which refuses what is too large for one. */
function withTypes(columns: ConnectionEntity['columns']): object {
  const isLarge = (value: unknown) => Number.isInteger(value) && Number(value) !== (Number(value) | 0);
  return Object.fromEntries(
    Object.entries(columns).map(([name, value]) => [
      name,
      isLarge(value) ? { value, type: 'Double' } : value,
    ]),
  );
}

/** What the service adds to an entity by itself. */
function isService(name: string): boolean {
  return name === 'timestamp' || name.startsWith('odata.');
}

/** As sentences name a connection, and as `after` of a page does. */
export function nameOf({ customer, connection }: ConnectionKey): string {
  return `${customer}/${connection}`;
}

function keysOf({ customer, connection }: ConnectionKey): { partitionKey: string; rowKey: string } {
  return { partitionKey: customer, rowKey: connection };
}

function toEntity(entity: object): ConnectionEntity {
  const { partitionKey, rowKey, etag, ...columns } = entity as Record<string, unknown>;
  const key = { customer: String(partitionKey), connection: String(rowKey) };
  return { key, columns, etag: typeof etag === 'string' ? etag : '*' };
}

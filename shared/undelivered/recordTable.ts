import type { TableClient } from '@azure/data-tables';
import { codeOf, isMissing, statusOf, storageFailure } from '../storage/storageFailure.ts';
import { withTable } from '../storage/tables.ts';
import { type RecordRow, type RowColumns, readRow, recordPartition } from './recordRow.ts';

/** Table `EmailUndelivered`, one row a mail. Rejections are `Failure`s; versions are ETags. */
export interface RecordTable {
  read(id: string): Promise<RecordRow | undefined>;
  /** Rows that match `filter` (OData), page by page; none where the table isn't there yet. */
  find(filter: string): AsyncIterable<RecordRow>;
  /** Gives the new version, or undefined where a row of that id exists. */
  create(id: string, columns: RowColumns): Promise<string | undefined>;
  /** Writes all columns anew, or merges some; gives the new version, or undefined where `etag` is not current. */
  replace(id: string, columns: RowColumns, etag: string): Promise<string | undefined>;
  merge(id: string, columns: RowColumns, etag: string): Promise<string | undefined>;
  /** Does nothing where the row has changed or is gone. */
  remove(id: string, etag: string): Promise<void>;
}

export function openRecordTable(table: TableClient): RecordTable {
  const update = async (
    mode: 'Merge' | 'Replace',
    id: string,
    columns: RowColumns,
    etag: string,
  ): Promise<string | undefined> => {
    try {
      const entity = { partitionKey: recordPartition, rowKey: id, ...columns };
      const { etag: written } = await table.updateEntity(entity, mode, { etag });
      return written ?? '*';
    } catch (error) {
      if (statusOf(error) === 412 || isMissing(error)) return undefined;
      throw storageFailure(error, `writing the record of undelivered mail ${id}`);
    }
  };

  return {
    async read(id) {
      try {
        return readRow(await table.getEntity<Record<string, unknown>>(recordPartition, id));
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw storageFailure(error, `reading the record of undelivered mail ${id}`);
      }
    },

    async *find(filter) {
      const queryOptions = { filter: `PartitionKey eq '${recordPartition}' and ${filter}` };
      try {
        for await (const entity of table.listEntities<Record<string, unknown>>({ queryOptions })) {
          const row = readRow(entity);
          if (row) yield row;
        }
      } catch (error) {
        if (codeOf(error) !== 'TableNotFound')
          throw storageFailure(error, 'reading the table EmailUndelivered');
      }
    },

    async create(id, columns) {
      try {
        const entity = { partitionKey: recordPartition, rowKey: id, ...columns };
        const { etag } = await withTable(table, () => table.createEntity(entity));
        return etag ?? '*';
      } catch (error) {
        if (codeOf(error) === 'EntityAlreadyExists') return undefined;
        throw storageFailure(error, `writing the record of undelivered mail ${id}`);
      }
    },

    replace: (id, columns, etag) => update('Replace', id, columns, etag),
    merge: (id, columns, etag) => update('Merge', id, columns, etag),

    async remove(id, etag) {
      try {
        await table.deleteEntity(recordPartition, id, { etag });
      } catch (error) {
        if (statusOf(error) === 412 || isMissing(error)) return;
        throw storageFailure(error, `removing the record of undelivered mail ${id}`);
      }
    },
  };
}

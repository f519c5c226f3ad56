import {
  type ConfigColumnName,
  configColumnNames,
  normalizeColumn,
  secretColumns,
} from '../connection/columns.ts';
import type { ColumnError, ConnectionConfig } from '../connection/config.ts';
import type { ConnectionEntity, ConnectionKey, StoredColumns } from '../connection/connectionStore.ts';
import type { decodeConnection } from '../connection/decode.ts';
import type { ReadSetting } from '../connection/secret.ts';
import { secretFlags } from './representation.ts';
import type { JsonObject } from './request.ts';

export type DecodeConnection = typeof decodeConnection;

export type ReadConnection =
  | {
      readonly ok: true;
      /** To be stored: plain types, nothing empty, kept secrets included. */
      readonly columns: StoredColumns;
      readonly config: ConnectionConfig;
      /** The secrets that the body leaves out and the stored connection has. */
      readonly kept: ReadonlySet<ConfigColumnName>;
    }
  | { readonly ok: false; readonly errors: readonly ColumnError[] };

/** What storage takes as one string. */
const maxTextCharacters = 32_768;
const maxInt32 = 2_147_483_647;

/** Members of the API's own answers that are no columns: they may come back, and change nothing. */
const readOnlyMembers = new Set(['customer', 'connection', 'state', ...secretFlags]);

/**
 * Reads a connection from a request's body, by the rules that polls go by. A secret that the body leaves out
 * (or gives as "") is taken from `stored`, save when it names an app setting instead; null drops it.
 */
export function readConnectionBody(
  body: JsonObject,
  key: ConnectionKey,
  stored: ConnectionEntity | undefined,
  decode: DecodeConnection,
  readSetting: ReadSetting,
): ReadConnection {
  const given = Object.fromEntries(Object.entries(body).filter(([name]) => !readOnlyMembers.has(name)));
  const kept = keptSecrets(given, stored);
  const all = { ...given, ...kept };
  const errors = [...foreignKeys(body, key), ...tableKeys(given)];
  const decoded = decode({ ...all, PartitionKey: key.customer, RowKey: key.connection }, readSetting, {
    strict: true,
  });
  if (!decoded.ok) errors.push(...decoded.errors);
  const columns = toStored(all);
  for (const [name, value] of Object.entries(columns)) {
    if (typeof value !== 'string' || value.length <= maxTextCharacters) continue;
    errors.push({ column: name, message: `${name} is too long; it must have at most 32768 characters.` });
  }
  if (!decoded.ok || errors.length > 0) return { ok: false, errors };
  return {
    ok: true,
    columns,
    config: decoded.config,
    kept: new Set(configColumnNames.filter((name) => Object.hasOwn(kept, name))),
  };
}

function keptSecrets(given: JsonObject, stored: ConnectionEntity | undefined): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const name of secretColumns) {
    const value = stored?.columns[name];
    if (value === undefined || value === '' || given[name] === null) continue;
    const setting = configColumnNames.find((column) => column === `${name}Setting`);
    const isGiven = (column: ConfigColumnName) =>
      Object.hasOwn(given, column) && normalizeColumn(column, given[column]) !== undefined;
    if (!isGiven(name) && !(setting !== undefined && isGiven(setting))) kept[name] = value;
  }
  return kept;
}

function foreignKeys(body: JsonObject, key: ConnectionKey): ColumnError[] {
  return (['customer', 'connection'] as const)
    .filter((name) => Object.hasOwn(body, name) && body[name] !== key[name])
    .map((name) => ({
      column: name,
      message: `${name} is not the one in the address, ${JSON.stringify(key[name])}; leave it out of the body.`,
    }));
}

function tableKeys(given: JsonObject): ColumnError[] {
  return ['PartitionKey', 'RowKey']
    .filter((name) => Object.hasOwn(given, name))
    .map((name) => ({
      column: name,
      message: `"${name}" is not a column of a connection; leave it out.`,
    }));
}

function toStored(all: JsonObject): StoredColumns {
  const columns: Record<string, string | number | boolean | bigint> = {};
  for (const name of configColumnNames) {
    const value = Object.hasOwn(all, name) ? normalizeColumn(name, all[name]) : undefined;
    if (typeof value === 'string' || typeof value === 'boolean') columns[name] = value;
    // The table reads a number without a type as an Int32.
    if (typeof value === 'number') columns[name] = value > maxInt32 ? BigInt(value) : value;
  }
  return columns;
}

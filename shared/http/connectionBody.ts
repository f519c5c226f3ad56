import {
  type ConfigColumnName,
  configColumnNames,
  normalizeColumn,
  type SecretColumn,
  secretColumns,
  secretReferences,
} from '../connection/columns.ts';
import type { ColumnError, ConnectionConfig } from '../connection/config.ts';
import type { ConnectionEntity, ConnectionKey, StoredColumns } from '../connection/connectionStore.ts';
import { decodeConnection } from '../connection/decode.ts';
import type { SecretSources } from '../connection/secret.ts';
import type { JsonObject } from '../json/json.ts';
import { toPem } from '../mailbox/pem.ts';
import { refuseColumns } from './answer.ts';
import { secretFlags } from './representation.ts';

export interface ConnectionBody {
  /** To be stored: plain types, nothing empty, kept secrets included. */
  readonly columns: StoredColumns;
  readonly config: ConnectionConfig;
  /** The secrets that the body leaves out and the stored connection has. */
  readonly kept: ReadonlySet<SecretColumn>;
}

/** What storage takes as one string. */
const maxTextCharacters = 32_768;

/** Members of the API's own answers that are no columns: they may come back, and change nothing. */
const readOnlyMembers = new Set(['customer', 'connection', 'state', ...secretFlags]);

/**
 * Reads a connection from a request's body, by the rules that polls go by; refuses columns that are wrong. A secret
 * that the body leaves out (or gives as "") is taken from `stored`, save when it names an app setting or a vault's
 * secret instead; null drops it. Whether it may be kept is not decided here.
 */
export function readConnectionBody(
  body: JsonObject,
  key: ConnectionKey,
  stored: ConnectionEntity | undefined,
  sources: SecretSources,
): ConnectionBody {
  const given = Object.fromEntries(Object.entries(body).filter(([name]) => !readOnlyMembers.has(name)));
  const kept = keptSecrets(given, stored);
  const all = { ...given, ...kept };
  const errors: ColumnError[] = [];
  const report = (column: string, message: string) => errors.push({ column, message });
  for (const name of ['customer', 'connection'] as const) {
    if (!Object.hasOwn(body, name) || body[name] === key[name]) continue;
    report(
      name,
      `${name} is not the one in the address, ${JSON.stringify(key[name])}; leave it out of the body.`,
    );
  }
  for (const name of ['PartitionKey', 'RowKey']) {
    if (Object.hasOwn(given, name)) report(name, `"${name}" is not a column of a connection; leave it out.`);
  }
  const entity = { ...all, PartitionKey: key.customer, RowKey: key.connection };
  const decoded = decodeConnection(entity, sources, { strict: true });
  if (!decoded.ok) errors.push(...decoded.errors);
  const columns = toStored(all);
  for (const [name, value] of Object.entries(columns)) {
    if (typeof value !== 'string') continue;
    // Storage takes only what UTF-8 can hold. The value is not quoted: it may be a secret.
    if (!value.isWellFormed())
      report(name, `${name} holds half a character (a lone surrogate); correct the text.`);
    if (value.length > maxTextCharacters)
      report(name, `${name} is too long; it must have at most 32768 characters.`);
  }
  if (!decoded.ok || errors.length > 0) refuseColumns(errors);
  return {
    columns,
    config: decoded.config,
    kept: new Set(secretColumns.filter((name) => Object.hasOwn(kept, name))),
  };
}

function keptSecrets(given: JsonObject, stored: ConnectionEntity | undefined): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const name of secretColumns) {
    const value = stored?.columns[name];
    if (value === undefined || value === '' || given[name] === null) continue;
    const { setting, vaultSecret } = secretReferences[name];
    const isGiven = (column: ConfigColumnName) =>
      Object.hasOwn(given, column) && normalizeColumn(column, given[column]) !== undefined;
    if (![name, setting, vaultSecret].some(isGiven)) kept[name] = value;
  }
  return kept;
}

function toStored(all: JsonObject): StoredColumns {
  const columns: Record<string, string | number | boolean> = {};
  for (const name of configColumnNames) {
    const value = Object.hasOwn(all, name) ? normalizeColumn(name, all[name]) : undefined;
    if (typeof value === 'string') columns[name] = (name === 'caCertificate' && toPem(value)) || value;
    else if (typeof value === 'boolean' || typeof value === 'number') columns[name] = value;
  }
  return columns;
}

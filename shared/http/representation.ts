import { createHash } from 'node:crypto';
import {
  type ConfigColumn,
  type ConfigColumnName,
  configColumnNames,
  configColumns,
  isSecretColumn,
  isSecretReference,
  normalizeColumn,
  secretColumns,
} from '../connection/columns.ts';
import type { ConnectionEntity } from '../connection/connectionStore.ts';
import { innerColumns, readState } from '../connection/state.ts';
import { isTokenEndpoint } from '../connection/syntax.ts';
import { toPem } from '../mailbox/pem.ts';

/** A new one is written when a secret changes over HTTP, so that the ETag tells that too. */
export const secretsVersionColumn = 'secretsVersion';

/** A new one is written with each change over HTTP, by which a call knows its own. */
export const writeIdColumn = 'configWriteId';

/** The members of the answer that say which secrets are stored. */
export const secretFlags: readonly string[] = secretColumns.map(flagOf);

/** A connection as the API gives it: config, which secrets are stored, state. No secret is in it. */
export function connectionJson({ key, columns }: Omit<ConnectionEntity, 'etag'>): Record<string, unknown> {
  const config: Record<string, unknown> = {};
  for (const name of configColumnNames) {
    const value = normalizeColumn(name, columns[name]);
    if (isSecretColumn(name)) config[flagOf(name)] = value !== undefined;
    else if (value !== undefined) config[name] = toJsonValue(name, value);
  }
  return { ...key, ...config, state: stateJson(columns) };
}

/**
 * The strong ETag of a connection's config: a hash of its content. State is left out, since the app writes it all
 * the time; so are the secrets themselves, since a hash over them would let a weak one be guessed.
 */
export function configTag(columns: ConnectionEntity['columns']): string {
  const hash = createHash('sha256');
  for (const name of configColumnNames) {
    const value = normalizeColumn(name, columns[name]);
    if (value === undefined) continue;
    const shown = isSecretColumn(name) ? 'set' : `${typeof value} ${String(value)}`;
    hash.update(JSON.stringify([name, shown]));
  }
  hash.update(String(columns[secretsVersionColumn] ?? ''));
  return `"${hash.digest('base64url').slice(0, 22)}"`;
}

function flagOf(name: ConfigColumnName): string {
  return `${name}Set`;
}

/**
 * The column's own type, or text where a table's editor has put another; undefined where a secret may have been put
 * there by mistake.
 */
function toJsonValue(name: ConfigColumnName, value: unknown): unknown {
  const text = typeof value === 'string' ? value : '';
  if (isSecretReference(name)) return /^\w[\w.:-]{0,255}$/.test(text) ? text : undefined;
  if (name === 'oauth2TokenEndpoint') return isTokenEndpoint(text) ? text : undefined;
  // What stands around the certificates may be anything.
  if (name === 'caCertificate') return toPem(text);
  const { type }: ConfigColumn = configColumns[name];
  const fits = type === 'integer' ? Number.isSafeInteger(value) : typeof value === type;
  return fits ? value : String(value);
}

export function stateJson(columns: ConnectionEntity['columns']): Record<string, unknown> {
  return Object.fromEntries(Object.entries(readState(columns)).filter(([name]) => !innerColumns.has(name)));
}

import { readFileSync } from 'node:fs';
import { type Location, type TransformFailure, transformSync } from 'esbuild';
import { isConfigColumn } from '../../shared/connection/columns.ts';
import type { ConnectionConfig } from '../../shared/connection/config.ts';
import { decodeConnection } from '../../shared/connection/decode.ts';
import { type SecretSources, settingsOf } from '../../shared/connection/secret.ts';
import { DemoError } from './arguments.ts';

/** A connection as its file has it: the columns of the table, and the keys. */
export interface ConnectionFile {
  readonly config: ConnectionConfig;
  readonly columns: Readonly<Record<string, unknown>>;
  /** Names in the file that are no column. */
  readonly unknown: readonly string[];
}

const keyNames = ['customer', 'connection', 'PartitionKey', 'RowKey'];

/** Throws a `DemoError` with a sentence for each wrong column; none of them holds a secret. */
export function readConnectionFile(
  file: string,
  env: Readonly<Record<string, string | undefined>>,
): ConnectionFile {
  const given = parse(file);
  const keys = {
    PartitionKey: given.customer ?? given.PartitionKey ?? 'demo',
    RowKey: given.connection ?? given.RowKey ?? 'own-mailbox',
  };
  const unknown = Object.keys(given).filter((name) => !isConfigColumn(name) && !keyNames.includes(name));
  const columns = Object.fromEntries(Object.entries(given).filter(([name]) => isConfigColumn(name)));
  const decoded = decodeConnection({ ...columns, ...keys }, sourcesIn(env));
  if (!decoded.ok) {
    const sentences = decoded.errors.map(({ message }) => message);
    if (decoded.errors.some(({ column }) => column.endsWith('Setting'))) {
      sentences.push('In the demo, app settings are the environment variables of your shell.');
    }
    if (unknown.length > 0) sentences.push(`Not a column: ${unknown.join(', ')}.`);
    throw new DemoError([`${file} is not a connection:`, ...sentences].join('\n'));
  }
  return {
    config: decoded.config,
    columns,
    unknown,
  };
}

/** As the app has them; only the names are looked at here. */
function sourcesIn(env: Readonly<Record<string, string | undefined>>): SecretSources {
  return {
    settingsPrefix: env.SECRET_SETTINGS_PREFIX || 'MAILBOX_',
    readSetting: settingsOf(env),
    ...(env.SECRETS_VAULT ? { vaultPrefix: env.SECRETS_VAULT_PREFIX || 'mailbox-' } : {}),
  };
}

/** Whether polling it takes the mails off the server for good. */
export function deletes({ protocol, deleteMails }: ConnectionConfig): boolean {
  return protocol === 'pop3' || deleteMails;
}

/** Throws a `DemoError` where mails would be deleted and `mayDelete` is false. */
export function checkDeletes(config: ConnectionConfig, mayDelete: boolean): void {
  if (!deletes(config) || mayDelete) return;
  const why = config.protocol === 'pop3' ? 'POP3 knows no read mark' : 'deleteMessages is true';
  throw new DemoError(
    `This would delete every mail it sends (${why}), and the demo's queue ends with the demo. To do it all the same, add --yes.`,
  );
}

function parse(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    throw new DemoError(`${file} could not be read: ${code}.`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which may be the password.
    throw new DemoError(`${file} is not JSON: ${placeOfError(text)}.`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new DemoError(`${file} must hold one JSON object, such as {"host": "…", "hostType": "IMAP", …}.`);
  }
  return Object.fromEntries(Object.entries(value));
}

/** Where a text stops being JSON: `JSON.parse` says that of some only, and esbuild counts bytes. */
function placeOfError(text: string): string {
  let place: Partial<Location> | null | undefined;
  try {
    transformSync(text, { loader: 'json', logLevel: 'silent' });
  } catch (error) {
    place = (error as TransformFailure).errors[0]?.location;
  }
  const { line = 1, lineText = '', column = 0 } = place ?? {};
  const before = Buffer.from(lineText).subarray(0, column).toString();
  return `line ${line}, column ${before.length + 1}`;
}

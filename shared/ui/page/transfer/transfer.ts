import { configColumnNames, isSecretColumn } from '../../../connection/columns.ts';
import { type Connection, type Key, nameOf } from '../model.ts';

/** A connection as it stands in a file: its columns, and no secret. */
export type Exported = Key & Readonly<Record<string, unknown>>;

const format = 'email-inbound-adapter connections';

/** The text of a file with these connections: config alone, without state and without secrets. */
export function toFile(connections: readonly Connection[]): string {
  const exported = connections.map((connection): Exported => {
    const columns = configColumnNames
      .filter((name) => !isSecretColumn(name) && connection[name] !== undefined)
      .map((name) => [name, connection[name]] as const);
    const { customer, connection: name } = connection;
    return { customer, connection: name, ...Object.fromEntries(columns) };
  });
  return `${JSON.stringify({ format, connections: exported }, null, 2)}\n`;
}

/** What stands in a file; a sentence where it is none of ours. Columns are for the API to check. */
export function fromFile(text: string): readonly Exported[] | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'This is not a JSON file.';
  }
  const { connections } = Object(value) as { connections?: unknown };
  if (!Array.isArray(connections)) return 'This file has no list of connections: {"connections": [...]}.';
  const names = new Set<string>();
  for (const [index, each] of connections.entries()) {
    if (!isExported(each)) return `Entry ${index + 1} of this file has no customer and connection.`;
    const name = nameOf(each);
    if (names.has(name))
      return `${name} stands more than once in this file; leave only the one that is meant.`;
    names.add(name);
  }
  return connections;
}

function isExported(value: unknown): value is Exported {
  const { customer, connection } = Object(value) as Record<string, unknown>;
  return (
    typeof customer === 'string' && typeof connection === 'string' && customer !== '' && connection !== ''
  );
}

/** Has the browser save these connections as a file. */
export function exportConnections(connections: readonly Connection[]): void {
  const address = URL.createObjectURL(new Blob([toFile(connections)], { type: 'application/json' }));
  const link = document.createElement('a');
  link.href = address;
  link.download = `connections-${new Date().toISOString().slice(0, 10)}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

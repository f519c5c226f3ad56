import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DemoError } from './arguments.ts';
import type { ReceivedMessage } from './consumer.ts';

const longestName = 100;

/**
 * Writes each message it is called with into a folder as a file of its bytes, and beside it, with `.json` at its end,
 * the message's properties. Files are numbered as messages come, after those that are there. Throws a `DemoError`
 * where there can be no such folder.
 */
export function messageFolder(folder: string): (message: ReceivedMessage) => void {
  let last = lastNumberIn(folder);
  return ({ connection, fileName, bytes, properties }) => {
    last += 1;
    const number = String(last).padStart(4, '0');
    const path = join(folder, `${number}-${safeName(connection)}-${safeName(fileName)}`);
    writeFileSync(path, bytes, { flag: 'wx' });
    writeFileSync(`${path}.json`, `${JSON.stringify(properties, null, 2)}\n`, { flag: 'wx' });
  };
}

function lastNumberIn(folder: string): number {
  try {
    mkdirSync(folder, { recursive: true });
    return Math.max(0, ...readdirSync(folder).map((name) => Number(/^(\d{4,})-/.exec(name)?.[1] ?? 0)));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    throw new DemoError(`${folder} can't be written to: ${code}.`);
  }
}

/** What any file system takes; the end is kept, which programs go by. */
function safeName(name: string): string {
  return [...name.replace(/[^\p{L}\p{N}._ ()-]/gu, '_')].slice(-longestName / 2).join('');
}

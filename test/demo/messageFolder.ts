import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DemoError } from './arguments.ts';
import type { ReceivedMessage } from './consumer.ts';

const longestName = 100;

/**
 * Writes each message into a folder as a file of its bytes, and beside it, with `.json` at its end, the message's
 * properties. Files are numbered as messages come, after those that are there.
 */
export class MessageFolder {
  readonly #folder: string;
  #number: number;

  /** Throws a `DemoError` where there can be no such folder. */
  constructor(folder: string) {
    try {
      mkdirSync(folder, { recursive: true });
      const numbers = readdirSync(folder).map((name) => Number(/^(\d{4,})-/.exec(name)?.[1] ?? 0));
      this.#number = Math.max(0, ...numbers);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
      throw new DemoError(`${folder} can't be written to: ${code}.`);
    }
    this.#folder = folder;
  }

  add({ connection, fileName, bytes, properties }: ReceivedMessage): void {
    this.#number += 1;
    const number = String(this.#number).padStart(4, '0');
    const path = join(this.#folder, `${number}-${safeName(connection)}-${safeName(fileName)}`);
    writeFileSync(path, bytes, { flag: 'wx' });
    writeFileSync(`${path}.json`, `${JSON.stringify(properties, null, 2)}\n`, { flag: 'wx' });
  }
}

/** What any file system takes; the end is kept, which programs go by. */
function safeName(name: string): string {
  return [...name.replace(/[^\p{L}\p{N}._ ()-]/gu, '_')].slice(-longestName / 2).join('');
}

import { execFile } from 'node:child_process';
import { globSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DemoError } from './arguments.ts';

const root = join(import.meta.dirname, '..', '..');

export const mainFile = join(root, 'dist', 'main.cjs');

const buildTimeoutMs = 120_000;

/** Builds the bundle when it is missing or older than what it is made of; says which it was. */
export async function ensureBundle(): Promise<'built' | 'up to date'> {
  const sources = globSync('{functions,shared}/**/*.{ts,tsx,css}', { cwd: root });
  const newest = Math.max(
    ...['build.ts', 'host.json', 'package.json', 'package-lock.json', ...sources].map((file) =>
      changedAtMs(join(root, file)),
    ),
  );
  if (changedAtMs(mainFile) > newest) return 'up to date';
  try {
    await promisify(execFile)(process.execPath, ['build.ts'], { cwd: root, timeout: buildTimeoutMs });
  } catch (error) {
    throw new DemoError(`The bundle could not be built. ${error instanceof Error ? error.message : error}`);
  }
  return 'built';
}

/** Zero for a file that isn't there. */
function changedAtMs(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

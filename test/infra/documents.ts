import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');

/** The text of a file of the repository. */
export function read(...path: string[]): string {
  return readFileSync(join(root, ...path), 'utf8');
}

/** The texts of the files that match, by their paths. */
export function readAll(...patterns: string[]): Map<string, string> {
  return new Map(globSync(patterns, { cwd: root }).map((file) => [file, read(file)]));
}

/** README and all of docs. */
export const documents = readAll('README.md', 'docs/**/*.md');

/** What the first group of the pattern matches, each time. */
export function matches(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => match[1] ?? '');
}

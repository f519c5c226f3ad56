import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '..', '..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');

/** What the code says, with `…` for what it puts in, whatever the quotes and line breaks. */
const said = globSync('shared/**/*.ts', { cwd: root })
  .map(read)
  .join('\n')
  .replace(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, '…')
  .replace(/\\'/g, "'");

test('every sentence that the document explains is one that the app can say', () => {
  const [, section = ''] = read('docs/operations.md').split('\n## Sentences\n');
  const sentences = [...section.matchAll(/^\| `([^`]+)` \|/gm)].map(([, sentence = '']) => sentence);
  assert.ok(sentences.length > 0);
  const pieces = sentences.map((sentence) => sentence.split('…').map((piece) => piece.trim()));
  const unknown = pieces.flat().filter((piece) => piece.length > 2 && !said.includes(piece));
  assert.deepEqual(unknown, []);
});

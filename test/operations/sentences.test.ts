import assert from 'node:assert/strict';
import { test } from 'node:test';
import { read, readAll } from '../infra/documents.ts';

/** What the code says, with `…` for what it puts in, whatever the quotes and line breaks. */
const said = [...readAll('shared/**/*.ts').values()]
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

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);

interface Line {
  readonly what: string;
  readonly done: number;
  readonly requests: Readonly<Record<string, number>>;
}

test('an idle poll is four storage requests, a tick one and one for each order, a process’s first one more', async () => {
  const script = join(import.meta.dirname, 'scale.ts');
  const { stdout } = await run(process.execPath, [script, '120', '20'], { timeout: 120_000 });
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
  const of = (what: string) => lines.find((line) => line.what === what);
  assert.deepEqual(of('idle polls')?.requests, { table: 40, blob: 40 });
  assert.deepEqual(of('tick, the first of the hour, none due')?.requests, { table: 1, queue: 1 });
  assert.deepEqual(of('tick, none due')?.requests, { table: 1 });
  assert.deepEqual(of('tick, all due')?.requests, { table: 1, queue: 120 });
});

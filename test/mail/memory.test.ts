import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { type Cost, costlyKinds } from './memoryChild.ts';

const child = join(import.meta.dirname, 'memoryChild.ts');

describe('a mail stays below 256 MiB of the process, and no turn of the event loop is longer than 250 ms', () => {
  for (const kind of costlyKinds)
    test(kind, async () => {
      // What is read into memory whole is small; a large mail comes in pieces.
      const form = /attachment|files|delimiters|winmail|signed/.test(kind) ? 'pieces' : 'whole';
      const { stdout } = await promisify(execFile)(process.execPath, [child, kind, form], {
        timeout: 120_000,
      });
      const cost: Cost = JSON.parse(stdout);
      assert.ok(cost.peakMiB < 256, `${cost.peakMiB} MiB`);
      assert.ok(cost.longestTurnMs < 250, `${cost.longestTurnMs} ms`);
      assert.ok(cost.kind !== undefined);
    });
});

/**
 * Runs the tests: all of them, or those whose path holds one of the arguments. Makes sure of the mail server,
 * the browser and the bundle first. The last line is `N passed, N failed`, whatever happens; no run is longer than its
 * deadline.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { cyrusPackages } from './testbed/cyrus.ts';
import { programs, requirePrograms, unpackDebianPackages } from './testbed/programs.ts';

const root = join(import.meta.dirname, '..');
const wholeRunMs = 45 * 60_000;
/** A test file that takes longer, or that leaves a handle open, is ended and counts as failed. */
const oneFileMs = 4 * 60_000;
/** Test files mostly wait for their servers, so there may be more of them than cores. */
const filesAtOnce = Math.min(availableParallelism() + 1, 6);

const tally = { passed: 0, failed: 0 };

function finish(): never {
  if (tally.passed + tally.failed === 0) console.error('No test was run.');
  console.log(`${tally.passed} passed, ${tally.failed} failed`);
  process.exit(tally.failed === 0 && tally.passed > 0 ? 0 : 1);
}

function prepare(): void {
  try {
    requirePrograms([programs.dovecot, programs.openssl, programs.chromium]);
    unpackDebianPackages(cyrusPackages);
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    tally.failed += 1;
    finish();
  }
  if (!existsSync(join(root, 'build.ts'))) return;
  const built = spawnSync(process.execPath, ['build.ts'], { cwd: root, stdio: 'inherit', timeout: 120_000 });
  if (built.status === 0) return;
  console.error('The bundle could not be built.');
  tally.failed += 1;
}

function testFiles(patterns: readonly string[]): string[] {
  const files = globSync('test/**/*.test.ts', { cwd: root }).sort();
  return files
    .filter((file) => patterns.length === 0 || patterns.some((pattern) => file.includes(pattern)))
    .map((file) => join(root, file));
}

prepare();
const files = testFiles(process.argv.slice(2));
if (files.length === 0) finish();

const stop = new AbortController();
const deadline = setTimeout(() => {
  console.error(`The tests are stopped: they took longer than ${wholeRunMs / 60_000} minutes.`);
  tally.failed += 1;
  stop.abort();
  setTimeout(finish, 10_000);
}, wholeRunMs);

const events = run({ files, concurrency: filesAtOnce, timeout: oneFileMs, signal: stop.signal });
events.on('test:pass', ({ details, skip, todo }) => {
  if (details.type !== 'suite' && skip === undefined && todo === undefined) tally.passed += 1;
});
events.on('test:fail', ({ details, skip, todo }) => {
  if (details.type !== 'suite' && skip === undefined && todo === undefined) tally.failed += 1;
});
events.once('end', () => clearTimeout(deadline));
const report = events.compose(new spec());
report.pipe(process.stdout, { end: false });
report.once('end', () => process.stdout.write('\n', finish));

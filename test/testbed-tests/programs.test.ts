import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { commandOf, programs, requirePrograms } from '../testbed/programs.ts';

test('programs are found by any of their commands, also in the sbin folders that are not on the PATH', () => {
  requirePrograms([programs.dovecot]);
  const code = `
    import { commandOf, programs, requirePrograms } from ${JSON.stringify(join(import.meta.dirname, '..', 'testbed', 'programs.ts'))};
    requirePrograms([programs.dovecot]);
    console.log(commandOf(programs.dovecot));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    encoding: 'utf8',
    env: { PATH: '/usr/bin:/bin' },
  });
  assert.match(stdout, /\/dovecot\n$/, stderr);
  assert.equal(
    commandOf({ name: 'A shell', commands: ['no-such-shell', 'sh'], packages: [] }).endsWith('/sh'),
    true,
  );
});

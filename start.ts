/** `npm start`: builds the app and runs it in Azure Functions Core Tools, after looking whether all is there. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const root = import.meta.dirname;
// On Windows both are scripts, which only a shell runs.
const shell = process.platform === 'win32';

const missing: string[] = [];
if (spawnSync('func', ['--version'], { shell, stdio: 'ignore' }).status !== 0) {
  missing.push(
    'Azure Functions Core Tools 4 (command func) is not here: npm install -g azure-functions-core-tools@4',
  );
}
if (!existsSync(join(root, 'local.settings.json'))) {
  missing.push('There is no local.settings.json: cp local.settings.sample.json local.settings.json');
}
if (missing.length > 0) {
  console.error(missing.join('\n'));
  console.error('Without either, npm run demo -- --watch runs everything on this machine.');
  process.exit(1);
}
for (const [command, args] of [
  ['npm', ['run', '--silent', 'build']],
  ['func', ['start', ...process.argv.slice(2)]],
] as const) {
  const { status } = spawnSync(command, args, { cwd: root, shell, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

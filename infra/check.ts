/**
 * Checks the Bicep files with the compiler itself: formatted, built and linted without a finding, and what would
 * be deployed is what the committed snapshot says. With `--write` it formats and writes the snapshot instead.
 * The compiler comes from NuGet, so this needs `dotnet`; without it, it says that nothing was checked, and with
 * `--required` it fails.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  globSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

const version = '0.49.2';
const infra = import.meta.dirname;
const commandTimeoutMs = 300_000;

/** Names and ids that stand in the snapshot; nothing is looked up under them. */
const snapshotOf = [
  '--subscription-id=00000000-0000-0000-0000-000000000001',
  '--tenant-id=00000000-0000-0000-0000-000000000002',
  '--resource-group=mail-in',
  '--location=westeurope',
];

if (!has('dotnet')) {
  console.log(
    '\nNOT CHECKED: infra/*.bicep. Their compiler comes by dotnet, which is not here (.NET SDK 8 or later).\n',
  );
  process.exit(process.argv.includes('--required') ? 1 : 0);
}
const bicep = restoreCompiler();
const write = process.argv.includes('--write');
const problems: string[] = [];

const work = mkdtempSync(join(tmpdir(), 'bicep-'));
const files = globSync(['*.bicep', '*.bicepparam'], { cwd: infra });
for (const file of files) copyFileSync(join(infra, file), join(work, file));
report(run(bicep, ['format', '--pattern', join(work, '*.bicep*')]));
for (const file of files) {
  if (readFileSync(join(work, file), 'utf8') === readFileSync(join(infra, file), 'utf8')) continue;
  if (write) copyFileSync(join(work, file), join(infra, file));
  else problems.push(`infra/${file} is not formatted. Run: npm run format`);
}
rmSync(work, { recursive: true, force: true });
// azd.bicep holds the other files as its modules; the snapshot below is made of main.bicepparam.
report(run(bicep, ['lint', join(infra, 'azd.bicep')]));
report(run(bicep, ['build-params', join(infra, 'azd.bicepparam'), '--stdout']));
const mode = write ? 'overwrite' : 'validate';
const snapshot = run(bicep, ['snapshot', join(infra, 'main.bicepparam'), `--mode=${mode}`, ...snapshotOf]);
if (snapshot.status !== 0) {
  problems.push(`infra/main.snapshot.json is not what would be deployed. If it should be: npm run format`);
  problems.push(snapshot.stdout, snapshot.stderr);
}
if (write && snapshot.status === 0) sortOutputs(join(infra, 'main.snapshot.json'));

for (const problem of problems) console.error(problem);
if (problems.length === 0) console.log(`Checked infra with Bicep ${version}.`);
process.exitCode = problems.length === 0 ? 0 : 1;

/** The compiler writes them in another order each time. */
function sortOutputs(path: string): void {
  const { outputs, ...rest } = JSON.parse(readFileSync(path, 'utf8'));
  const sorted = Object.fromEntries(Object.entries(outputs).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(path, `${JSON.stringify({ ...rest, outputs: sorted }, null, 2)}\n`);
}

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The compiler's findings are lines on stderr, also where it ends with 0. */
function report({ status, stderr }: Ended): void {
  if (status !== 0 || stderr.trim() !== '') problems.push(stderr.trim() || `bicep ended with ${status}.`);
}

/** Gives the compiler's path, and has NuGet bring it first where it isn't there; ends the process where that fails. */
function restoreCompiler(): string {
  const platform = `${{ darwin: 'osx', win32: 'win' }[process.platform as string] ?? 'linux'}-${process.arch}`;
  const packages = process.env.NUGET_PACKAGES ?? join(homedir(), '.nuget', 'packages');
  const folder = join(packages, `azure.bicep.commandline.${platform}`, version, 'tools');
  const path = join(folder, process.platform === 'win32' ? 'bicep.exe' : 'bicep');
  if (!existsSync(path)) {
    const obj = `${mkdtempSync(join(tmpdir(), 'bicep-'))}/`;
    const restored = run('dotnet', [
      'restore',
      join(infra, 'compiler', 'compiler.csproj'),
      `-p:BicepPlatform=${platform}`,
      `-p:BicepVersion=${version}`,
      `-p:BaseIntermediateOutputPath=${obj}`,
    ]);
    rmSync(obj, { recursive: true, force: true });
    if (restored.status !== 0 || !existsSync(path)) {
      console.error(`NuGet did not bring the Bicep compiler ${version} for ${platform}.`);
      console.error(restored.stdout, restored.stderr);
      process.exit(1);
    }
  }
  if (process.platform !== 'win32') chmodSync(path, 0o755);
  return path;
}

function has(command: string): boolean {
  return run(command, ['--version']).status === 0;
}

/** The environment has no say in what a parameters file reads. */
function run(command: string, args: readonly string[]): Ended {
  const { PATH, HOME, USERPROFILE, NUGET_PACKAGES, TMPDIR } = process.env;
  const env = {
    PATH,
    HOME,
    USERPROFILE,
    NUGET_PACKAGES,
    TMPDIR,
    DOTNET_CLI_TELEMETRY_OPTOUT: '1',
    DOTNET_NOLOGO: '1',
  };
  const { status, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    timeout: commandTimeoutMs,
    env,
  });
  return { status, stdout: stdout ?? '', stderr: stderr ?? '' };
}

import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endChild, onExit, outputOf } from './child.ts';

/** Why tests that need .NET are skipped; `false` where they are not. For node:test's `skip`. */
export const withoutDotnet: string | false =
  spawnSync('dotnet', ['--version']).status === 0 ? false : 'The .NET SDK (dotnet) is not installed.';

/** A program in .NET, built. */
export interface DotnetProgram {
  /** The assembly, for `dotnet` to run. */
  readonly path: string;
  /** Runs it to its end; answers what it wrote. Rejects with that where it fails or takes longer. */
  run(args: readonly string[], timeoutMs: number): Promise<string>;
  /** Removes what was built. */
  remove(): void;
}

/** Builds a project into a temporary folder; its own folder stays as it is. Rejects with the compiler's words. */
export async function buildDotnet(projectFile: string, assembly: string): Promise<DotnetProgram> {
  const folder = mkdtempSync(join(tmpdir(), 'dotnet-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  const forget = onExit(remove);
  const options = ['--nologo', '-v', 'q', '--artifacts-path', folder, '-o', join(folder, 'out')];
  // The build's servers would outlive it.
  const serverless = ['--disable-build-servers', '-p:UseSharedCompilation=false'];
  await output(['build', projectFile, ...options, ...serverless], 180_000);
  const path = join(folder, 'out', `${assembly}.dll`);
  return {
    path,
    run: (args, timeoutMs) => output([path, ...args], timeoutMs),
    remove() {
      remove();
      forget();
    },
  };
}

async function output(args: readonly string[], timeoutMs: number): Promise<string> {
  const child = spawn('dotnet', args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, DOTNET_CLI_TELEMETRY_OPTOUT: '1', DOTNET_NOLOGO: '1' },
  });
  const forget = onExit(() => child.kill('SIGKILL'));
  const written = outputOf(child);
  const timer = setTimeout(() => void endChild(child, 1_000), timeoutMs);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  clearTimeout(timer);
  forget();
  if (code !== 0)
    throw new Error(`'dotnet ${args[0] ?? ''}' ended with ${code ?? 'a signal'}:\n${written()}`);
  return written();
}

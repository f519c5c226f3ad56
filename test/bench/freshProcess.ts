import { spawn } from 'node:child_process';
import { exited, firstLine, onExit } from '../testbed/child.ts';

const timeoutMs = 30_000;

/** Runs a script in a fresh process. `ms`: from starting it until it printed its line. */
export async function runFresh(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ line: string; ms: number }> {
  const startedMs = performance.now();
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH, ...env },
  });
  const forget = onExit(() => child.kill('SIGKILL'));
  const deadline = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  try {
    const line = await firstLine(child);
    return { line, ms: performance.now() - startedMs };
  } finally {
    child.kill('SIGKILL');
    await exited(child);
    clearTimeout(deadline);
    forget();
  }
}

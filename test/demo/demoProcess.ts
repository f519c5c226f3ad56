import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { exited, onExit, outputOf } from '../testbed/child.ts';

/** The demo as a person starts it. */
export interface DemoProcess {
  readonly child: ChildProcess;
  /** Presses a key. */
  press(key: string): void;
  /** What it wrote to stdout and stderr so far. */
  output(): string;
  /** Resolves when the output holds this; rejects with the output when the demo ends before. */
  says(text: string): Promise<void>;
  /** Resolves with the exit code. */
  readonly ended: Promise<number | null>;
  /** The ids of the processes that it started and that still live. */
  survivors(): number[];
  /** What it left of its temporary files, but for Node's compile cache. */
  leftFiles(): string[];
}

/** Longer than the demo takes on a busy machine. */
const deadlineMs = 90_000;

const compileCache = 'testbed-compile-cache';

/** Makes the folder that demos have everything temporary in. */
export function makeWorkFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'demo-test-'));
  // The mail belongs to another user, who must get through.
  chmodSync(folder, 0o755);
  onExit(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts it with `folder` as its TMPDIR: one demo at a time, else they are taken for each other's remains. */
export function startDemo(
  folder: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): DemoProcess {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'demo.ts'), ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      TMPDIR: folder,
      NODE_COMPILE_CACHE: join(folder, compileCache),
      ...env,
    },
  });
  // It may end before a key reaches it.
  child.stdin.on('error', () => undefined);
  const offExit = onExit(() => child.kill('SIGKILL'));
  const deadline = setTimeout(() => child.kill('SIGKILL'), deadlineMs);
  const output = outputOf(child);
  let hasEnded = false;
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const ended = exited(child)
    .then(() => closed)
    .then(() => {
      clearTimeout(deadline);
      offExit();
      hasEnded = true;
      return child.exitCode;
    });
  return {
    child,
    press: (key) => void child.stdin.write(key),
    output,
    async says(text) {
      while (!output().includes(text)) {
        if (hasEnded) throw new Error(`The demo ended and did not say ${JSON.stringify(text)}:\n${output()}`);
        await delay(5);
      }
    },
    ended: ended.then(async (code) => {
      // A process that was killed is there until its parent has seen it.
      for (let wait = 0; wait < 100 && processesOf(folder).length > 0; wait++) await delay(20);
      return code;
    }),
    survivors: () => processesOf(folder),
    leftFiles: () => readdirSync(folder).filter((name) => name !== compileCache),
  };
}

/** All live processes whose command line or environment names the folder. */
function processesOf(folder: string): number[] {
  const found: number[] = [];
  for (const id of readdirSync('/proc')) {
    if (!/^\d+$/.test(id)) continue;
    try {
      const about = ['cmdline', 'environ'].map((file) => readFileSync(`/proc/${id}/${file}`, 'latin1'));
      if (about.some((text) => text.includes(folder))) found.push(Number(id));
    } catch {
      // Gone meanwhile, or another user's.
    }
  }
  return found;
}

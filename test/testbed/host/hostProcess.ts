import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { endChild, exited, onExit, outputOf } from '../child.ts';
import type { Host, HostOptions } from './host.ts';
import { answer } from './http.ts';
import { keepLogs, type LogEntry } from './invoke.ts';
import type { FromChild, Remote, ToChild, Usage } from './ipc.ts';

export interface HostProcessOptions extends HostOptions {
  /** For Node, as `--cpu-prof`. */
  readonly execArgv?: readonly string[];
}

export interface HostProcess
  extends Pick<Host, 'functions' | 'logs' | 'fireTimer' | 'drainQueue' | 'invokeHttp'> {
  readonly pid: number;
  /** What the process wrote to stdout and stderr, its last 64 KiB. */
  output(): string;
  startQueueListener(): Promise<void>;
  usage(): Promise<Usage>;
  /** SIGKILL, at once: everything asked for and unanswered rejects. */
  kill(): Promise<void>;
  /** As an instance that is taken away in order: waits for what runs, runs the appTerminate hooks, exits. */
  stop(graceMs?: number): Promise<void>;
  /** Resolves when the process has ended, for whatever reason. */
  readonly ended: Promise<void>;
}

/**
 * Starts the app in a host of its own process, on this process's Node. It sees the settings given and nothing
 * else of this process's environment but PATH, HOME, TMPDIR and TZ.
 */
export async function startHostProcess(options: HostProcessOptions): Promise<HostProcess> {
  const { execArgv, onLog, ...hostOptions } = options;
  const child = fork(fileURLToPath(new URL('./hostMain.ts', import.meta.url)), {
    execArgv: [...(execArgv ?? [])],
    env: { ...inherited(), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    serialization: 'advanced',
  });
  const offExit = onExit(() => child.kill('SIGKILL'));
  const ended = exited(child).then(offExit);
  const output = outputOf(child);
  const { logs, log } = keepLogs(onLog);
  const { ask, listening } = askTo(child, output, log);
  const functions = await listening
    .then(() => ask('start', hostOptions))
    .catch((error: unknown) => {
      child.kill('SIGKILL');
      throw error;
    });

  return {
    pid: child.pid ?? 0,
    functions,
    logs,
    output,
    fireTimer: (name) => ask('fireTimer', name),
    drainQueue: () => ask('drainQueue'),
    startQueueListener: () => ask('startQueueListener'),
    invokeHttp: async (target, request = {}) => {
      const { status, headers, body } = await ask('invokeHttp', target, request);
      return answer(status, headers, Buffer.from(body));
    },
    usage: () => ask('usage'),
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
    stop: async (graceMs = 10_000) => {
      await ask('stop', graceMs).catch(() => undefined);
      await endChild(child);
    },
    ended,
  };
}

function askTo(child: ChildProcess, output: () => string, log: (entry: LogEntry) => void) {
  const open = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  let lastId = 0;
  let gone: Error | undefined;
  const listening = new Promise<void>((resolve, reject) => {
    child.on('message', (message: FromChild) => {
      if (message.kind === 'listening') resolve();
      else if (message.kind === 'log') log(message.entry);
      else {
        if (message.kind === 'result') open.get(message.id)?.resolve(message.result);
        else open.get(message.id)?.reject(new Error(message.message));
        open.delete(message.id);
      }
    });
    child.once('exit', (code, signal) => {
      gone = new Error(`The host process has ended (${signal ?? code}). ${output().slice(-2_000)}`);
      reject(gone);
      for (const { reject: fail } of open.values()) fail(gone);
      open.clear();
    });
    child.once('error', reject);
  });

  const ask = async <Does extends keyof Remote>(
    does: Does,
    ...args: Parameters<Remote[Does]>
  ): Promise<Awaited<ReturnType<Remote[Does]>>> => {
    if (gone !== undefined) throw gone;
    lastId += 1;
    const message: ToChild = { id: lastId, does, args };
    const result = await new Promise<unknown>((resolve, reject) => {
      open.set(message.id, { resolve, reject });
      child.send(message, (error) => {
        if (error !== null) reject(error);
      });
    });
    return result as Awaited<ReturnType<Remote[Does]>>;
  };
  return { ask, listening };
}

function inherited(): Record<string, string> {
  const env: Record<string, string> = {};
  for (const name of ['PATH', 'HOME', 'TMPDIR', 'TZ']) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  return env;
}

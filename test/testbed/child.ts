import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, connect as tcpConnect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const cleanings = new Set<() => void>();
let watching = false;

/**
 * Has `clean` run when this process exits, however it does short of SIGKILL. Returns a function that takes
 * it off again, for what was cleaned up already.
 */
export function onExit(clean: () => void): () => void {
  cleanings.add(clean);
  watchExit();
  return () => {
    cleanings.delete(clean);
  };
}

function watchExit(): void {
  if (watching) return;
  watching = true;
  process.on('exit', () => {
    for (const clean of cleanings) clean();
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // Without a listener a signal ends the process with no 'exit' event; a program with its own decides.
    if (process.listenerCount(signal) === 0) process.once(signal, () => process.exit(130));
  }
}

/** Resolves when the child has ended, at once if it has already. */
export function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once('exit', () => resolve()));
}

/** What the child has written to stdout and stderr, in the order it came: the last 64 KiB. */
export function outputOf(child: ChildProcess): () => string {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (piece: string) => {
      output = (output + piece).slice(-65_536);
    });
  }
  return () => output;
}

/** Asks the child to end, and kills it when it has not within `graceMs`. */
export async function endChild(child: ChildProcess, graceMs = 5_000): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = exited(child);
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
  await ended;
  clearTimeout(timer);
}

/** Signals every process of a child that leads a group of its own. */
export function signalGroup(child: ChildProcess | undefined, name: NodeJS.Signals): void {
  if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, name);
  } catch {
    // The group has just ended.
  }
}

/** The first line that the child writes; what comes behind it is thrown away. Rejects when it ends without one. */
export async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('The process has no output.');
  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) {
    lines.close();
    child.stdout.resume();
    return line;
  }
  throw new Error('The process ended before it was ready.');
}

/** What `startScript` started. */
export interface Script<Said> {
  /** The JSON on its first line, which says that it is ready. */
  readonly said: Said;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Starts a script in a process of its own, which ends with this one, however this one ends. */
export async function startScript<Said>(script: URL, args: readonly string[]): Promise<Script<Said>> {
  const watcher = new URL('./exitWithParent.ts', import.meta.url).href;
  const child = spawn(process.execPath, ['--import', watcher, fileURLToPath(script), ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const forget = onExit(() => child.kill('SIGKILL'));
  return {
    said: JSON.parse(await firstLine(child)),
    pid: child.pid ?? 0,
    async stop() {
      await endChild(child);
      forget();
    },
  };
}

/**
 * Ports of 127.0.0.1 that nothing listens on, taken from below the range that outgoing connections use, so
 * that none of those takes one before the server that is to have it.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  for (let attempt = 0; ports.size < count; attempt += 1) {
    if (attempt > 1_000) throw new Error('No free ports between 12000 and 32000 on 127.0.0.1.');
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    if (await canListen(port)) ports.add(port);
  }
  return [...ports];
}

/** Starts a server on free ports; on others where another process took one of them before the server had it. */
export async function startOnFreePorts<Started>(
  count: number,
  start: (ports: readonly number[]) => Promise<Started>,
): Promise<Started> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await start(await freePorts(count));
    } catch (error) {
      if (tries === 3 || !/address already in use/i.test(String(error))) throw error;
    }
  }
}

/** Has a server listen on a port of 127.0.0.1, a free one where none is named, which it gives. */
export async function listenLocally(server: Server, port = 0): Promise<number> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Has something listen on this port of 127.0.0.1, or on another where that is taken. */
export async function listenOn<Server>(
  usualPort: number,
  listen: (port: number) => Promise<Server>,
): Promise<Server> {
  try {
    return await listen(usualPort);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')) throw error;
    return await startOnFreePorts(1, ([other = 0]) => listen(other));
  }
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** Resolves when every port of 127.0.0.1 accepts connections; rejects after `timeoutMs` or when `check` throws. */
async function portsAnswer(ports: readonly number[], timeoutMs: number, check: () => void): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (const port of ports) {
    while (!(await accepts(port))) {
      check();
      if (Date.now() > deadline) throw new Error(`Port ${port} did not answer within ${timeoutMs} ms.`);
      await delay(10);
    }
  }
}

/** Resolves when the server that the child is accepts connections; rejects with what it said when it does not. */
export async function serverAnswers(
  name: string,
  child: ChildProcess,
  ports: readonly number[],
  log: () => string = () => '',
): Promise<void> {
  const output = outputOf(child);
  let failed: Error | undefined;
  child.once('error', (error) => {
    failed = error;
  });
  await portsAnswer(ports, 20_000, () => {
    if (failed === undefined && child.exitCode === null) return;
    throw new Error(
      `${name} did not start. ${failed?.message ?? ''} ${output().slice(-2_000)} ${log().slice(-2_000)}`,
    );
  });
}

/** Resolves when no port of 127.0.0.1 accepts connections any more; rejects after `timeoutMs`. */
export async function portsRefuse(ports: readonly number[], timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (const port of ports) {
    while (await accepts(port)) {
      if (Date.now() > deadline) throw new Error(`Port ${port} still answers after ${timeoutMs} ms.`);
      await delay(10);
    }
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = tcpConnect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

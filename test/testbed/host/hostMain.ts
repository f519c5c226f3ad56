// The host as a child process, so that a test can kill the app at any moment. Started by hostProcess.ts.
import { readdirSync, readlinkSync } from 'node:fs';
import { type Host, type HostOptions, startHost } from './host.ts';
import type { HttpAnswer } from './http.ts';
import type { FromChild, Remote, ToChild, Usage } from './ipc.ts';

let host: Host | undefined;

process.on('message', ({ id, does, args }: ToChild) => {
  perform(does, args).then(
    (result) => send({ kind: 'result', id, result }),
    (error: unknown) => send({ kind: 'failed', id, message: describe(error) }),
  );
});
// The parent is gone, however it went.
process.on('disconnect', () => process.exit(1));
send({ kind: 'listening' });

async function perform(does: keyof Remote, args: readonly unknown[]): Promise<unknown> {
  if (does === 'usage') return usage();
  if (does === 'start') {
    const options = args[0] as HostOptions;
    host = await startHost({ ...options, onLog: (entry) => send({ kind: 'log', entry }) });
    return host.functions;
  }
  if (host === undefined) throw new Error('The host was not started.');
  const act = host[does] as (...given: readonly unknown[]) => unknown;
  const result = await act(...args);
  if (does !== 'invokeHttp') return result;
  const { status, headers, body } = result as HttpAnswer;
  return { status, headers, body };
}

function usage(): Usage {
  globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
  return {
    rssBytes: rss,
    maxRssBytes: maxRSS * 1024,
    heapUsedBytes: heapUsed,
    ...descriptors(),
    cpuMs: (userCPUTime + systemCPUTime) / 1000,
  };
}

function descriptors(): { readonly sockets: number; readonly openFiles: number } {
  let sockets = 0;
  let openFiles = 0;
  for (const name of process.platform === 'linux' ? readdirSync('/proc/self/fd') : []) {
    try {
      if (readlinkSync(`/proc/self/fd/${name}`).startsWith('socket:')) sockets += 1;
      else openFiles += 1;
    } catch {
      // It was the folder's own.
    }
  }
  return { sockets, openFiles };
}

function send(message: FromChild): void {
  if (process.connected) process.send?.(message);
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// The host as a child process, so that a test can kill the app at any moment. Started by hostProcess.ts.
import { readdirSync, readlinkSync } from 'node:fs';
import { type Host, startHost } from './host.ts';
import type { FromChild, Order, Result, ToChild } from './ipc.ts';

let host: Host | undefined;

process.on('message', (message: ToChild) => {
  perform(message.order).then(
    (result) => send({ kind: 'result', id: message.id, result }),
    (error: unknown) => send({ kind: 'failed', id: message.id, message: describe(error) }),
  );
});
// The parent is gone, however it went.
process.on('disconnect', () => process.exit(1));
send({ kind: 'listening' });

async function perform(order: Order): Promise<Result> {
  if (order.do === 'start') {
    host = await startHost({ ...order.options, onLog: (entry) => send({ kind: 'log', entry }) });
    return { of: 'start', functions: host.functions };
  }
  if (order.do === 'usage') return { of: 'usage', usage: usage() };
  if (host === undefined) throw new Error('The host was not started.');
  switch (order.do) {
    case 'fireTimer':
      return { of: 'fireTimer', outcome: await host.fireTimer(order.name) };
    case 'runQueueOnce':
      return { of: 'runQueueOnce', taken: await host.runQueueOnce() };
    case 'drainQueue':
      return { of: 'drainQueue', tally: await host.drainQueue() };
    case 'startQueueListener':
      host.startQueueListener();
      return { of: 'done' };
    case 'stopQueueListener':
      await host.stopQueueListener();
      return { of: 'done' };
    case 'invokeHttp': {
      const { status, headers, body } = await host.invokeHttp(order.target, order.request);
      return { of: 'invokeHttp', answer: { status, headers, body } };
    }
    case 'stop':
      await host.stop(order.graceMs);
      return { of: 'done' };
  }
}

function usage() {
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

import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { pipeline } from 'node:stream';
import { parentPort, workerData } from 'node:worker_threads';
import type { MutePlace } from './muteListeners.ts';

/** The thread of `startMuteListeners`. */
const { gate, places }: { gate: Int32Array<SharedArrayBuffer>; places: readonly MutePlace[] } = workerData;

for (const { host, port, targetPort } of places) {
  const server = createServer((client) => {
    const target = connect({ host: '127.0.0.1', port: targetPort });
    // Either side ends as it will: the servers behind and the app are what is looked at.
    pipeline(client, target, client, () => {});
  });
  server.listen({ host, port, backlog: 1 });
  await once(server, 'listening');
}
parentPort?.postMessage('listening');
// Asleep, it takes no connection off a backlog.
Atomics.wait(gate, 0, 0);

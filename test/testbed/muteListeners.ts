import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';

/** A place where connects are left unanswered at first. */
export interface MutePlace {
  readonly host: string;
  readonly port: number;
  /** Where on 127.0.0.1 its connections lead once it answers. */
  readonly targetPort: number;
}

export interface MuteListeners {
  /** From now on connects are answered, also those under way, when the kernel sends their SYN again. */
  answer(): void;
  stop(): Promise<void>;
}

/** What the kernel takes of a listener with a backlog of one before it drops every further SYN. */
const queuedConnections = 2;

/**
 * Listens on these places and answers no connect to them, as an address does that leads nowhere: their backlogs are
 * full, and the thread that listens sleeps until `answer`.
 */
export async function startMuteListeners(places: readonly MutePlace[]): Promise<MuteListeners> {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const thread = new Worker(new URL('./muteListenersThread.ts', import.meta.url), {
    workerData: { gate, places },
  });
  await once(thread, 'message');
  const queued = await Promise.all(
    places.flatMap((place) => Array.from({ length: queuedConnections }, () => connected(place))),
  );
  return {
    answer() {
      Atomics.store(gate, 0, 1);
      Atomics.notify(gate, 0);
    },
    async stop() {
      for (const socket of queued) socket.destroy();
      await thread.terminate();
    },
  };
}

async function connected({ host, port }: MutePlace): Promise<Socket> {
  const socket = connect({ host, port });
  await once(socket, 'connect');
  socket.on('error', () => {});
  return socket;
}

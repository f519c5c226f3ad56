import type { Server, Socket } from 'node:net';
import { listenLocally } from './child.ts';

export interface Listening {
  readonly port: number;
  /** Cuts off what is still connected. */
  stop(): Promise<void>;
}

/** Has a server of any kind listen on a port of 127.0.0.1, a free one where none is named. */
export async function listening(server: Server, onPort?: number): Promise<Listening> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
  });
  const port = await listenLocally(server, onPort);
  const stop = async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  return { port, stop };
}

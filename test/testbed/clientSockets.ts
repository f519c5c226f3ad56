import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Socket } from 'node:net';

/** Tells of each socket that this process begins to connect, from now on; gives the way to stop that. */
export function onClientSocket(listener: (socket: Socket) => void): () => void {
  const onMessage = (made: unknown): void => {
    if (typeof made !== 'object' || made === null || !('socket' in made)) return;
    if (made.socket instanceof Socket) listener(made.socket);
  };
  subscribe('net.client.socket', onMessage);
  return () => void unsubscribe('net.client.socket', onMessage);
}

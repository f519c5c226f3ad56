import * as net from 'node:net';
import Pop3Command from 'node-pop3';
import { Failure } from '../../failure/failure.ts';

/**
 * Lets node-pop3 open the connection and takes its socket over before the first byte; `onRefused` hears why none came
 * about. See docs/decisions/0002-node-pop3-socket-only.md. Throws a `Failure` (internal) for another version.
 *
 * node-pop3 0.11.0 judges every chunk as if it were a whole reply, the greeting too, and ends the process by
 * an `error` event on a greeting that is refused: so its data listener goes, and `Pop3Wire` reads. It knows no
 * STLS, and wraps a socket that has not connected yet, which Node does in JavaScript, slowly: so it opens
 * plain TCP always, and TLS starts the same way for SSL and STLS, on the connected socket. This leans on
 * `connect()` setting `_socket` at once.
 */
export function openSocket(host: string, port: number, onRefused: (error: unknown) => Error): net.Socket {
  const client = new Pop3Command({ user: '', password: '', host, port, tls: false });
  client.on('error', () => {});
  const greeted = client.connect();
  const socket: unknown = client._socket;
  if (!(socket instanceof net.Socket)) {
    greeted.catch(() => {});
    throw new Failure(
      'internal',
      "This version of node-pop3 can't be used: it gives no socket to take over. Install the version that package.json names.",
    );
  }
  socket.removeAllListeners('data');
  socket.setNoDelay(true);
  let connected = false;
  socket.once('connect', () => {
    connected = true;
  });
  // Its promise waits for a greeting that it never sees; only what keeps it from connecting counts.
  greeted.catch((error: unknown) => {
    if (!connected && !socket.destroyed) socket.destroy(onRefused(error));
  });
  return socket;
}

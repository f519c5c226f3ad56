import * as net from 'node:net';
import Pop3Command from 'node-pop3';
import { Failure } from '../../failure/failure.ts';

/**
 * Lets node-pop3 0.11.0 open the connection and takes its socket over before the first byte, which leans on `connect()`
 * setting `_socket` at once. It would judge every chunk as a whole reply, and end the process by an `error` event on a
 * refused greeting; TLS it starts slowly, and STLS not at all. See docs/decisions/0002-node-pop3-socket-only.md. Throws
 * a `Failure` (internal) for another version.
 */
export function openSocket(host: string, port: number): net.Socket {
  const client = new Pop3Command({ user: '', password: '', host, port, tls: false });
  // Its promise waits for a greeting that it never sees; why there is no connection is told by the socket.
  client.connect().catch(() => {});
  const socket: unknown = client._socket;
  if (!(socket instanceof net.Socket)) {
    throw new Failure(
      'internal',
      "This version of node-pop3 can't be used: it gives no socket to take over. Install the version that package.json names.",
    );
  }
  socket.removeAllListeners('data');
  socket.setNoDelay(true);
  return socket;
}

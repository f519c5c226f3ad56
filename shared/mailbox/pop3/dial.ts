import * as net from 'node:net';
import type * as tls from 'node:tls';
import Pop3Command from 'node-pop3';
import { Failure, toFailure } from '../../failure/failure.ts';
import type { MailboxOptions } from '../mailbox.ts';
import { describeNetworkFailure } from '../networkFailure.ts';
import { trustedRoots } from '../trustedRoots.ts';
import type { Deadline } from './deadline.ts';
import { Pop3Wire } from './wire.ts';

type Dialled = Pick<MailboxOptions, 'host' | 'port' | 'security' | 'address' | 'caCertificate'>;

/**
 * Connects to a POP3 server, with TLS already set up where `security` is `tls`; the greeting is still to be
 * read. Rejects with a `Failure` (unknown-host, refused, timeout, tls, connection-lost, config).
 */
export async function dial(options: Dialled, deadline: Deadline): Promise<Pop3Wire> {
  const { host, port, security } = options;
  const trust = tlsOptions(options);
  const wire = new Pop3Wire(takeOverSocket(options), { protocol: 'POP3', host, port, security });
  try {
    await wire.connected(deadline);
    if (security === 'tls') await wire.secure(trust, deadline);
  } catch (error) {
    throw wire.fail(toFailure(error, 'connecting to a POP3 server'));
  }
  wire.phase = 'greeting';
  return wire;
}

/** How TLS is done with this server, at once or after STLS: `host` is verified, whatever the address. */
export function tlsOptions({ host, caCertificate }: Dialled): tls.ConnectionOptions {
  const roots = trustedRoots(caCertificate);
  return {
    // Without a socket of its own `host` connects nowhere; the certificate is checked against it.
    host,
    // SNI knows no IP addresses.
    ...(net.isIP(host) === 0 ? { servername: host } : {}),
    ...(roots === undefined ? {} : { ca: roots }),
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
  };
}

/**
 * Lets node-pop3 open the connection and takes its socket over before the first byte.
 *
 * node-pop3 0.11.0 judges every chunk as if it were a whole reply, the greeting too, and ends the process by
 * an `error` event on a greeting that is refused: so its data listener goes, and `Pop3Wire` reads. It knows no
 * STLS, and wraps a socket that has not connected yet, which Node does in JavaScript, slowly: so it opens
 * plain TCP always, and TLS starts the same way for SSL and STLS, on the connected socket. This leans on
 * `connect()` setting `_socket` at once; hence the exact version, and a test that says so when it changes.
 */
function takeOverSocket({ host, port, address, security }: Dialled): net.Socket {
  const client = new Pop3Command({ user: '', password: '', host: address ?? host, port, tls: false });
  client.on('error', () => {});
  const greeted = client.connect();
  const socket: unknown = client._socket;
  if (!(socket instanceof net.Socket)) {
    greeted.catch(() => {});
    throw new Failure('internal', 'node-pop3 gives no socket to take over. Install version 0.11.0.');
  }
  socket.removeAllListeners('data');
  socket.setNoDelay(true);
  let connected = false;
  socket.once('connect', () => {
    connected = true;
  });
  // Its promise waits for a greeting that it never sees; only what keeps it from connecting counts.
  greeted.catch((error: unknown) => {
    if (connected || socket.destroyed) return;
    socket.destroy(
      describeNetworkFailure(error, { protocol: 'POP3', host, port, security, phase: 'connect' }),
    );
  });
  return socket;
}

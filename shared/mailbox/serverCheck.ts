import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { connect } from 'node:tls';
import { withDeadline } from '../wait/deadline.ts';
import { lookUpAs } from './connecting.ts';
import type { MailboxOptions } from './mailbox.ts';

/** Where a mail server is, as a person who tests a connection wants to know it. */
type ServerToCheck = Pick<MailboxOptions, 'host' | 'addresses' | 'port' | 'security'>;

export interface CheckedServer {
  /** What the name resolves to; empty where it does not, or is an address itself. */
  readonly addresses: readonly string[];
  /** The last moment of the server's certificate, trusted or not; undefined without TLS from the first byte. */
  readonly certificateEndsAt?: Date;
}

const lookUpMs = 10_000;
const handshakeMs = 10_000;

/** A mail server's addresses and the end of its certificate. Sends nothing but a handshake; never rejects. */
export async function checkServer(server: ServerToCheck): Promise<CheckedServer> {
  const [addresses, certificateEndsAt] = await Promise.all([
    isIP(server.host) === 0 ? lookUp(server.host) : [],
    server.security === 'tls' ? readCertificateEnd(server) : undefined,
  ]);
  return { addresses, ...(certificateEndsAt === undefined ? {} : { certificateEndsAt }) };
}

async function lookUp(host: string): Promise<readonly string[]> {
  const found = withDeadline(lookup(host, { all: true }), lookUpMs, () => new Error('Late.'));
  return (await found.catch(() => [])).map(({ address }) => address);
}

function readCertificateEnd({ host, addresses, port }: ServerToCheck): Promise<Date | undefined> {
  return new Promise((resolve) => {
    // It is read and not trusted: no byte of a login goes over this connection.
    const socket = connect({
      host,
      port,
      ...(addresses === undefined ? {} : { lookup: lookUpAs(addresses) }),
      rejectUnauthorized: false,
      ...(isIP(host) === 0 ? { servername: host } : {}),
    });
    const end = (date?: Date): void => {
      socket.destroy();
      resolve(date);
    };
    socket.setTimeout(handshakeMs, () => end());
    socket.once('error', () => end());
    socket.once('secureConnect', () => {
      const date = new Date(socket.getPeerCertificate().valid_to);
      end(Number.isNaN(date.getTime()) ? undefined : date);
    });
  });
}

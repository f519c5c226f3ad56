import net from 'node:net';
import tls from 'node:tls';
import type { ImapTransport } from 'imapflow';
import type { MailServerContact } from '../networkFailure.ts';

export interface TransportOptions {
  readonly host: string;
  readonly port: number;
  /** Connected to in place of `host`, when that was resolved already. */
  readonly address?: string;
  readonly caCertificate?: string;
  /** Told how far the connection has come, which is what a failure's sentence needs. */
  readonly onPhase: (phase: MailServerContact['phase']) => void;
}

/**
 * Opens and upgrades imapflow's socket: TLS from 1.2 on, SNI, and the certificate checked against `host`
 * whichever address is connected to. `caCertificate` is trusted besides the system's roots.
 */
export function createTransport(options: TransportOptions): ImapTransport {
  const target = { host: options.address ?? options.host, port: options.port };
  // Made before any connect: a broken PEM must not look like a network failure.
  const security = {
    minVersion: 'TLSv1.2' as const,
    ...(net.isIP(options.host) === 0 ? { servername: options.host } : {}),
    ...trustedRoots(options.caCertificate),
  };
  return {
    connect: ({ secure }, onConnect) => {
      const onReady = (): void => {
        options.onPhase('greeting');
        onConnect();
      };
      if (!secure) return net.connect({ ...target, noDelay: true }, onReady);
      const socket = tls.connect({ ...target, ...security }, onReady);
      socket.setNoDelay(true);
      socket.once('connect', () => options.onPhase('tls'));
      return socket;
    },
    upgrade: (socket, _options, onSecure) => {
      options.onPhase('tls');
      // Without SNI, for an address, Node verifies the certificate against this host.
      return tls.connect({ socket, host: options.host, ...security }, () => {
        options.onPhase('login');
        onSecure();
      });
    },
  };
}

/** Throws when `caCertificate` can't be read as PEM. */
function trustedRoots(caCertificate: string | undefined): { secureContext?: tls.SecureContext } {
  if (caCertificate === undefined) return {};
  const ca = [...tls.getCACertificates('default'), caCertificate];
  return { secureContext: tls.createSecureContext({ ca, minVersion: 'TLSv1.2' }) };
}

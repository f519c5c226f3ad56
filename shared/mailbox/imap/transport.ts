import net from 'node:net';
import tls from 'node:tls';
import type { ImapTransport } from 'imapflow';
import { lookUpAs } from '../lookUpAs.ts';
import type { MailServerContact } from '../networkFailure.ts';
import { tlsOptions } from '../trustedRoots.ts';

export interface TransportOptions {
  readonly host: string;
  readonly port: number;
  /** Connected to in place of `host`, when that was resolved already. */
  readonly addresses?: readonly string[];
  readonly caCertificate?: string;
  /** Told how far the connection has come, which is what a failure's sentence needs. */
  readonly onPhase: (phase: MailServerContact['phase']) => void;
}

/**
 * Opens and upgrades imapflow's socket: TLS from 1.2 on, SNI, and the certificate checked against `host`
 * whichever address is connected to. `caCertificate` is trusted besides the system's roots.
 */
export function createTransport(options: TransportOptions): ImapTransport {
  const { host, port, addresses } = options;
  const target = { host, port, ...(addresses === undefined ? {} : { lookup: lookUpAs(addresses) }) };
  // Made before any connect: a broken PEM must not look like a network failure.
  const security = tlsOptions(host, options.caCertificate);
  return {
    connect: ({ secure }, onConnect) => {
      const onReady = (): void => {
        options.onPhase('greeting');
        onConnect();
      };
      if (!secure) return net.connect({ ...target, noDelay: true }, onReady);
      const socket = tls.connect({ ...security, ...target }, onReady);
      socket.setNoDelay(true);
      socket.once('connect', () => options.onPhase('tls'));
      return socket;
    },
    upgrade: (socket, _options, onSecure) => {
      options.onPhase('tls');
      return tls.connect({ ...security, socket }, () => {
        options.onPhase('login');
        onSecure();
      });
    },
  };
}

import * as net from 'node:net';
import * as tls from 'node:tls';
import { Failure } from '../failure/failure.ts';
import { certificateRefusal, readCertificates } from './pem.ts';

/**
 * The certificates to trust: the system's and those of a connection's `caCertificate`. Undefined, which
 * is Node's own default, when there is none. Throws a `Failure` (config) when it holds no usable PEM.
 */
export function trustedRoots(caCertificate: string | undefined): string[] | undefined {
  if (caCertificate === undefined || caCertificate.trim() === '') return undefined;
  const certificates = readCertificates(caCertificate);
  if (certificates === undefined) throw new Failure('config', certificateRefusal);
  // Node's option `ca` replaces the default roots instead of adding to them.
  return [...tls.getCACertificates('default'), ...certificates];
}

/**
 * How TLS is done with a mail server, at once or after STARTTLS: from 1.2 on, SNI, and the certificate checked against
 * `host`, whichever address is connected to. Throws a `Failure` (config) for a `caCertificate` that is no PEM.
 */
export function tlsOptions(host: string, caCertificate: string | undefined): tls.ConnectionOptions {
  const roots = trustedRoots(caCertificate);
  return {
    // With a socket of its own TLS connects nowhere: the certificate is checked against this.
    host,
    // SNI knows no IP addresses.
    ...(net.isIP(host) === 0 ? { servername: host } : {}),
    ...(roots === undefined ? {} : { ca: roots }),
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
  };
}

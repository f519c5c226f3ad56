import * as tls from 'node:tls';
import { certificateRefusal, readCertificates } from '../connection/pem.ts';
import { Failure } from '../failure/failure.ts';

/**
 * The certificates to trust: the system's and those of a connection's `caCertificate`. Undefined, which
 * is Node's own default, when there is none. Throws a `Failure` (config) when it holds no usable PEM.
 */
export function trustedRoots(caCertificate: string | undefined): string[] | undefined {
  if (caCertificate === undefined || caCertificate.trim() === '') return undefined;
  const certificates = readCertificates(caCertificate);
  if (certificates === undefined) {
    throw new Failure('config', certificateRefusal);
  }
  // Node's option `ca` replaces the default roots instead of adding to them.
  return [...systemRoots(), ...certificates];
}

function systemRoots(): readonly string[] {
  // Also has those of NODE_EXTRA_CA_CERTS, but is missing before Node 22.15.
  return typeof tls.getCACertificates === 'function'
    ? tls.getCACertificates('default')
    : tls.rootCertificates;
}

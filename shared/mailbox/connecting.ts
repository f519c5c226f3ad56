import * as net from 'node:net';
import * as tls from 'node:tls';
import { Failure } from '../failure/failure.ts';
import type { MailboxOptions } from './mailbox.ts';
import { certificateRefusal, readCertificates } from './pem.ts';

/**
 * How long each address of a host but the last may take to connect. Node gives them 250 ms, so that a host whose first
 * address is slow and whose last leads nowhere is never reached. Some six of them fit the deadline of a connect.
 */
export const addressMs = 4_000;

/** Holds for every connection of the process: to mail servers, to those that give tokens, to Azure. */
export function allowSlowAddresses(): void {
  net.setDefaultAutoSelectFamilyAttemptTimeout(addressMs);
}

/** A look-up that asks nobody: whatever the name, it has these IP addresses, to be tried in this order. */
export function lookUpAs(addresses: readonly string[]): net.LookupFunction {
  const found = addresses.map((address) => ({ address, family: net.isIP(address) }));
  return (_host, { all }, done) => {
    const [first] = found;
    if (all === true || first === undefined) done(null, found);
    else done(null, first.address, first.family);
  };
}

/**
 * How TLS is done with a mail server: from 1.2 on, with SNI, and the certificate checked against `host`, whichever
 * address is connected to. Throws a `Failure` (config) for a `caCertificate` that is no PEM.
 */
export function tlsOptions(host: string, caCertificate = ''): tls.ConnectionOptions {
  const certificates = caCertificate.trim() === '' ? [] : readCertificates(caCertificate);
  if (certificates === undefined) throw new Failure('config', certificateRefusal);
  return {
    // With a socket of its own TLS connects nowhere: the certificate is checked against this.
    host,
    // SNI knows no IP addresses.
    ...(net.isIP(host) === 0 ? { servername: host } : {}),
    // Node's option `ca` replaces the default roots instead of adding to them.
    ...(certificates.length === 0 ? {} : { ca: [...tls.getCACertificates('default'), ...certificates] }),
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
  };
}

/** What would end a command line, or the credentials in it, never gets near a server. Throws a `Failure` (config). */
export function refuseUnsafe({ host, username, folder, credential }: MailboxOptions): void {
  const password = credential.kind === 'password' ? { password: credential.password } : {};
  for (const [column, value] of Object.entries({ host, username, folder, ...password })) {
    if (/^[^\r\n\0]+$/.test(value)) continue;
    const sentence = `Column ${column} is empty, or holds a line break or NUL, which no login can carry. Correct it.`;
    throw new Failure('config', sentence);
  }
}

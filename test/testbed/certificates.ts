import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onExit } from './child.ts';

export interface Certificate {
  /** The private CA's certificate, PEM: what a connection's `caCertificate` holds. */
  readonly caCertificate: string;
  /** The server's certificate, PEM. */
  readonly certificate: string;
  /** The server's private key, PEM. */
  readonly key: string;
  readonly certificatePath: string;
  readonly keyPath: string;
}

export interface CertificateOptions {
  /** Names it is valid for; `localhost`, `127.0.0.1` and `mail.test` when absent. */
  readonly names?: readonly string[];
  /** Valid until yesterday. */
  readonly expired?: boolean;
}

const run = promisify(execFile);
const made = new Map<string, Promise<Certificate>>();
let folder: string | undefined;

/**
 * A server certificate signed by a throwaway CA, made with the openssl command (Debian's Dovecot needs that
 * package too) and kept for this process. Each set of options has a CA of its own.
 */
export function testCertificate(options: CertificateOptions = {}): Promise<Certificate> {
  const cacheKey = JSON.stringify([options.names ?? null, options.expired ?? false]);
  const existing = made.get(cacheKey);
  if (existing !== undefined) return existing;
  const making = makeCertificate(options, made.size);
  made.set(cacheKey, making);
  return making;
}

async function makeCertificate(options: CertificateOptions, number: number): Promise<Certificate> {
  folder ??= ownFolder();
  const path = (file: string) => join(folder ?? '', `${number}-${file}`);
  const names = options.names ?? ['localhost', '127.0.0.1', 'mail.test'];
  const alternativeNames = names.map((name) => (/^[\d.]+$/.test(name) ? `IP:${name}` : `DNS:${name}`));
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

  await run('openssl', [
    ...['req', '-x509', ...newKey, '-days', '30', '-subj', '/CN=Testbed CA'],
    ...['-addext', 'keyUsage=critical,keyCertSign,cRLSign'],
    ...['-keyout', path('ca.key'), '-out', path('ca.pem')],
  ]);
  await run('openssl', [
    ...['req', ...newKey, '-subj', `/CN=${names[0] ?? 'localhost'}`],
    ...['-keyout', path('server.key'), '-out', path('server.csr')],
  ]);
  await writeFile(
    path('server.ext'),
    [
      `subjectAltName=${alternativeNames.join(',')}`,
      'basicConstraints=critical,CA:FALSE',
      'extendedKeyUsage=serverAuth',
    ].join('\n'),
  );
  const sign = (validity: readonly string[]) =>
    run('openssl', [
      ...['x509', '-req', '-in', path('server.csr'), ...validity],
      ...['-CA', path('ca.pem'), '-CAkey', path('ca.key'), '-set_serial', String(1_000 + number)],
      ...['-extfile', path('server.ext'), '-out', path('server.pem')],
    ]);
  if (options.expired === true) {
    // OpenSSL 3.4 and later take dates, and refuse an end before the start; the older ones know nothing else.
    const past = ['-not_before', '20200101000000Z', '-not_after', '20200201000000Z'];
    await sign(past).catch(() => sign(['-days', '-1']));
  } else await sign(['-days', '30']);
  const [caCertificate, certificate, key] = await Promise.all(
    ['ca.pem', 'server.pem', 'server.key'].map((file) => readFile(path(file), 'utf8')),
  );
  if (caCertificate === undefined || certificate === undefined || key === undefined) {
    throw new Error('openssl left no certificate.');
  }
  return {
    caCertificate,
    certificate,
    key,
    certificatePath: path('server.pem'),
    keyPath: path('server.key'),
  };
}

function ownFolder(): string {
  const made = mkdtempSync(join(tmpdir(), 'testbed-certificates-'));
  onExit(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

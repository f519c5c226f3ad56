import { X509Certificate } from 'node:crypto';
import { certificateRule } from './certificateRule.ts';

/** What is said of a text in which `readCertificates` finds none. */
export const certificateRefusal = `caCertificate is not valid; it must be ${certificateRule}.`;

const begin = /-----BEGIN\s*(?:X509\s*)?CERTIFICATE-----/g;
const block = /-----BEGIN\s*(?:X509\s*)?CERTIFICATE-----([^-]*)-----END\s*(?:X509\s*)?CERTIFICATE-----/g;
/** What one-line fields make of line ends, and what editors leave beside them. */
const filling = /\\r|\\n|[\s\u200b\ufeff]+/g;
const base64 = /^[A-Za-z0-9+/]+={0,2}$/;
const maxPemLength = 32_768;

/**
 * The certificates in a text as PEM (RFC 7468), each as every library takes it: line ends that a one-line field
 * made blanks or `\n` are put right, and quotes and texts around the blocks are left out. Undefined where there
 * is none, where one of them is cut short or no certificate, and where a private key is among them.
 */
export function readCertificates(text: string): readonly string[] | undefined {
  if (text.length > maxPemLength || /PRIVATE\s*KEY/.test(text)) return undefined;
  const blocks = [...text.matchAll(block)];
  if (blocks.length !== text.match(begin)?.length) return undefined;
  const certificates: string[] = [];
  for (const [, body = ''] of blocks) {
    const content = body.replace(filling, '');
    if (!base64.test(content)) return undefined;
    try {
      certificates.push(new X509Certificate(Buffer.from(content, 'base64')).toString());
    } catch {
      return undefined;
    }
  }
  return certificates;
}

/** The same as one text, in which a list of certificates is stored and handed on. */
export function toPem(text: string): string | undefined {
  return readCertificates(text)
    ?.map((certificate) => `${certificate.trim()}\n`)
    .join('');
}

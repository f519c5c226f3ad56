import { createHash, hash } from 'node:crypto';
import type { Content, ContentStore, ContentWriter } from '../../shared/mail/mail.ts';

/** Keeps content in memory, with its SHA-256: for mails that are small enough, and for tests. */
export function memoryStore(): ContentStore {
  return { put: async (bytes) => keep(bytes, hash('sha256', bytes, 'hex')), begin };
}

function begin(): ContentWriter {
  const sha256 = createHash('sha256');
  let pieces: Buffer[] = [];
  return {
    write(piece) {
      sha256.update(piece);
      pieces.push(piece);
    },
    async end() {
      return keep(Buffer.concat(pieces), sha256.digest('hex'));
    },
    async abort() {
      pieces = [];
    },
  };
}

function keep(bytes: Buffer, sha256: string): Content {
  return { kind: 'bytes', bytes, sizeBytes: bytes.length, sha256 };
}

import { hash } from 'node:crypto';
import type { Content, ContentStore } from '../../shared/mail/mail.ts';

/** Keeps content in memory, with its SHA-256: for mails that are small enough, and for tests. */
export function memoryStore(): ContentStore {
  const put = async (bytes: Buffer): Promise<Content> => {
    return { kind: 'bytes', bytes, sizeBytes: bytes.length, sha256: hash('sha256', bytes, 'hex') };
  };
  const begin = () => {
    const pieces: Buffer[] = [];
    return {
      write: (piece: Buffer) => void pieces.push(piece),
      end: () => put(Buffer.concat(pieces)),
      abort: async () => undefined,
    };
  };
  return { put, begin };
}

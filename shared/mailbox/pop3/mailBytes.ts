import { Readable } from 'node:stream';
import { Failure, toFailure } from '../../failure/failure.ts';
import type { MailBuffers } from '../mailBuffers.ts';
import type { Pop3Body } from './multiLine.ts';
import type { Pop3Wire } from './wire.ts';

/** A size that was listed is no reason to take more memory than this before the bytes are there. */
const maxTrustedBytes = 256 * 1024 * 1024;
const streamHighWaterMarkBytes = 256 * 1024;

/** Reads a whole mail, holding it once; `sizeBytes` is what the server listed. */
export async function collectMail(body: Pop3Body, sizeBytes: number, buffers: MailBuffers): Promise<Buffer> {
  let mail = buffers.take(Math.min(sizeBytes, maxTrustedBytes));
  let filledBytes = 0;
  for (let pieces = await body.next(); pieces !== undefined; pieces = await body.next()) {
    for (const piece of pieces) {
      if (filledBytes + piece.length > mail.length) {
        const larger = buffers.take(Math.max(Math.ceil(mail.length * 1.25), filledBytes + piece.length));
        mail.copy(larger, 0, 0, filledBytes);
        mail = larger;
      }
      filledBytes += piece.copy(mail, filledBytes);
    }
  }
  return filledBytes * 2 < mail.length
    ? Buffer.from(mail.subarray(0, filledBytes))
    : mail.subarray(0, filledBytes);
}

/**
 * A mail as a stream that reads from the server at its consumer's pace. `done` is called once, when the
 * connection is free for something else: after the last byte, or after what a consumer left unread has been
 * read and forgotten, for which there are `patienceMs`; then the connection is ended instead.
 */
export function streamMail(wire: Pop3Wire, body: Pop3Body, patienceMs: number, done: () => void): Readable {
  let left = false;
  let pumping: Promise<void> | undefined;

  const pump = async () => {
    for (let wanted = true; wanted && !left; ) {
      const pieces = await body.next();
      if (pieces === undefined) {
        stream.push(null);
        return;
      }
      for (const piece of pieces) wanted = stream.push(piece);
    }
  };
  const leave = async () => {
    left = true;
    await pumping;
    const timer = setTimeout(() => wire.fail(unreadMail(wire)), patienceMs);
    await body.discard().catch(() => {});
    clearTimeout(timer);
    done();
  };
  const stream = new Readable({
    highWaterMark: streamHighWaterMarkBytes,
    read() {
      pumping ??= pump()
        .catch((error: unknown) => {
          stream.destroy(wire.fail(toFailure(error, 'reading a mail from a POP3 server')));
        })
        .finally(() => {
          pumping = undefined;
        });
    },
    destroy(error, callback) {
      void leave();
      callback(error);
    },
  });
  return stream;
}

function unreadMail(wire: Pop3Wire): Failure {
  const sentence = `The rest of a mail that was not wanted took too long to arrive from ${wire.server}. The next run tries again.`;
  return new Failure('timeout', sentence);
}

/** Where the bytes of mails are read into. */
export interface MailBuffers {
  /** Gives a buffer of so many bytes, its content undefined, that shares its memory with no other. */
  take(sizeBytes: number): Buffer;
  /** Nobody refers to this memory any more: the next mail may be read into it. Ignores what is none of its own. */
  giveBack(buffer: Buffer): void;
}

/** New memory for each. */
export const newBuffers: MailBuffers = {
  take: (sizeBytes) => Buffer.allocUnsafeSlow(sizeBytes),
  giveBack() {},
};

const pageBytes = 4 * 1024;
const maxIdle = 64;

/**
 * Memory that mails are read into again and again: it is in the processor's cache, and V8 collects garbage less often.
 * At most `maxIdleBytes` wait for their next use; a buffer that is not given back is collected as any other.
 */
export function createMailBuffers(maxIdleBytes: number): MailBuffers {
  /** The one given back last at the end. */
  const idle: ArrayBuffer[] = [];
  const lent = new WeakSet<ArrayBufferLike>();
  let idleBytes = 0;

  const takeIdle = (sizeBytes: number): ArrayBuffer | undefined => {
    const fits = ({ byteLength }: ArrayBuffer) =>
      byteLength >= sizeBytes && byteLength <= sizeBytes * 1.5 + pageBytes;
    const index = idle.findLastIndex(fits);
    const [found] = index === -1 ? [] : idle.splice(index, 1);
    idleBytes -= found?.byteLength ?? 0;
    return found;
  };

  return {
    take(sizeBytes) {
      const wholePages = Math.ceil(sizeBytes / pageBytes) * pageBytes;
      const memory = takeIdle(sizeBytes) ?? Buffer.allocUnsafeSlow(wholePages).buffer;
      lent.add(memory);
      return Buffer.from(memory, 0, sizeBytes);
    },
    giveBack({ buffer }) {
      if (!(buffer instanceof ArrayBuffer) || !lent.delete(buffer)) return;
      idle.push(buffer);
      idleBytes += buffer.byteLength;
      while (idle.length > maxIdle || idleBytes > maxIdleBytes) idleBytes -= idle.shift()?.byteLength ?? 0;
    },
  };
}

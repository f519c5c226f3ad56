import { join } from './bytes.ts';
import type { ContentStore, ContentWriter, MailSource } from './mail.ts';

const maxBlockBytes = 64 * 1024;

/**
 * The mail's source and the store for its content, watched while a mail is taken apart: what fails in them is
 * not the mail's fault and goes to the caller as it is, and no writer stays open behind a failure.
 */
export class SourceAndStore {
  readonly store: ContentStore;
  /** What the source or the store threw, if that is what went wrong. */
  failure: { readonly error: unknown } | undefined;
  readonly #source: MailSource;
  readonly #writers = new Set<ContentWriter>();

  constructor(source: MailSource, store: ContentStore) {
    this.#source = source;
    this.store = {
      put: (bytes) => this.watch(() => store.put(bytes)),
      begin: () => this.#watchWriter(store),
    };
  }

  /**
   * The mail from its beginning: in one block if it comes in one piece; else in blocks of at least
   * `blockBytes`, but for the last one, and of 64 KiB at most where that is more.
   */
  async *readBlocks(blockBytes: number): AsyncGenerator<Buffer> {
    const opened = await this.watch(() => this.#source.open());
    const pieces = opened[Symbol.asyncIterator]();
    const nextPiece = () => this.watch(() => pieces.next());
    try {
      let held: Buffer[] = [];
      let heldBytes = 0;
      for (let next = await nextPiece(); !next.done; next = await nextPiece()) {
        held.push(next.value);
        heldBytes += next.value.length;
        if (heldBytes < blockBytes) continue;
        const isWhole = next.value.length === this.#source.sizeBytes;
        const bytes = isWhole ? heldBytes : Math.max(blockBytes, maxBlockBytes);
        const block = join(held);
        // Before the next piece is read, so that a mail that has to wait holds no more than this one.
        for (let at = 0; at < block.length; at += bytes) yield block.subarray(at, at + bytes);
        held = [];
        heldBytes = 0;
      }
      if (heldBytes > 0) yield join(held);
    } finally {
      await pieces.return?.();
    }
  }

  /** Aborts all writers that were begun and not ended. Never rejects. */
  async abortWriters(): Promise<void> {
    const writers = [...this.#writers];
    this.#writers.clear();
    await Promise.allSettled(writers.map(async (writer) => writer.abort()));
  }

  #watchWriter(store: ContentStore): ContentWriter {
    const writer = store.begin();
    this.#writers.add(writer);
    return {
      write: (piece) => this.watch(async () => writer.write(piece)),
      end: async () => {
        const content = await this.watch(() => writer.end());
        this.#writers.delete(writer);
        return content;
      },
      abort: () => {
        this.#writers.delete(writer);
        return this.watch(() => writer.abort());
      },
    };
  }

  /** Does something whose failure is not the mail's. */
  async watch<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      this.failure ??= { error };
      throw error;
    }
  }
}

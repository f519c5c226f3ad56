import type { ContentStore, ContentWriter, MailSource } from './mail.ts';

/**
 * The mail's source and the store, watched while a mail is split: what fails in them is not the mail's
 * fault and goes to the caller as it is, and no writer stays open behind a failure.
 */
export class Outside {
  readonly store: ContentStore;
  readonly #source: MailSource;
  readonly #writers = new Set<ContentWriter>();
  #failure: { readonly error: unknown } | undefined;

  constructor(source: MailSource, store: ContentStore) {
    this.#source = source;
    this.store = {
      put: (bytes) => this.#watch(() => store.put(bytes)),
      begin: () => this.#watchWriter(store),
    };
  }

  /** What the source or the store threw, if that is what went wrong. */
  get failure(): { readonly error: unknown } | undefined {
    return this.#failure;
  }

  /** The mail from its beginning, in blocks of at least `blockBytes`, but for the last one. */
  async *readBlocks(blockBytes: number): AsyncGenerator<Buffer> {
    let pieces: Buffer[] = [];
    let held = 0;
    for await (const piece of this.#readPieces()) {
      pieces.push(piece);
      held += piece.length;
      if (held < blockBytes) continue;
      yield join(pieces);
      pieces = [];
      held = 0;
    }
    if (held > 0) yield join(pieces);
  }

  /** Aborts all writers that were begun and not ended. Never rejects. */
  async abortWriters(): Promise<void> {
    const writers = [...this.#writers];
    this.#writers.clear();
    await Promise.allSettled(writers.map(async (writer) => writer.abort()));
  }

  async *#readPieces(): AsyncGenerator<Buffer> {
    const pieces = await this.#watch(() => this.#source.open());
    try {
      yield* pieces;
    } catch (error) {
      this.#failure ??= { error };
      throw error;
    }
  }

  #watchWriter(store: ContentStore): ContentWriter {
    const writer = store.begin();
    this.#writers.add(writer);
    return {
      write: (piece) => this.#watchWrite(writer, piece),
      end: async () => {
        const content = await this.#watch(() => writer.end());
        this.#writers.delete(writer);
        return content;
      },
      abort: () => writer.abort(),
    };
  }

  #watchWrite(writer: ContentWriter, piece: Buffer): Promise<void> | void {
    try {
      const written = writer.write(piece);
      return written && this.#watch(() => written);
    } catch (error) {
      this.#failure ??= { error };
      throw error;
    }
  }

  async #watch<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      this.#failure ??= { error };
      throw error;
    }
  }
}

function join(pieces: readonly Buffer[]): Buffer {
  const [first] = pieces;
  return pieces.length === 1 && first ? first : Buffer.concat(pieces);
}

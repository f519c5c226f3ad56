import { Failure } from '../failure/failure.ts';
import type { MailBuffers } from './mailBuffers.ts';
import type { FetchedMail, Holding, MailMemory, MeasuredMail } from './mailbox.ts';

/** The accounts that one fetch has opened and not handed over with a mail: however it ends, they are given back. */
export class FetchMemory {
  readonly #memory: MailMemory;
  readonly #open = new Set<Holding>();

  constructor(memory: MailMemory) {
    this.#memory = memory;
  }

  hold(): Holding {
    const holding = this.#memory.hold();
    this.#open.add(holding);
    return holding;
  }

  /** A mail that was handed over owns it from here on. */
  handOver(holding: Holding): Holding {
    this.#open.delete(holding);
    return holding;
  }

  giveBack(holding: Holding): void {
    this.#open.delete(holding);
    holding.release();
  }

  giveBackAll(): void {
    for (const holding of this.#open) this.giveBack(holding);
  }
}

/** A mail that was read whole, into memory that it owns. */
export function wholeMail(
  mail: MeasuredMail,
  bytes: Buffer,
  holding: Holding,
  buffers: MailBuffers,
): FetchedMail {
  let whole: Buffer | undefined = bytes;
  return {
    kind: 'mail',
    mail,
    get whole() {
      return whole;
    },
    open: async () => {
      if (whole !== undefined) return once(whole);
      throw new Failure('internal', 'A mail was opened again after its bytes were given back.');
    },
    freeBytes: () => {
      if (whole !== undefined) buffers.giveBack(whole);
      whole = undefined;
    },
    release: () => {
      whole = undefined;
      holding.release();
    },
  };
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer, void, undefined> {
  yield bytes;
}

/** A mail whose bytes come from the server while it is read; to be ended before the next one is fetched. */
export function streamedMail(
  mail: MeasuredMail,
  holding: Holding,
  openBytes: () => Promise<AsyncIterable<Buffer>>,
): FetchedMail & { end(): void } {
  let isOver = false;
  return {
    kind: 'mail',
    mail,
    whole: undefined,
    open: async () => {
      if (!isOver) return await openBytes();
      const sentence = 'A streamed mail was opened after the fetch had gone on to the next one.';
      throw new Failure('internal', sentence);
    },
    end: () => {
      isOver = true;
    },
    freeBytes: () => {},
    release: () => holding.release(),
  };
}

/** Grows as the bytes of a stream arrive, up to what is held of a stream at once. */
export function streamHolding(holding: Holding, mostBytes: number): Holding {
  let leftBytes = mostBytes;
  return {
    grow: async (sizeBytes) => {
      const bytes = Math.min(sizeBytes, leftBytes);
      leftBytes -= bytes;
      if (bytes > 0) await holding.grow(bytes);
    },
    release: () => holding.release(),
  };
}

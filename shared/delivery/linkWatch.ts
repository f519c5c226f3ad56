import { LinkLost } from './serviceBusFailure.ts';

const checkEveryMs = 250;
const openNothing = AbortSignal.abort();

/**
 * Notices that a link was lost while sends on it wait for their answers. The SDK leaves those waiting until
 * their time-out, and reopens the link silently for the next send. But of an open link it makes a batch
 * without asking anyone, so within one turn of the event loop and whatever its signal says; that is the
 * public way to ask.
 */
export class LinkWatch {
  readonly #makeBatch: (signal: AbortSignal) => Promise<unknown>;
  readonly #waiting = new Set<(error: unknown) => void>();
  #timer: NodeJS.Timeout | undefined;
  #isLost = false;

  /** `makeBatch` is the sender's own; it gets a signal that keeps it from opening a link. */
  constructor(makeBatch: (signal: AbortSignal) => Promise<unknown>) {
    this.#makeBatch = makeBatch;
  }

  /** Runs `send` if the link is open; rejects with `LinkLost` as soon as it is seen not to be. */
  async guard(send: () => Promise<void>): Promise<void> {
    // Before each send too: the SDK would reopen the link for it, and the loss be hidden from the others.
    await this.#check();
    if (this.#isLost) throw lost();
    this.#timer ??= setInterval(() => void this.#check(), checkEveryMs);
    let lose: (error: unknown) => void = () => {};
    const lostMeanwhile = new Promise<never>((_, reject) => {
      lose = reject;
    });
    this.#waiting.add(lose);
    try {
      await Promise.race([send(), lostMeanwhile]);
    } finally {
      this.#waiting.delete(lose);
      if (this.#waiting.size === 0) this.#stopTimer();
    }
  }

  /** The link is lost or being closed: whoever still waits on it is told why. */
  stop(because: unknown = lost()): void {
    this.#stopTimer();
    this.#isLost = true;
    for (const lose of this.#waiting) lose(because);
  }

  async #check(): Promise<void> {
    if (!(await this.#isOpen())) this.stop();
  }

  async #isOpen(): Promise<boolean> {
    if (this.#isLost) return false;
    const made = this.#makeBatch(openNothing).then(
      () => true,
      () => false,
    );
    let endOfTurn: NodeJS.Immediate | undefined;
    const tooLate = new Promise<false>((resolve) => {
      endOfTurn = setImmediate(resolve, false);
    });
    const open = await Promise.race([made, tooLate]);
    clearImmediate(endOfTurn);
    return open;
  }

  #stopTimer(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function lost(): LinkLost {
  return new LinkLost('The link is no longer open.');
}

/**
 * Runs `work` on each item, at most `atOnce` at a time; rejects with the first rejection, after which none is begun.
 * Of items that are still to come the next one is asked for when it can be worked on.
 */
export async function forEachOf<T>(
  items: Iterable<T> | AsyncIterable<T>,
  atOnce: number,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  let failed = false;
  const lane = async (): Promise<void> => {
    while (!failed) {
      const next = await iterator.next();
      if (next.done || failed) return;
      try {
        await work(next.value);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: atOnce }, lane));
  for (const outcome of lanes) if (outcome.status === 'rejected') throw outcome.reason;
}

/**
 * Bounds what is done at a time by callers that know nothing of each other, or what they hold together, where each
 * says how much; first come, first served.
 */
export class Limit {
  #free: number;
  readonly #waiting = new Set<{ readonly amount: number; readonly enter: () => void }>();

  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  /** How many wait for room. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Resolves when there is room, to what gives it back, to be called once; to nothing where the time is over before. */
  enter(): Promise<() => void>;
  enter(timeoutMs: number | undefined, amount?: number): Promise<(() => void) | undefined>;
  async enter(timeoutMs?: number, amount = 1): Promise<(() => void) | undefined> {
    const leave = () => this.#giveBack(amount);
    if (this.#waiting.size === 0 && this.#free >= amount) {
      this.#free -= amount;
      return leave;
    }
    const { promise, resolve } = Promise.withResolvers<(() => void) | undefined>();
    const waiting = { amount, enter: () => resolve(leave) };
    this.#waiting.add(waiting);
    const giveUp = () => {
      this.#waiting.delete(waiting);
      resolve(undefined);
      this.#giveBack(0);
    };
    const timer = timeoutMs === undefined ? undefined : setTimeout(giveUp, timeoutMs);
    const entered = await promise;
    clearTimeout(timer);
    return entered;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    const leave = await this.enter();
    try {
      return await work();
    } finally {
      leave();
    }
  }

  #giveBack(amount: number): void {
    this.#free += amount;
    for (const next of this.#waiting) {
      if (this.#free < next.amount) return;
      this.#free -= next.amount;
      this.#waiting.delete(next);
      next.enter();
    }
  }
}

interface Held {
  readonly lost: () => void;
  readonly timer: NodeJS.Timeout;
}

/** Which sessions of a queue are held by a receiver, and until when. */
export class SessionLocks {
  readonly #durationMs: number;
  readonly #expired: (sessionId: string) => void;
  readonly #held = new Map<string, Held>();

  /** `expired` is called for each that was neither renewed nor released in time, before its holder is told. */
  constructor(durationMs: number, expired: (sessionId: string) => void) {
    this.#durationMs = durationMs;
    this.#expired = expired;
  }

  isHeld(sessionId: string): boolean {
    return this.#held.has(sessionId);
  }

  /** Answers false when another holds it. `lost` is called when the lock runs out. */
  take(sessionId: string, lost: () => void): boolean {
    if (this.#held.has(sessionId)) return false;
    const timer = setTimeout(() => {
      this.#held.delete(sessionId);
      this.#expired(sessionId);
      lost();
    }, this.#durationMs).unref();
    this.#held.set(sessionId, { lost, timer });
    return true;
  }

  /** Answers false when it is not held. */
  renew(sessionId: string): boolean {
    const held = this.#held.get(sessionId);
    held?.timer.refresh();
    return held !== undefined;
  }

  /** Gives back what `lost` was given for; nothing happens when the lock is another's by now. */
  release(sessionId: string, lost: () => void): boolean {
    const held = this.#held.get(sessionId);
    if (held?.lost !== lost) return false;
    clearTimeout(held.timer);
    return this.#held.delete(sessionId);
  }
}

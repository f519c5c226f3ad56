/** The message ids a queue has seen within its window; the oldest are forgotten as time goes by. */
export class DuplicateDetection {
  readonly #windowMs: number | undefined;
  readonly #seenAtMs = new Map<string, number>();

  /** `undefined` switches it off. */
  constructor(windowMs: number | undefined) {
    this.#windowMs = windowMs;
  }

  /** Whether the id was seen within the window; if not, it is seen now. */
  isRepeat(messageId: string | undefined, nowMs: number): boolean {
    if (this.#windowMs === undefined || messageId === undefined) return false;
    for (const [id, seenAtMs] of this.#seenAtMs) {
      if (seenAtMs + this.#windowMs > nowMs) break;
      this.#seenAtMs.delete(id);
    }
    if (this.#seenAtMs.has(messageId)) return true;
    this.#seenAtMs.set(messageId, nowMs);
    return false;
  }

  clear(): void {
    this.#seenAtMs.clear();
  }
}

import type { StoredMessage } from './queue.ts';

/** Messages ready for delivery, oldest first; putting and taking cost the same at any length. */
export class Shelf {
  #fresh: StoredMessage[] = [];
  #head = 0;
  /** Came back unsettled, so older than everything fresh; the oldest is last. */
  readonly #returned: StoredMessage[] = [];

  get size(): number {
    return this.#fresh.length - this.#head + this.#returned.length;
  }

  put(message: StoredMessage): void {
    this.#fresh.push(message);
  }

  putBack(message: StoredMessage): void {
    const after = this.#returned.findLastIndex((other) => other.sequenceNumber > message.sequenceNumber);
    this.#returned.splice(after + 1, 0, message);
  }

  take(): StoredMessage | undefined {
    const returned = this.#returned.pop();
    if (returned !== undefined) return returned;
    const message = this.#fresh[this.#head];
    if (message === undefined) return undefined;
    this.#head++;
    if (this.#head > 1024 && this.#head * 2 > this.#fresh.length) {
      this.#fresh = this.#fresh.slice(this.#head);
      this.#head = 0;
    }
    return message;
  }
}

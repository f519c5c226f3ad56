/**
 * Bounds the bytes of mail that the runs of one process hold at a time. First come, first served; more than
 * the whole budget is granted alone, once nobody else holds any.
 */
export class MemoryBudget {
  readonly #totalBytes: number;
  readonly #waiting: { readonly bytes: number; readonly grant: () => void }[] = [];
  #usedBytes = 0;

  constructor(totalBytes: number) {
    this.#totalBytes = totalBytes;
  }

  /** Resolves, once there is room, to the function that gives the bytes back; calling it again does nothing. */
  async acquire(bytes: number): Promise<() => void> {
    if (this.#waiting.length > 0 || !this.#hasRoom(bytes)) {
      await new Promise<void>((grant) => this.#waiting.push({ bytes, grant }));
    } else {
      this.#usedBytes += bytes;
    }
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#usedBytes -= bytes;
      this.#grantNext();
    };
  }

  #hasRoom(bytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + bytes <= this.#totalBytes;
  }

  #grantNext(): void {
    for (let next = this.#waiting[0]; next && this.#hasRoom(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#usedBytes += next.bytes;
      next.grant();
    }
  }
}

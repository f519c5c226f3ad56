/** Holds callers back while more bytes than `maxBytes` are in use; a single one that is larger passes alone. */
export class ByteGate {
  readonly #maxBytes: number;
  readonly #waiting: { readonly bytes: number; readonly pass: () => void }[] = [];
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Resolves when the bytes may be held, in the order of the calls; `leave` must follow. */
  enter(bytes: number): Promise<void> {
    return new Promise((pass) => {
      this.#waiting.push({ bytes, pass });
      this.#admit();
    });
  }

  leave(bytes: number): void {
    this.#bytes -= bytes;
    this.#admit();
  }

  #admit(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (this.#bytes > 0 && this.#bytes + next.bytes > this.#maxBytes) return;
      this.#waiting.shift();
      this.#bytes += next.bytes;
      next.pass();
    }
  }
}

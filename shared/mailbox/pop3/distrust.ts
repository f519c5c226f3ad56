const maxRemembered = 1_000;
const distrustMs = 3_600_000;

/** What went wrong, by name: twice in a row, and for an hour it is not to be tried. */
export class Distrust {
  readonly #wrong = new Map<string, { readonly times: number; readonly atMs: number }>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  noteWrong(name: string, more = 1): void {
    const times = this.#timesOf(name) + more;
    if (this.#wrong.size >= maxRemembered) this.#wrong.clear();
    this.#wrong.set(name, { times, atMs: this.#nowMs() });
  }

  /** It went wrong without that, too: one time less is held against it. */
  noteWrongWithout(name: string): void {
    if (!this.mayTry(name)) this.noteWrong(name, -1);
  }

  forget(name: string): void {
    this.#wrong.delete(name);
  }

  mayTry(name: string): boolean {
    return this.#timesOf(name) < 2;
  }

  #timesOf(name: string): number {
    const { times = 0, atMs = 0 } = this.#wrong.get(name) ?? {};
    return this.#nowMs() - atMs > distrustMs ? 0 : times;
  }
}

/** What POP3 servers were found not to bear, by the process whose sessions went wrong. */
export class Pop3Distrusts {
  /** Servers with which sessions went wrong that sent commands ahead of the answers. */
  readonly sendingAhead = new Distrust();
  /** Mails whose retrieval for their key did not come to its end. */
  readonly retrieving = new Distrust();
}

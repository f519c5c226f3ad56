const maxRemembered = 1_000;
const distrustMs = 3_600_000;

/** What went wrong in this process, by name: twice in a row, and for an hour it is not to be tried. */
export class Distrust {
  readonly #wrong = new Map<string, { readonly times: number; readonly at: number }>();

  noteWrong(name: string, more = 1): void {
    const { times = 0 } = this.#wrong.get(name) ?? {};
    if (this.#wrong.size >= maxRemembered) this.#wrong.clear();
    this.#wrong.set(name, { times: times + more, at: performance.now() });
  }

  forget(name: string): void {
    this.#wrong.delete(name);
  }

  mayTry(name: string): boolean {
    const { times = 0, at = 0 } = this.#wrong.get(name) ?? {};
    return times < 2 || performance.now() - at > distrustMs;
  }
}

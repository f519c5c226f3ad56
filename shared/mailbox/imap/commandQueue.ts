/** Lets one user at a time at the connection, in the order they came. */
export class CommandQueue {
  #last: Promise<void> = Promise.resolve();

  /** Resolves with the release, which must be called once, when all before have released. */
  async acquire(): Promise<() => void> {
    const before = this.#last;
    let release: () => void = () => {};
    this.#last = new Promise((resolve) => {
      release = resolve;
    });
    await before;
    return release;
  }
}

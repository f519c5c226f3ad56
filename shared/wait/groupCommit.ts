/**
 * Commits what comes in while the last commit runs, and for `restMs` after it, as one group, so that a table
 * costs few writes for many mails. Groups run one after the other.
 */
export class GroupCommit<T> {
  readonly #commit: (items: readonly T[]) => Promise<void>;
  readonly #maxItems: number;
  #pending: { readonly item: T; readonly done: () => void; readonly failed: (error: unknown) => void }[] = [];
  #running: Promise<void> | undefined;
  #restMs: number;
  #endRest: () => void = () => undefined;

  constructor(maxItems: number, restMs: number, commit: (items: readonly T[]) => Promise<void>) {
    this.#maxItems = maxItems;
    this.#restMs = restMs;
    this.#commit = commit;
  }

  /** Rests no more: what is added from now on has someone waiting for it. */
  hurry(): void {
    this.#restMs = 0;
    this.#endRest();
  }

  /** Resolves when all that was added is committed, or has failed. */
  async end(): Promise<void> {
    this.hurry();
    await this.#running;
  }

  /** Resolves when the group with `item` is committed; rejects with what its commit, or the one before, rejected with. */
  add(item: T): Promise<void> {
    const committed = new Promise<void>((done, failed) => this.#pending.push({ item, done, failed }));
    this.#running ??= this.#run();
    return committed;
  }

  async #run(): Promise<void> {
    // What is added in the same turn belongs to the first group already.
    await undefined;
    while (this.#pending.length > 0) {
      const group = this.#pending.splice(0, this.#maxItems);
      try {
        await this.#commit(group.map(({ item }) => item));
        for (const { done } of group) done();
      } catch (error) {
        // Those that came meanwhile would wait for the same, one group after the other.
        for (const { failed } of [...group, ...this.#pending.splice(0)]) failed(error);
      }
      await this.#rest();
    }
    this.#running = undefined;
  }

  async #rest(): Promise<void> {
    if (this.#restMs === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#restMs);
      this.#endRest = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

const longestTurnMs = 20;

/** Lets others have their turn. When it does so hangs on the clock; what is found in a mail never does. */
export class EventLoopTurn {
  #startedAt = performance.now();

  /** Ends this turn of the event loop if it was long enough. */
  giveWay(): Promise<void> | undefined {
    if (performance.now() - this.#startedAt < longestTurnMs) return undefined;
    return new Promise((resolve) => {
      setImmediate(() => {
        this.#startedAt = performance.now();
        resolve();
      });
    });
  }
}

/** Says at regular times, in every place that was added, that the run is alive. */
export interface Heartbeat {
  /** Adds a place; `beat` rejects when it can't be told there. */
  add(beat: () => Promise<void>): void;
  /** Whether some place could not be told for so long that others may soon take the run for dead. */
  readonly isFailing: boolean;
  /** Resolves when the last beat that was under way has ended. */
  stop(): Promise<void>;
}

/** Begins to beat every `everyMs`; a place that fails for longer than `failingAfterMs` makes it `isFailing`. */
export function startHeartbeat(everyMs: number, failingAfterMs: number): Heartbeat {
  const places: { readonly beat: () => Promise<void>; toldAtMs: number }[] = [];
  let beating: Promise<unknown> = Promise.resolve();
  let idle = true;

  const timer = setInterval(() => {
    if (!idle) return;
    idle = false;
    beating = Promise.all(
      places.map(async (place) => {
        const startedAtMs = performance.now();
        try {
          await place.beat();
          place.toldAtMs = startedAtMs;
        } catch {
          // What counts is for how long it fails; the next beat tries again.
        }
      }),
    ).then(() => {
      idle = true;
    });
  }, everyMs);
  timer.unref();

  return {
    add(beat) {
      places.push({ beat, toldAtMs: performance.now() });
    },
    get isFailing() {
      return places.some((place) => performance.now() - place.toldAtMs > failingAfterMs);
    },
    async stop() {
      clearInterval(timer);
      await beating;
    },
  };
}

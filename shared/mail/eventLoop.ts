const longestTurnMs = 20;
let startedAt = performance.now();

/**
 * Ends this turn of the event loop, so that others have theirs, if it was long enough, whoever has used it. When it
 * does so hangs on the clock; what is found in a mail never does.
 */
export function giveWay(): Promise<void> | undefined {
  if (performance.now() - startedAt < longestTurnMs) return undefined;
  return new Promise((resolve) => {
    setImmediate(() => {
      startedAt = performance.now();
      resolve();
    });
  });
}

/**
 * Settles as `work` does, or rejects with what `onTimeout` makes when `timeoutMs` have passed. The work itself goes
 * on: whoever started it has to end it.
 */
export async function withDeadline<T>(
  work: Promise<T>,
  timeoutMs: number,
  onTimeout: () => Error,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(onTimeout()), Math.max(0, timeoutMs));
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    // It may still reject when nobody waits any more.
    work.catch(() => {});
  }
}

/** Settles as `work` does, or rejects with what `onAbort` makes once `signal` fires. The work itself goes on. */
export async function unlessAborted<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
  onAbort: () => Error,
): Promise<T> {
  if (signal === undefined) return await work;
  let onFired = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onFired = () => reject(onAbort());
    if (signal.aborted) onFired();
    else signal.addEventListener('abort', onFired, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onFired);
    work.catch(() => {});
  }
}

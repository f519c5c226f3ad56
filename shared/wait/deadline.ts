/**
 * Runs `work`, whose signal fires after `timeoutMs` or with `stop`. Settles as `work` does, or rejects then with what
 * `onTimeout` makes, also where the work heeds no signal; what it comes to later is ignored.
 */
export async function inTime<T>(
  timeoutMs: number,
  work: (signal: AbortSignal) => Promise<T>,
  onTimeout: () => Error,
  stop?: AbortSignal,
): Promise<T> {
  const ending = new AbortController();
  const late = Promise.withResolvers<never>();
  const end = (): void => {
    late.reject(onTimeout());
    ending.abort();
  };
  const timer = setTimeout(end, Math.max(0, timeoutMs));
  stop?.addEventListener('abort', end);
  if (stop?.aborted) end();
  try {
    return await Promise.race([late.promise, work(ending.signal)]);
  } finally {
    clearTimeout(timer);
    stop?.removeEventListener('abort', end);
  }
}

/** The same for work that is under way already, and goes on: whoever started it has to end it. */
export async function withDeadline<T>(
  work: Promise<T>,
  timeoutMs: number,
  onTimeout: () => Error,
): Promise<T> {
  return await inTime(timeoutMs, () => work, onTimeout);
}

/** Settles as `work` does, or rejects with what `onAbort` makes once `signal` fires. The work itself goes on. */
export async function unlessAborted<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
  onAbort: () => Error,
): Promise<T> {
  if (signal === undefined) return await work;
  const aborted = Promise.withResolvers<never>();
  const end = (): void => aborted.reject(onAbort());
  signal.addEventListener('abort', end);
  if (signal.aborted) end();
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', end);
  }
}

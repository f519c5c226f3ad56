const slowestBytesPerMs = 500;

/** The whole milliseconds that so many bytes need on a slow uplink, 0.5 MB/s: no time for a try or a retry counts it. */
export function wireMs(bytes: number): number {
  return Math.ceil(bytes / slowestBytesPerMs);
}

/**
 * Runs `work`, whose signal fires after `timeoutMs`, with `stop`, or when it rejects. Settles as `work` does, or rejects then with what
 * `onTimeout` makes, also where the work heeds no signal; what it comes to later is ignored.
 */
export async function inTime<T>(
  timeoutMs: number | undefined,
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
  const timer = timeoutMs === undefined ? undefined : setTimeout(end, Math.max(0, timeoutMs));
  stop?.addEventListener('abort', end);
  if (stop?.aborted) end();
  try {
    return await Promise.race([work(ending.signal), late.promise]);
  } catch (error) {
    // Part of it may go on.
    ending.abort();
    throw error;
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

/** The same with a signal, where there is one, in place of the time. */
export async function unlessAborted<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
  onAbort: () => Error,
): Promise<T> {
  return await inTime(undefined, () => work, onAbort, signal);
}

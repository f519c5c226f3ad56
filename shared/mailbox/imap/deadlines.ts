/** Settles as `work` does, or rejects with what `onExpiry` makes when `timeoutMs` have passed. */
export async function within<T>(work: Promise<T>, timeoutMs: number, onExpiry: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const expiry = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(onExpiry()), Math.max(0, timeoutMs));
  });
  try {
    return await Promise.race([work, expiry]);
  } finally {
    clearTimeout(timer);
    // It may still reject when nobody waits any more.
    work.catch(() => {});
  }
}

export interface Traffic {
  /** All bytes received so far. */
  receivedBytes(): number;
  /** What may arrive before `work` is done, in bytes; more is a flood. */
  readonly floodBytes: number;
}

/** Fewer than this within the allowed silence counts as silence: no server is that slow, only a hostile one. */
const leastProgressBytes = 1024;

/**
 * Settles as `work` does, or rejects with what `onExpiry` makes once next to nothing was received for
 * `silenceMs`, or more than `traffic.floodBytes` without `work` getting done.
 */
export async function whileTrafficFlows<T>(
  work: Promise<T>,
  silenceMs: number,
  traffic: Traffic,
  onExpiry: (what: 'silence' | 'flood') => Error,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const begin = traffic.receivedBytes();
  let progress = { at: performance.now(), bytes: begin };
  const expiry = new Promise<never>((_, reject) => {
    const look = (): void => {
      const bytes = traffic.receivedBytes();
      const now = performance.now();
      if (bytes - begin > traffic.floodBytes) {
        reject(onExpiry('flood'));
        return;
      }
      if (bytes - progress.bytes >= leastProgressBytes) progress = { at: now, bytes };
      if (now - progress.at >= silenceMs) reject(onExpiry('silence'));
      else timer = setTimeout(look, Math.max(1, Math.min(silenceMs / 4, progress.at + silenceMs - now)));
    };
    timer = setTimeout(look, Math.max(1, silenceMs / 4));
  });
  try {
    return await Promise.race([work, expiry]);
  } finally {
    clearTimeout(timer);
    work.catch(() => {});
  }
}

export interface Traffic {
  /** All bytes received so far. */
  receivedBytes(): number;
  /** What may arrive before `work` is done, in bytes; more is a flood. */
  readonly floodBytes: number;
  /** Whether it is this side that reads nothing, for want of memory: then silence says nothing about the server. */
  isHeldBack(): boolean;
}

/** Fewer than this within the allowed silence counts as silence: no server is that slow, only a hostile one. */
const leastProgressBytes = 1024;
/** What has to come in each allowed silence on average, after the first two. */
const leastMeanBytes = 64 * 1024;

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
  let isDone = false;
  const begin = traffic.receivedBytes();
  const startedAt = performance.now();
  let lookedAt = startedAt;
  let heldBackMs = 0;
  let wasHeldBack = traffic.isHeldBack();
  let progress = { at: performance.now(), bytes: begin };
  const expiry = new Promise<never>((_, reject) => {
    const look = (): void => {
      const bytes = traffic.receivedBytes();
      const now = performance.now();
      if (bytes - begin > traffic.floodBytes) {
        reject(onExpiry('flood'));
        return;
      }
      const isHeldBack = traffic.isHeldBack();
      // In doubt for the server: what lies between two looks counts as held back where either of them saw it.
      const heldBack = isHeldBack || wasHeldBack;
      wasHeldBack = isHeldBack;
      if (heldBack) heldBackMs += now - lookedAt;
      if (heldBack || bytes - progress.bytes >= leastProgressBytes) progress = { at: now, bytes };
      lookedAt = now;
      const allowedMs = silenceMs * (2 + (bytes - begin) / leastMeanBytes);
      if (now - startedAt - heldBackMs > allowedMs) reject(onExpiry('silence'));
      else if (now - progress.at >= silenceMs) lookOnceMore(bytes);
      else timer = setTimeout(look, Math.max(1, Math.min(silenceMs / 4, progress.at + silenceMs - now)));
    };
    const lookOnceMore = (bytes: number): void => {
      // After a long turn of the event loop timers run before bytes that have arrived: let these in first.
      timer = setTimeout(() => {
        setImmediate(() => {
          if (isDone) return;
          if (traffic.receivedBytes() - bytes >= leastProgressBytes || traffic.isHeldBack()) look();
          else reject(onExpiry('silence'));
        });
      }, 1);
    };
    timer = setTimeout(look, Math.max(1, silenceMs / 4));
  });
  try {
    return await Promise.race([work, expiry]);
  } finally {
    isDone = true;
    clearTimeout(timer);
    work.catch(() => {});
  }
}

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
const looksInSilence = 8;

/** Settles as `work` does, or rejects with what `onExpiry` makes when the server is silent, or floods. */
export async function whileTrafficFlows<T>(
  work: Promise<T>,
  silenceMs: number,
  traffic: Traffic,
  onExpiry: (what: 'silence' | 'flood') => Error,
): Promise<T> {
  const expired = Promise.withResolvers<never>();
  const begin = traffic.receivedBytes();
  let wasHeldBack = traffic.isHeldBack();
  let progressBytes = 0;
  let silentLooks = 0;
  let looks = 0;
  // Looks are counted and not the time: bytes that came during a long turn of the event loop are read before the next.
  const look = (): void => {
    const bytes = traffic.receivedBytes() - begin;
    const isHeldBack = traffic.isHeldBack();
    // In doubt for the server: what lies between two looks counts as held back where either of them saw it.
    const counts = !isHeldBack && !wasHeldBack;
    wasHeldBack = isHeldBack;
    if (counts) looks += 1;
    const isSilent = counts && bytes - progressBytes < leastProgressBytes;
    silentLooks = isSilent ? silentLooks + 1 : 0;
    if (!isSilent) progressBytes = bytes;
    if (bytes > traffic.floodBytes) expired.reject(onExpiry('flood'));
    else if (silentLooks >= looksInSilence || looks > looksInSilence * (2 + bytes / leastMeanBytes))
      expired.reject(onExpiry('silence'));
  };
  const timer = setInterval(look, Math.max(1, Math.ceil(silenceMs / looksInSilence)));
  try {
    return await Promise.race([work, expired.promise]);
  } finally {
    clearInterval(timer);
    work.catch(() => {});
  }
}

/**
 * Says which polls' traces are kept, once it is known how they ended: every failed one; of the others so
 * many a minute, since ten thousand idle polls tell no more than ten.
 */
export function createTraceSampler(
  /** `busy`: moved mail and went well; `idle`: found nothing. */
  perMinute: Readonly<Record<'busy' | 'idle', number>>,
  nowMs: () => number,
): (kind: 'failed' | 'busy' | 'idle') => boolean {
  let keptIn = -1;
  let kept = { busy: 0, idle: 0 };
  return (kind) => {
    if (kind === 'failed') return true;
    const minute = Math.floor(nowMs() / 60_000);
    if (minute !== keptIn) kept = { busy: 0, idle: 0 };
    keptIn = minute;
    kept[kind] += 1;
    return kept[kind] <= perMinute[kind];
  };
}

/**
 * Says which polls' traces are kept, once it is known how they ended: every failed one; of the others so
 * many a minute, since ten thousand idle polls tell no more than ten.
 */
export class TraceSampler {
  /** `busy`: moved mail and went well; `idle`: found nothing. */
  readonly #perMinute: Readonly<Record<'busy' | 'idle', number>>;
  readonly #nowMs: () => number;
  #minute = -1;
  #kept = { busy: 0, idle: 0 };

  constructor(perMinute: Readonly<Record<'busy' | 'idle', number>>, nowMs: () => number) {
    this.#perMinute = perMinute;
    this.#nowMs = nowMs;
  }

  keeps(kind: 'failed' | 'busy' | 'idle'): boolean {
    if (kind === 'failed') return true;
    const minute = Math.floor(this.#nowMs() / 60_000);
    if (minute !== this.#minute) this.#kept = { busy: 0, idle: 0 };
    this.#minute = minute;
    this.#kept[kind] += 1;
    return this.#kept[kind] <= this.#perMinute[kind];
  }
}

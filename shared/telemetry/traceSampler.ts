export interface SampleRates {
  /** Polls that moved mail and went well, a minute. */
  readonly busyPerMinute: number;
  /** Polls that found nothing, a minute. */
  readonly idlePerMinute: number;
}

/**
 * Says which polls' traces are kept, once it is known how they ended: every failed one; of the others so
 * many a minute, since ten thousand idle polls tell no more than ten.
 */
export class TraceSampler {
  readonly #rates: SampleRates;
  readonly #nowMs: () => number;
  #minute = -1;
  #kept = { busy: 0, idle: 0 };

  constructor(rates: SampleRates, nowMs: () => number) {
    this.#rates = rates;
    this.#nowMs = nowMs;
  }

  keeps(kind: 'failed' | 'busy' | 'idle'): boolean {
    if (kind === 'failed') return true;
    const minute = Math.floor(this.#nowMs() / 60_000);
    if (minute !== this.#minute) {
      this.#minute = minute;
      this.#kept = { busy: 0, idle: 0 };
    }
    this.#kept[kind] += 1;
    return this.#kept[kind] <= (kind === 'busy' ? this.#rates.busyPerMinute : this.#rates.idlePerMinute);
  }
}

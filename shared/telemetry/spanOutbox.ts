import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-base';

export interface OutboxLimits {
  /** Spans that wait to be sent, at most. */
  readonly maxSpans: number;
  readonly batchSpans: number;
  readonly everyMs: number;
  /** A batch that the exporter holds for longer is taken as gone, and the next one sent. */
  readonly sendMs: number;
}

/**
 * Sends spans in batches. When they can't be sent as fast as they come, those of polls that went well go
 * overboard first.
 */
export class SpanOutbox {
  readonly #exporter: SpanExporter;
  readonly #limits: OutboxLimits;
  readonly #timer: NodeJS.Timeout;
  #failed: ReadableSpan[] = [];
  #fine: ReadableSpan[] = [];
  #sending: Promise<void> | undefined;

  constructor(exporter: SpanExporter, limits: OutboxLimits) {
    this.#exporter = exporter;
    this.#limits = limits;
    this.#timer = setInterval(() => void this.flush(), limits.everyMs);
    this.#timer.unref();
  }

  add(spans: readonly ReadableSpan[], isFailed: boolean): void {
    const { maxSpans, batchSpans } = this.#limits;
    (isFailed ? this.#failed : this.#fine).push(...spans);
    const over = this.#failed.length + this.#fine.length - maxSpans;
    if (over > 0) this.#fine.splice(0, over);
    if (this.#failed.length > maxSpans) this.#failed.splice(0, this.#failed.length - maxSpans);
    if (this.#failed.length + this.#fine.length >= batchSpans) void this.flush();
  }

  /** Resolves when what was here has been sent, or could not be. */
  flush(): Promise<void> {
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = undefined;
    });
    return this.#sending;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
    await this.#exporter.shutdown();
  }

  async #sendAll(): Promise<void> {
    for (;;) {
      const batch = this.#failed.splice(0, this.#limits.batchSpans);
      batch.push(...this.#fine.splice(0, this.#limits.batchSpans - batch.length));
      if (batch.length === 0) return;
      await this.#send(batch);
    }
  }

  /** What can't be sent is the exporter's to keep for later; a poll never hears of it. */
  #send(batch: ReadableSpan[]): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#limits.sendMs).unref();
      const sent = (): void => {
        clearTimeout(timer);
        resolve();
      };
      try {
        this.#exporter.export(batch, sent);
      } catch {
        sent();
      }
    });
  }
}

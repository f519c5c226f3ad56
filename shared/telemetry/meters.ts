import type { Meter } from '@opentelemetry/api';
import type { Backlog, ConnectionLabels, PollOutcome, UndeliveredCount } from './telemetry.ts';

/** How many connections have metrics of their own. */
export const maxLabelledConnections = 2_000;

/** The app's metrics; their names are what alerts, workbook and queries go by. */
export class Meters {
  readonly #labelled = new Set<string>();
  readonly #instruments: ReturnType<typeof instrumentsOf>;
  #lastUndelivered = new Map<string, UndeliveredCount>();

  constructor(meter: Meter) {
    this.#instruments = instrumentsOf(meter);
  }

  countPoll(labels: ConnectionLabels, { mails, messages, bytes, durationMs, failure }: PollOutcome): void {
    const dimensions = this.#bounded(labels);
    const to = this.#instruments;
    to.durations.record(durationMs, { ...dimensions, outcome: failure ? 'failed' : 'ok' });
    if (failure) to.failures.add(1, { ...dimensions, reason: failure.reason });
    if (mails > 0) to.mails.add(mails, dimensions);
    if (messages > 0) to.messages.add(messages, dimensions);
    if (bytes > 0) to.bytes.add(bytes, dimensions);
  }

  countLag(labels: ConnectionLabels, seconds: number): void {
    this.#instruments.lags.record(seconds, this.#bounded(labels));
  }

  countSkip(labels: ConnectionLabels): void {
    this.#instruments.skips.add(1, this.#bounded(labels));
  }

  /** A count that has gone since the last report is said to be 0 once. */
  reportBacklog({ undelivered, poisonedOrders }: Backlog): void {
    const now = this.#sums(undelivered);
    for (const [id, count] of this.#lastUndelivered) if (!now.has(id)) this.#record({ ...count, mails: 0 });
    for (const count of now.values()) this.#record(count);
    this.#lastUndelivered = now;
    this.#instruments.poisoned.record(poisonedOrders);
  }

  #record({ labels, status, mails }: UndeliveredCount): void {
    this.#instruments.undelivered.record(mails, { ...labels, status });
  }

  /** Several connections may be `other`: a gauge keeps only the last of them, so they are added up. */
  #sums(counts: readonly UndeliveredCount[]): Map<string, UndeliveredCount> {
    const sums = new Map<string, UndeliveredCount>();
    for (const { labels, status, mails } of counts) {
      const bounded = this.#bounded(labels);
      const id = JSON.stringify([bounded, status]);
      sums.set(id, { labels: bounded, status, mails: mails + (sums.get(id)?.mails ?? 0) });
    }
    return sums;
  }

  /**
   * The same labels for the first connections; all others are `other`, by protocol: dimensions cost memory and money
   * for each combination, so their number must end somewhere.
   */
  #bounded({ customer, connection, protocol }: ConnectionLabels) {
    const id = `${customer}|${connection}`;
    if (!this.#labelled.has(id) && this.#labelled.size >= maxLabelledConnections) {
      return { customer: 'other', connection: 'other', protocol };
    }
    this.#labelled.add(id);
    return { customer, connection, protocol };
  }
}

function instrumentsOf(meter: Meter) {
  return {
    mails: meter.createCounter('email.mails', { description: 'Mails that are safe elsewhere' }),
    messages: meter.createCounter('email.messages', { description: 'Messages Service Bus accepted' }),
    bytes: meter.createCounter('email.bytes', { unit: 'By', description: 'Size of those mails' }),
    durations: meter.createHistogram('email.poll.duration', { unit: 'ms' }),
    failures: meter.createCounter('email.poll.failures', { description: 'Polls failed, by reason' }),
    lags: meter.createHistogram('email.lag', {
      unit: 's',
      description: 'Age of the oldest unread mail when it was picked up',
    }),
    skips: meter.createCounter('email.lease.skipped', { description: 'Polls while another held the lease' }),
    undelivered: meter.createGauge('email.undelivered', { description: 'Mails kept to be sent later' }),
    poisoned: meter.createGauge('email.orders.poisoned', { description: 'Orders the host has given up' }),
  };
}

import type { ConnectionLabels } from './telemetry.ts';

/** A metric's dimensions cost memory and money for each combination, so their number must end somewhere. */
export class BoundedLabels {
  readonly #maxConnections: number;
  readonly #known = new Map<string, ConnectionLabels>();

  constructor(maxConnections: number) {
    this.#maxConnections = maxConnections;
  }

  /** The same labels for the first `maxConnections` connections; all others are `other`, by protocol. */
  of(labels: ConnectionLabels): ConnectionLabels {
    const { customer, connection, protocol } = labels;
    const id = `${customer}|${connection}`;
    const known = this.#known.get(id);
    if (known?.protocol === protocol) return known;
    if (!known && this.#known.size >= this.#maxConnections) {
      return { customer: 'other', connection: 'other', protocol };
    }
    const bounded = { customer, connection, protocol };
    this.#known.set(id, bounded);
    return bounded;
  }
}

import type { Socket } from 'node:net';

/** How a connection ends: an orderly close, a reset, or both sides waiting for ever. */
export type CutMode = 'fin' | 'rst' | 'silence';

/** What a lane asks of the proxy as it forwards; read anew for every chunk. */
export interface LaneRules {
  delayMs(): number;
  /** How many of so many bytes may pass, and whether the lane ends with them. */
  admit(byteCount: number): { admittedBytes: number; isLast: boolean };
  /** The lane has forwarded its last bytes and stopped. */
  ended(): void;
}

interface Parcel {
  readonly dueMs: number;
  /** `undefined` is the end of the stream. */
  readonly chunk: Buffer | undefined;
}

/** What may be under way, as in a TCP window: 16 MiB with a delay, and little without, so that back-pressure passes. */
const windowBytes = { delayed: 16 * 1024 * 1024, direct: 256 * 1024 };

/**
 * One direction of a proxied connection. Every chunk is due a delay after it came, whatever is before it,
 * so a delay costs no throughput; the order stays.
 */
export class Lane {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #rules: LaneRules;
  readonly #parcels: Parcel[] = [];
  #underWayBytes = 0;
  #lastDueMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #blocked = true;
  #stopped = false;

  constructor(from: Socket, to: Socket, rules: LaneRules) {
    this.#from = from;
    this.#to = to;
    this.#rules = rules;
    from.on('data', (chunk) => this.#take(chunk));
    from.on('end', () => this.#push(undefined));
    to.on('drain', () => this.unblock());
  }

  /** Starts, or goes on, forwarding; to be called when the receiving side can take data. */
  unblock(): void {
    this.#blocked = false;
    this.#forward();
  }

  /** Forwards nothing more; what still comes is read and thrown away. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#parcels.length = 0;
    this.#from.resume();
  }

  #take(chunk: Buffer): void {
    if (this.#stopped) return;
    this.#underWayBytes += chunk.length;
    if (this.#underWayBytes >= this.#limitBytes()) this.#from.pause();
    this.#push(chunk);
  }

  #limitBytes(): number {
    return this.#rules.delayMs() > 0 ? windowBytes.delayed : windowBytes.direct;
  }

  #push(chunk: Buffer | undefined): void {
    if (this.#stopped) return;
    this.#lastDueMs = Math.max(this.#lastDueMs, performance.now() + this.#rules.delayMs());
    this.#parcels.push({ dueMs: this.#lastDueMs, chunk });
    this.#forward();
  }

  #forward(): void {
    if (this.#timer !== undefined) return;
    while (!this.#blocked && !this.#stopped) {
      const [parcel] = this.#parcels;
      if (parcel === undefined) return;
      const waitMs = parcel.dueMs - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => {
          this.#timer = undefined;
          this.#forward();
        }, waitMs);
        return;
      }
      this.#parcels.shift();
      if (parcel.chunk === undefined) {
        this.#to.end();
        return;
      }
      this.#write(parcel.chunk);
    }
  }

  /** Writes a chunk, or what of it may pass, and stops or blocks the lane where it has to wait before it goes on. */
  #write(chunk: Buffer): void {
    const { admittedBytes, isLast } = this.#rules.admit(chunk.length);
    this.#underWayBytes -= chunk.length;
    this.#blocked = admittedBytes > 0 && !this.#to.write(chunk.subarray(0, admittedBytes));
    if (isLast) {
      this.stop();
      this.#rules.ended();
    } else if (this.#from.isPaused() && this.#underWayBytes < this.#limitBytes() / 2) this.#from.resume();
  }
}

import { batchEnvelopeBytes, bytesInBatch } from './amqpSize.ts';
import type { OutboundMessage } from './destination.ts';

/** A message that waits to be accepted. */
export interface Waiting {
  readonly message: OutboundMessage;
  readonly accept: () => void;
  readonly refuse: (error: unknown) => void;
}

/** Weighed once, when it comes in. */
interface Weighed extends Waiting {
  readonly bytes: number;
}

export interface Batch {
  readonly sessionId: string | undefined;
  readonly members: readonly Waiting[];
  readonly bytes: number;
  /** Whether waiting for more messages would not make it any larger. */
  readonly full: boolean;
}

export interface BatchLimits {
  readonly maxBytes: number;
  readonly maxMessages: number;
}

/**
 * Messages waiting to be sent, in lanes: one lane for those without a session, which may leave several
 * batches at a time, and one for each session, which keeps its order by having one batch out at most. A
 * batch never mixes sessions, since Service Bus files the whole of it under its first message's session.
 */
export class Lanes {
  readonly #limits: BatchLimits;
  readonly #lanes = new Map<string | undefined, Weighed[]>();
  readonly #out = new Set<string>();

  constructor(limits: BatchLimits) {
    this.#limits = limits;
  }

  add(waiting: Waiting): void {
    const { message } = waiting;
    const weighed = { ...waiting, bytes: bytesInBatch(message, message.body.length) };
    const lane = this.#lanes.get(message.sessionId);
    if (lane === undefined) this.#lanes.set(message.sessionId, [weighed]);
    else lane.push(weighed);
  }

  /** The batch that would leave next; the lanes take turns. It stays until `take`. */
  peek(): Batch | undefined {
    for (const [sessionId, lane] of this.#lanes) {
      if (sessionId === undefined || !this.#out.has(sessionId)) return this.#cut(sessionId, lane);
    }
    return undefined;
  }

  /** Takes out the batch that `peek` gave. `release` must follow. */
  take(batch: Batch): void {
    const { sessionId } = batch;
    const lane = this.#lanes.get(sessionId) ?? [];
    lane.splice(0, batch.members.length);
    this.#lanes.delete(sessionId);
    if (lane.length > 0) this.#lanes.set(sessionId, lane);
    if (sessionId !== undefined) this.#out.add(sessionId);
  }

  /** The batch's fate is known: its session may send the next one. */
  release(batch: Batch): void {
    if (batch.sessionId !== undefined) this.#out.delete(batch.sessionId);
  }

  /** Takes out everything. */
  drain(): readonly Waiting[] {
    const all = [...this.#lanes.values()].flat();
    this.#lanes.clear();
    return all;
  }

  #cut(sessionId: string | undefined, lane: readonly Weighed[]): Batch | undefined {
    const { maxBytes, maxMessages } = this.#limits;
    const [first] = lane;
    if (first === undefined) return undefined;
    let bytes = batchEnvelopeBytes(first.message);
    let count = 0;
    for (const next of lane) {
      const fits = bytes + next.bytes <= maxBytes && count < maxMessages;
      // One that no batch takes goes alone.
      if (!fits && count > 0) break;
      bytes += next.bytes;
      count += 1;
    }
    const full = count < lane.length || count >= maxMessages || bytes >= maxBytes;
    return { sessionId, members: lane.slice(0, count), bytes, full };
  }
}

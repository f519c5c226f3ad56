import { batchEnvelopeBytes, bytesInBatch } from './amqpSize.ts';
import type { Fence, OutboundMessage } from './destination.ts';

/** A message that waits to be accepted. */
export interface Waiting {
  readonly message: OutboundMessage;
  readonly fence: Fence;
  readonly accept: () => void;
  readonly refuse: (error: unknown) => void;
}

/** Weighed once, when it comes in. */
interface Weighed extends Waiting {
  readonly bytes: number;
}

export interface Batch {
  readonly lane: LaneKey;
  readonly members: readonly Waiting[];
  readonly bytes: number;
}

export interface BatchLimits {
  /** As the link says that is open now. */
  readonly maxBytes: () => number;
  /** Of one batch; 1 where the queue takes none. */
  readonly maxMessages: () => number;
  /** A message of more goes alone: a batch would spare it nothing, and encode and copy it twice. */
  readonly maxSharingBytes: number;
  /** How many full batches without a session may be out at a time. */
  readonly maxSharedOut: number;
}

const shared = Symbol('messages without a session that share batches');
const alone = Symbol('messages without a session that go alone');

/** A string is a session. */
export type LaneKey = string | typeof shared | typeof alone;

interface Lane {
  readonly waiting: Weighed[];
  /** Batches that were taken and not released. */
  out: number;
}

/**
 * Messages waiting to be sent, in lanes: one for each session, which keeps its order by having one batch out
 * at most, and two for those without a session, which share batches or go alone by their size. A batch never
 * mixes sessions, since Service Bus files the whole of it under its first message's session.
 */
export class Lanes {
  readonly #limits: BatchLimits;
  readonly #lanes = new Map<LaneKey, Lane>();

  constructor(limits: BatchLimits) {
    this.#limits = limits;
  }

  add(waiting: Waiting): void {
    const { message } = waiting;
    const bytes = bytesInBatch(message, message.body.length);
    const { maxSharingBytes, maxMessages } = this.#limits;
    const goesAlone = bytes > maxSharingBytes || maxMessages() === 1;
    const key = message.sessionId ?? (goesAlone ? alone : shared);
    const lane = this.#lanes.get(key) ?? { waiting: [], out: 0 };
    lane.waiting.push({ ...waiting, bytes });
    this.#lanes.set(key, lane);
  }

  /** Takes out the batch that is to leave next, unless it may not; the lanes take turns. `release` must follow. */
  next(mayStart: (batch: Batch) => boolean): Batch | undefined {
    for (const [key, lane] of this.#lanes) {
      if (lane.out >= this.#maxOut(key)) continue;
      const batch = this.#cut(key, lane.waiting);
      // While another is out it grows until it is full, which costs less than several small ones.
      if (batch === undefined || (lane.out > 0 && !batch.full)) continue;
      if (!mayStart(batch)) return undefined;
      lane.waiting.splice(0, batch.members.length);
      lane.out += 1;
      this.#lanes.delete(key);
      this.#lanes.set(key, lane);
      return batch;
    }
    return undefined;
  }

  /** The batch's fate is known: its lane may send the next one. */
  release(batch: Batch): void {
    const lane = this.#lanes.get(batch.lane);
    if (lane === undefined) return;
    lane.out -= 1;
    if (lane.out === 0 && lane.waiting.length === 0) this.#lanes.delete(batch.lane);
  }

  /** Takes out everything that is not out already. */
  drain(): readonly Waiting[] {
    const drained = [...this.#lanes.values()].flatMap(({ waiting }) => waiting.splice(0));
    // A session is often one mail's, and never comes back.
    for (const [key, { out }] of this.#lanes) if (out === 0) this.#lanes.delete(key);
    return drained;
  }

  #maxOut(key: LaneKey): number {
    if (key === alone) return Number.POSITIVE_INFINITY;
    return key === shared ? this.#limits.maxSharedOut : 1;
  }

  #cut(key: LaneKey, lane: readonly Weighed[]): (Batch & { readonly full: boolean }) | undefined {
    const maxBytes = this.#limits.maxBytes();
    const maxMessages = key === alone ? 1 : this.#limits.maxMessages();
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
    return { lane: key, members: lane.slice(0, count), bytes, full };
  }
}

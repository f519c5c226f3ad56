import { DuplicateDetection } from './duplicateDetection.ts';
import { type AmqpCondition, conditions } from './faults.ts';
import { type LockedMessage, MessageLocks } from './messageLocks.ts';
import { inspect, type QueueMessage } from './queueMessage.ts';
import { Shelf } from './shelf.ts';
import { readRouting, withApplicationProperties } from './wireMessage.ts';

export type { QueueMessage } from './queueMessage.ts';

/** How a queue is made; what is left out is as on a Standard queue without duplicate detection and sessions. */
export interface QueueOptions {
  readonly name: string;
  /** Default 262,144. */
  readonly maxMessageSizeBytes?: number;
  /** Messages with an id seen within this time are dropped, and their sender is told they were accepted. Default off. */
  readonly duplicateDetectionWindowMs?: number;
  readonly requiresSession?: boolean;
  /** Default 30,000. */
  readonly lockDurationMs?: number;
  /** Deliveries that may fail before the message is dead-lettered; default 10. */
  readonly maxDeliveryCount?: number;
  readonly disabled?: boolean;
  /** Beyond it, transfers are rejected as over quota. Default unlimited. */
  readonly maxQueueSizeBytes?: number;
}

/** A message as it lies on the queue. */
export interface StoredMessage {
  readonly sequenceNumber: number;
  readonly enqueuedTime: Date;
  readonly messageId: string | undefined;
  readonly sessionId: string | undefined;
  raw: Buffer;
  deliveryCount: number;
}

/** A queue held in memory, with the rules of a Service Bus queue; knows nothing of connections. */
export class BrokerQueue {
  readonly name: string;
  readonly maxMessageSizeBytes: number;
  readonly requiresSession: boolean;
  readonly lockDurationMs: number;
  readonly deadLetterQueue: BrokerQueue | undefined;
  disabled: boolean;
  /** Messages stored since the start; a dropped duplicate is not one. */
  accepted = 0;
  /** Messages dropped by duplicate detection, whose senders were told they were accepted. */
  duplicates = 0;
  /** Transfers that came, whatever became of them; a batch is one. */
  transfers = 0;

  readonly #options: QueueOptions;
  readonly #active = new Map<number, StoredMessage>();
  readonly #shelves = new Map<string, Shelf>();
  /** Held as long as their receivers' links are open. */
  readonly #lockedSessions = new Set<string>();
  readonly #locks: MessageLocks;
  readonly #seen: DuplicateDetection;
  readonly #listeners = new Set<(message: QueueMessage) => void>();
  readonly #waiting = new Set<() => void>();
  #nextSequenceNumber = 1;
  #sizeBytes = 0;

  constructor(options: QueueOptions, isDeadLetterQueue = false) {
    this.#options = options;
    this.name = options.name;
    this.maxMessageSizeBytes = options.maxMessageSizeBytes ?? 262_144;
    this.requiresSession = options.requiresSession ?? false;
    this.lockDurationMs = options.lockDurationMs ?? 30_000;
    this.disabled = options.disabled ?? false;
    this.#locks = new MessageLocks(this.lockDurationMs, (message) => this.#giveBack(message));
    this.#seen = new DuplicateDetection(options.duplicateDetectionWindowMs);
    if (!isDeadLetterQueue) {
      this.deadLetterQueue = new BrokerQueue(
        {
          name: `${options.name}/$deadletterqueue`,
          lockDurationMs: this.lockDurationMs,
          maxDeliveryCount: Infinity,
        },
        true,
      );
    }
  }

  /** How many messages are active, locked ones included; costs nothing, unlike `messages`. */
  get count(): number {
    return this.#active.size;
  }

  /** The active messages, locked ones included, oldest first. */
  get messages(): QueueMessage[] {
    return this.peek(0, Infinity).map(inspect);
  }

  get deadLettered(): QueueMessage[] {
    return this.deadLetterQueue?.messages ?? [];
  }

  /** Calls the listener for every message stored from now on. Answers the way to stop that. */
  onMessage(listener: (message: QueueMessage) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Forgets messages, dead letters, what duplicate detection has seen, and the counters. */
  clear(): void {
    this.#active.clear();
    this.#shelves.clear();
    this.#locks.clear();
    this.#seen.clear();
    this.#sizeBytes = 0;
    this.accepted = 0;
    this.duplicates = 0;
    this.transfers = 0;
    this.deadLetterQueue?.clear();
  }

  /** Stores the messages of one transfer, all or none; answers why not. */
  offer(encoded: readonly Buffer[], nowMs: number): AmqpCondition | undefined {
    const arrivals = encoded.map((raw) => ({ raw, ...readRouting(raw) }));
    if (this.requiresSession && arrivals.some((arrival) => arrival.sessionId === undefined)) {
      return conditions.sessionMissing(this.name);
    }
    const arrivingBytes = encoded.reduce((sum, raw) => sum + raw.length, 0);
    if (this.#sizeBytes + arrivingBytes > (this.#options.maxQueueSizeBytes ?? Infinity)) {
      return conditions.quotaExceeded(this.name);
    }
    for (const arrival of arrivals) {
      if (this.#seen.isRepeat(arrival.messageId, nowMs)) this.duplicates++;
      else this.#store(arrival.raw, arrival.messageId, arrival.sessionId, nowMs);
    }
    this.#wake();
    return undefined;
  }

  /** Takes the next message off for good. */
  takeAndDelete(sessionId: string | undefined): StoredMessage | undefined {
    const message = this.#shelves.get(shelfKey(sessionId))?.take();
    if (message !== undefined) this.#remove(message);
    return message;
  }

  /** Locks the next message for a receiver. */
  takeAndLock(sessionId: string | undefined, nowMs: number): LockedMessage | undefined {
    const message = this.#shelves.get(shelfKey(sessionId))?.take();
    return message === undefined ? undefined : this.#locks.take(message, nowMs);
  }

  /** Renews a lock; answers until when, or nothing when it is lost. */
  renewLock(tag: Buffer, nowMs: number): Date | undefined {
    return this.#locks.renew(tag, nowMs);
  }

  /** Removes a locked message; false when the lock is lost. So with the other ways to settle. */
  complete(tag: Buffer): boolean {
    const message = this.#locks.end(tag);
    if (message !== undefined) this.#remove(message);
    return message !== undefined;
  }

  abandon(tag: Buffer, properties: Readonly<Record<string, unknown>>): boolean {
    const message = this.#locks.end(tag);
    if (message === undefined) return false;
    const raw = withApplicationProperties(message.raw, properties);
    this.#sizeBytes += raw.length - message.raw.length;
    message.raw = raw;
    this.#giveBack(message);
    return true;
  }

  deadLetter(tag: Buffer, reason: string, description: string): boolean {
    const message = this.#locks.end(tag);
    if (message !== undefined) this.#bury(message, reason, description);
    return message !== undefined;
  }

  /** Up to `limit` active messages from a sequence number on. */
  peek(fromSequenceNumber: number, limit: number, sessionId?: string): StoredMessage[] {
    const found: StoredMessage[] = [];
    for (const message of this.#active.values()) {
      if (found.length >= limit) break;
      if (message.sequenceNumber < fromSequenceNumber) continue;
      if (sessionId === undefined || message.sessionId === sessionId) found.push(message);
    }
    return found;
  }

  /** Locks the named session, or the first free one that has messages. Answers its id. */
  lockSession(wanted: string | undefined): string | undefined {
    const isFree = (id: string) => !this.#lockedSessions.has(id);
    let found = wanted;
    if (found === undefined) {
      for (const [key, shelf] of this.#shelves) {
        if (shelf.size > 0 && isFree(key)) {
          found = key;
          break;
        }
      }
    }
    if (found === undefined || !isFree(found)) return undefined;
    this.#lockedSessions.add(found);
    return found;
  }

  /** Renews a session's lock and those of its messages; nothing when it isn't locked. */
  renewSession(sessionId: string, nowMs: number): Date | undefined {
    if (!this.#lockedSessions.has(sessionId)) return undefined;
    const untilMs = nowMs + this.lockDurationMs;
    for (const { tag } of this.#locks.ofSession(sessionId)) this.renewLock(tag, nowMs);
    return new Date(untilMs);
  }

  /** Gives a session back, with the messages its receiver had locked. */
  releaseSession(sessionId: string): void {
    this.#lockedSessions.delete(sessionId);
    for (const { tag } of this.#locks.ofSession(sessionId)) this.abandon(tag, {});
    this.#wake();
  }

  /** Calls back whenever there may be something to take. Answers the way to stop that. */
  whenAvailable(wake: () => void): () => void {
    this.#waiting.add(wake);
    return () => this.#waiting.delete(wake);
  }

  #store(raw: Buffer, messageId: string | undefined, sessionId: string | undefined, nowMs: number): void {
    const sequenceNumber = this.#nextSequenceNumber++;
    const enqueuedTime = new Date(nowMs);
    const message = { sequenceNumber, enqueuedTime, messageId, sessionId, raw, deliveryCount: 0 };
    this.#active.set(sequenceNumber, message);
    this.#sizeBytes += raw.length;
    this.accepted++;
    this.#shelfOf(message).put(message);
    if (this.#listeners.size > 0) {
      const inspected = inspect(message);
      for (const listener of this.#listeners) listener(inspected);
    }
  }

  #shelfOf(message: StoredMessage): Shelf {
    const key = shelfKey(this.requiresSession ? message.sessionId : undefined);
    let shelf = this.#shelves.get(key);
    if (shelf === undefined) {
      shelf = new Shelf();
      this.#shelves.set(key, shelf);
    }
    return shelf;
  }

  #remove(message: StoredMessage): void {
    if (this.#active.delete(message.sequenceNumber)) this.#sizeBytes -= message.raw.length;
  }

  #giveBack(message: StoredMessage): void {
    message.deliveryCount++;
    if (message.deliveryCount >= (this.#options.maxDeliveryCount ?? 10)) {
      this.#bury(
        message,
        'MaxDeliveryCountExceeded',
        'Message could not be consumed after the maximum of attempts.',
      );
      return;
    }
    this.#shelfOf(message).putBack(message);
    this.#wake();
  }

  #bury(message: StoredMessage, reason: string, description: string): void {
    this.#remove(message);
    const properties = { DeadLetterReason: reason, DeadLetterErrorDescription: description };
    this.deadLetterQueue?.offer([withApplicationProperties(message.raw, properties)], Date.now());
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}

function shelfKey(sessionId: string | undefined): string {
  return sessionId ?? '';
}

import { type TypedEntries, text } from './amqpValues.ts';
import { DuplicateDetection } from './duplicateDetection.ts';
import { type AmqpCondition, conditions } from './faults.ts';
import { type LockedMessage, MessageLocks } from './messageLocks.ts';
import { inspect, type QueueMessage } from './queueMessage.ts';
import { type ScheduledMessage, ScheduledMessages } from './scheduledMessages.ts';
import { SessionLocks } from './sessionLocks.ts';
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
  /** With duplicate detection it then takes no batch whose messages would lie in several partitions. */
  readonly isPartitioned?: boolean;
  readonly requiresSession?: boolean;
  /** Default 30,000. */
  readonly lockDurationMs?: number;
  /** Deliveries that may fail before the message is dead-lettered; default 10. */
  readonly maxDeliveryCount?: number;
}

/** `deferred`: given out by its sequence number only. */
export type MessageState = 'active' | 'deferred' | 'scheduled';

/** What a sender's link and a management node put messages on: a queue or a topic. */
export interface Entity {
  readonly name: string;
  readonly maxMessageSizeBytes: number;
  disabled: boolean;
  /** Transfers that came, whatever became of them; a batch is one. */
  transfers: number;
  /**
   * Stores the messages of one transfer, or schedules those that say when they are due: all or none. Answers their
   * sequence numbers, 0 for a dropped repeat, or why not.
   */
  offer(encoded: readonly Buffer[], nowMs: number): readonly number[] | AmqpCondition;
  /** Takes scheduled messages back; false when one of them is none, and then none is taken. */
  cancelScheduled(sequenceNumbers: readonly number[]): boolean;
}

/** A message as it lies on the queue. */
export interface StoredMessage {
  readonly sequenceNumber: number;
  readonly enqueuedTime: Date;
  readonly sessionId: string | undefined;
  state: MessageState;
  raw: Buffer;
  deliveryCount: number;
}

/** A queue or a subscription held in memory, with the rules of Service Bus; knows nothing of connections. */
export class BrokerQueue implements Entity {
  readonly name: string;
  readonly maxMessageSizeBytes: number;
  readonly requiresSession: boolean;
  readonly lockDurationMs: number;
  readonly deadLetterQueue: BrokerQueue | undefined;
  disabled = false;
  /** Messages stored since the start; a dropped duplicate is not one. */
  accepted = 0;
  /** Messages dropped by duplicate detection, whose senders were told they were accepted. */
  duplicates = 0;
  transfers = 0;

  readonly #options: QueueOptions;
  /** Deferred ones too. */
  readonly #stored = new Map<number, StoredMessage>();
  /** By the session's id; a queue without sessions has one, whose key is empty. */
  readonly #shelves = new Map<string, Shelf>();
  readonly #scheduled = new ScheduledMessages((message) => this.#enqueueScheduled(message));
  readonly #sessions: SessionLocks;
  readonly #sessionStates = new Map<string, Buffer>();
  readonly #locks: MessageLocks;
  readonly #seen: DuplicateDetection;
  readonly #listeners = new Set<(message: QueueMessage) => void>();
  readonly #waiting = new Set<() => void>();
  #nextSequenceNumber = 1;

  constructor(options: QueueOptions, isDeadLetterQueue = false) {
    this.#options = options;
    this.name = options.name;
    this.maxMessageSizeBytes = options.maxMessageSizeBytes ?? 262_144;
    this.requiresSession = options.requiresSession ?? false;
    this.lockDurationMs = options.lockDurationMs ?? 30_000;
    this.#locks = new MessageLocks(this.lockDurationMs, (message) => this.#fail(message));
    this.#sessions = new SessionLocks(this.lockDurationMs, (sessionId) => this.#expireSession(sessionId));
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

  /** How many messages there are, locked ones included; costs nothing, unlike `messages`. */
  get count(): number {
    return this.#stored.size + this.#scheduled.size;
  }

  /** All messages, locked, deferred and scheduled ones included, oldest first. */
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

  /** Forgets messages, dead letters, sessions' states, what duplicate detection has seen, and the counters. */
  clear(): void {
    this.#stored.clear();
    this.#scheduled.clear();
    this.#shelves.clear();
    this.#locks.clear();
    this.#sessionStates.clear();
    this.#seen.clear();
    this.accepted = 0;
    this.duplicates = 0;
    this.transfers = 0;
    this.deadLetterQueue?.clear();
  }

  offer(encoded: readonly Buffer[], nowMs: number): readonly number[] | AmqpCondition {
    const arrivals = encoded.map((raw) => ({ raw, routing: readRouting(raw) }));
    if (this.requiresSession && arrivals.some(({ routing }) => routing.sessionId === undefined)) {
      return conditions.sessionMissing(this.name);
    }
    if (this.#options.isPartitioned && this.#options.duplicateDetectionWindowMs !== undefined) {
      const partitions = new Set(arrivals.map(({ routing }) => routing.sessionId ?? routing.messageId));
      if (partitions.size > 1) return conditions.batchAcrossPartitions(this.name);
    }
    const sequenceNumbers = arrivals.map(({ raw, routing }) => {
      if (this.#seen.isRepeat(routing.messageId, nowMs)) {
        this.duplicates++;
        return 0;
      }
      const sequenceNumber = this.#nextSequenceNumber++;
      const dueMs = routing.scheduledFor?.getTime() ?? nowMs;
      if (dueMs > nowMs) this.#scheduled.add({ sequenceNumber, raw, dueMs });
      else this.#add(toStored(sequenceNumber, nowMs, raw, routing));
      return sequenceNumber;
    });
    this.#wake();
    return sequenceNumbers;
  }

  cancelScheduled(sequenceNumbers: readonly number[]): boolean {
    return this.#scheduled.cancel(sequenceNumbers);
  }

  /** Puts a message on the dead-letter queue that the queue itself can't take. */
  offerDead(raw: Buffer, nowMs: number, reason: string, description: string): void {
    const message = toStored(this.#nextSequenceNumber++, nowMs, raw);
    this.#bury(message, deadLetterProperties(reason, description));
  }

  /** Takes the next message off for good. */
  takeAndDelete(sessionId: string | undefined): StoredMessage | undefined {
    const message = this.#shelves.get(sessionId ?? '')?.take();
    if (message !== undefined) this.#remove(message);
    return message;
  }

  /** Locks the next message for a receiver. */
  takeAndLock(sessionId: string | undefined, nowMs: number): LockedMessage | undefined {
    const message = this.#shelves.get(sessionId ?? '')?.take();
    return message === undefined ? undefined : this.#locks.take(message, nowMs);
  }

  /** Renews a lock; answers until when, or nothing when it is lost. */
  renewLock(tag: Buffer, nowMs: number): Date | undefined {
    return this.#locks.renew(tag, nowMs);
  }

  /** Locks deferred messages by their numbers; `undefined` when one of them is none, and then none is locked. */
  lockDeferred(sequenceNumbers: readonly number[], nowMs: number): LockedMessage[] | undefined {
    return this.#deferred(sequenceNumbers)?.map((message) => this.#locks.take(message, nowMs));
  }

  /** Takes deferred messages off for good, as `lockDeferred` locks them. */
  takeDeferred(sequenceNumbers: readonly number[]): StoredMessage[] | undefined {
    const messages = this.#deferred(sequenceNumbers);
    for (const message of messages ?? []) this.#remove(message);
    return messages;
  }

  /** Removes a locked message; false when the lock is lost. So with the other ways to settle. */
  complete(tag: Buffer): boolean {
    return this.#settle(tag, [], (message) => this.#remove(message));
  }

  /** The delivery has failed; the message comes again, or is dead-lettered after too many. */
  abandon(tag: Buffer, properties: TypedEntries): boolean {
    return this.#settle(tag, properties, (message) => this.#fail(message));
  }

  /** Comes again as if it had not been delivered (AMQP 1.0, 3.4.4). */
  release(tag: Buffer): boolean {
    return this.#settle(tag, [], (message) => this.#putBack(message));
  }

  defer(tag: Buffer, properties: TypedEntries): boolean {
    return this.#settle(tag, properties, (message) => {
      message.state = 'deferred';
    });
  }

  /** `properties` with those that say why, `DeadLetterReason` and `DeadLetterErrorDescription`. */
  deadLetter(tag: Buffer, properties: TypedEntries): boolean {
    return this.#settle(tag, [], (message) => this.#bury(message, properties));
  }

  /** Up to `limit` messages from a sequence number on, whatever their state. */
  peek(fromSequenceNumber: number, limit: number, sessionId?: string): StoredMessage[] {
    const found: StoredMessage[] = [];
    for (const message of this.#inOrder()) {
      if (found.length >= limit) break;
      if (message.sequenceNumber < fromSequenceNumber) continue;
      if (sessionId === undefined || message.sessionId === sessionId) found.push(message);
    }
    return found;
  }

  /**
   * Locks the named session, or the first free one that has messages. Answers its id. `lost` is called when the
   * lock runs out, and is what `releaseSession` is called with.
   */
  lockSession(wanted: string | undefined, lost: () => void): string | undefined {
    const sessionId = wanted ?? this.#firstFreeSession();
    if (sessionId === undefined || !this.#sessions.take(sessionId, lost)) return undefined;
    return sessionId;
  }

  isSessionLocked(sessionId: string): boolean {
    return this.#sessions.isHeld(sessionId);
  }

  /** Renews a session's lock and those of its messages; nothing when it isn't locked. */
  renewSession(sessionId: string, nowMs: number): Date | undefined {
    if (!this.#sessions.renew(sessionId)) return undefined;
    for (const { tag } of this.#locks.ofSession(sessionId)) this.renewLock(tag, nowMs);
    return new Date(nowMs + this.lockDurationMs);
  }

  /** Gives a session back, with the messages its receiver had locked: that is no failed delivery of theirs. */
  releaseSession(sessionId: string, lost: () => void): void {
    if (!this.#sessions.release(sessionId, lost)) return;
    for (const { tag } of this.#locks.ofSession(sessionId)) this.release(tag);
    this.#wake();
  }

  sessionState(sessionId: string): Buffer | undefined {
    return this.#sessionStates.get(sessionId);
  }

  setSessionState(sessionId: string, state: Buffer | undefined): void {
    if (state === undefined) this.#sessionStates.delete(sessionId);
    else this.#sessionStates.set(sessionId, state);
  }

  /** Calls back whenever there may be something to take. Answers the way to stop that. */
  whenAvailable(wake: () => void): () => void {
    this.#waiting.add(wake);
    return () => this.#waiting.delete(wake);
  }

  /** It goes on the queue as if it came now, with a number of its own. */
  #enqueueScheduled({ raw }: ScheduledMessage): void {
    this.#add(toStored(this.#nextSequenceNumber++, Date.now(), raw));
    this.#wake();
  }

  #add(message: StoredMessage): void {
    this.#stored.set(message.sequenceNumber, message);
    this.accepted++;
    this.#shelfOf(message).put(message);
    if (this.#listeners.size > 0) {
      const inspected = inspect(message);
      for (const listener of this.#listeners) listener(inspected);
    }
  }

  /** Everything by sequence number. Only dead letters come in another order, and scheduled ones lie apart. */
  #inOrder(): Iterable<StoredMessage> {
    if (this.deadLetterQueue !== undefined && this.#scheduled.size === 0) return this.#stored.values();
    const scheduled = this.#scheduled.messages.map(
      ({ sequenceNumber, raw, dueMs }): StoredMessage => ({
        ...toStored(sequenceNumber, dueMs, raw),
        state: 'scheduled',
      }),
    );
    return [...this.#stored.values(), ...scheduled].sort((a, b) => a.sequenceNumber - b.sequenceNumber);
  }

  #deferred(sequenceNumbers: readonly number[]): StoredMessage[] | undefined {
    const found: StoredMessage[] = [];
    for (const sequenceNumber of sequenceNumbers) {
      const message = this.#stored.get(sequenceNumber);
      if (message?.state !== 'deferred' || this.#locks.isLocked(message)) return undefined;
      found.push(message);
    }
    return found;
  }

  #firstFreeSession(): string | undefined {
    for (const [sessionId, shelf] of this.#shelves) {
      if (shelf.size > 0 && !this.#sessions.isHeld(sessionId)) return sessionId;
    }
    return undefined;
  }

  #expireSession(sessionId: string): void {
    for (const { tag } of this.#locks.ofSession(sessionId)) this.abandon(tag, []);
    this.#wake();
  }

  #shelfOf(message: StoredMessage): Shelf {
    const key = (this.requiresSession ? message.sessionId : undefined) ?? '';
    let shelf = this.#shelves.get(key);
    if (shelf === undefined) {
      shelf = new Shelf();
      this.#shelves.set(key, shelf);
    }
    return shelf;
  }

  #settle(tag: Buffer, properties: TypedEntries, settle: (message: StoredMessage) => void): boolean {
    const message = this.#locks.end(tag);
    if (message === undefined) return false;
    message.raw = withApplicationProperties(message.raw, properties);
    settle(message);
    return true;
  }

  #remove(message: StoredMessage): void {
    this.#stored.delete(message.sequenceNumber);
  }

  #fail(message: StoredMessage): void {
    message.deliveryCount++;
    if (message.deliveryCount < (this.#options.maxDeliveryCount ?? 10)) {
      this.#putBack(message);
      return;
    }
    const description = 'Message could not be consumed after the maximum of attempts.';
    this.#bury(message, deadLetterProperties('MaxDeliveryCountExceeded', description));
  }

  /** A deferred one stays so. */
  #putBack(message: StoredMessage): void {
    if (message.state === 'active') this.#shelfOf(message).putBack(message);
    this.#wake();
  }

  /** It keeps its sequence number, its time and how often it was delivered. A dead letter stays one. */
  #bury(message: StoredMessage, properties: TypedEntries): void {
    if (this.deadLetterQueue === undefined) {
      this.#putBack(message);
      return;
    }
    this.#remove(message);
    const raw = withApplicationProperties(message.raw, properties);
    this.deadLetterQueue.#add({ ...message, state: 'active', raw });
    this.deadLetterQueue.#wake();
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}

function toStored(
  sequenceNumber: number,
  enqueuedMs: number,
  raw: Buffer,
  { sessionId } = readRouting(raw),
): StoredMessage {
  const enqueuedTime = new Date(enqueuedMs);
  return { sequenceNumber, enqueuedTime, sessionId, state: 'active', raw, deliveryCount: 0 };
}

function deadLetterProperties(reason: string, description: string): TypedEntries {
  return [
    ['DeadLetterReason', text(reason)],
    ['DeadLetterErrorDescription', text(description)],
  ];
}

import { randomBytes } from 'node:crypto';
import type { StoredMessage } from './queue.ts';

/** A message handed to one receiver; `tag` is its delivery tag, which the SDK shows as the lock token. */
export interface LockedMessage {
  readonly tag: Buffer;
  readonly message: StoredMessage;
  readonly untilMs: number;
}

/** The peek-locks of a queue; calls back for each that runs out. */
export class MessageLocks {
  readonly #durationMs: number;
  readonly #expired: (message: StoredMessage) => void;
  /** In the order in which they expire, since every lock lasts the same time from being taken or renewed. */
  readonly #locks = new Map<string, LockedMessage>();
  readonly #held = new Set<StoredMessage>();
  #timer: NodeJS.Timeout | undefined;

  constructor(durationMs: number, expired: (message: StoredMessage) => void) {
    this.#durationMs = durationMs;
    this.#expired = expired;
  }

  take(message: StoredMessage, nowMs: number): LockedMessage {
    const lock = { tag: randomBytes(16), message, untilMs: nowMs + this.#durationMs };
    this.#locks.set(lock.tag.toString('hex'), lock);
    this.#held.add(message);
    this.#watch(nowMs);
    return lock;
  }

  /** Answers until when the lock now lasts, or nothing when it is lost. */
  renew(tag: Buffer, nowMs: number): Date | undefined {
    const key = tag.toString('hex');
    const lock = this.#locks.get(key);
    if (lock === undefined) return undefined;
    this.#locks.delete(key);
    this.#locks.set(key, { ...lock, untilMs: nowMs + this.#durationMs });
    return new Date(nowMs + this.#durationMs);
  }

  /** Ends a lock and answers its message, or nothing when it is lost. */
  end(tag: Buffer): StoredMessage | undefined {
    const key = tag.toString('hex');
    const lock = this.#locks.get(key);
    this.#locks.delete(key);
    if (lock !== undefined) this.#held.delete(lock.message);
    return lock?.message;
  }

  isLocked(message: StoredMessage): boolean {
    return this.#held.has(message);
  }

  ofSession(sessionId: string): LockedMessage[] {
    return [...this.#locks.values()].filter((lock) => lock.message.sessionId === sessionId);
  }

  clear(): void {
    this.#locks.clear();
    this.#held.clear();
  }

  #watch(nowMs: number): void {
    const first = this.#locks.values().next().value;
    if (first === undefined || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => this.#expire(), Math.max(1, first.untilMs - nowMs)).unref();
  }

  #expire(): void {
    this.#timer = undefined;
    const nowMs = Date.now();
    for (const [key, lock] of this.#locks) {
      if (lock.untilMs > nowMs) break;
      this.#locks.delete(key);
      this.#held.delete(lock.message);
      this.#expired(lock.message);
    }
    this.#watch(nowMs);
  }
}

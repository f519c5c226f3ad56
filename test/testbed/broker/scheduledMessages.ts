/** A message that waits for its time. */
export interface ScheduledMessage {
  readonly sequenceNumber: number;
  readonly raw: Buffer;
  readonly dueMs: number;
}

/** A timer waits no longer at once. */
const longestTimerMs = 2 ** 31 - 1;

/** Messages of a queue or topic that are to be put on it later. */
export class ScheduledMessages {
  readonly #due: (message: ScheduledMessage) => void;
  readonly #waiting = new Map<number, { readonly message: ScheduledMessage; timer: NodeJS.Timeout }>();

  /** `due` is called for each when its time has come. */
  constructor(due: (message: ScheduledMessage) => void) {
    this.#due = due;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** In the order in which they were scheduled. */
  get messages(): ScheduledMessage[] {
    return [...this.#waiting.values()].map(({ message }) => message);
  }

  add(message: ScheduledMessage): void {
    this.#waiting.set(message.sequenceNumber, { message, timer: this.#timerFor(message) });
  }

  /** Takes all of them back; answers false when one is not, or no longer, waiting, and then none is taken. */
  cancel(sequenceNumbers: readonly number[]): boolean {
    if (!sequenceNumbers.every((sequenceNumber) => this.#waiting.has(sequenceNumber))) return false;
    for (const sequenceNumber of sequenceNumbers) {
      clearTimeout(this.#waiting.get(sequenceNumber)?.timer);
      this.#waiting.delete(sequenceNumber);
    }
    return true;
  }

  clear(): void {
    this.cancel([...this.#waiting.keys()]);
  }

  #timerFor(message: ScheduledMessage): NodeJS.Timeout {
    const waitMs = Math.min(Math.max(message.dueMs - Date.now(), 0), longestTimerMs);
    return setTimeout(() => this.#wake(message), waitMs).unref();
  }

  #wake(message: ScheduledMessage): void {
    const waiting = this.#waiting.get(message.sequenceNumber);
    if (waiting === undefined) return;
    if (message.dueMs > Date.now()) {
      waiting.timer = this.#timerFor(message);
      return;
    }
    this.#waiting.delete(message.sequenceNumber);
    this.#due(message);
  }
}

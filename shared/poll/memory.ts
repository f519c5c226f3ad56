import type { Holding, MailMemory } from '../mailbox/mailbox.ts';

/** Who holds memory, as far as fairness goes. */
export interface MemoryShare {
  readonly mailbox: string;
  readonly queueName: string;
  /** Fires when the run is to end: whoever waits for memory is told why. */
  readonly signal: AbortSignal;
}

type HoldingKind = 'whole' | 'stream';

interface Request {
  readonly share: MemoryShare;
  readonly kind: HoldingKind;
  readonly bytes: number;
  readonly grant: () => void;
}

/**
 * Bounds the bytes of mail that the runs of one process hold at a time, and shares them fairly: while others wait,
 * one mailbox holds at most a quarter; the mails of one destination queue hold at most half while those of another
 * wait, and never more than three quarters, so that a queue that hangs leaves room at once; all streams together
 * hold at most half. What is larger than its share is granted when the share is empty.
 */
export class ProcessMemory {
  readonly #totalBytes: number;
  readonly #byMailbox = new Map<string, number>();
  readonly #byQueue = new Map<string, number>();
  #waiting: Request[] = [];
  #usedBytes = 0;
  #streamBytes = 0;

  constructor(totalBytes: number) {
    this.#totalBytes = totalBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** The memory that one run's mails are read into. */
  of(share: MemoryShare): MailMemory {
    return { hold: () => new ProcessHolding(this, share, 'whole') };
  }

  /** What the parts of a streamed mail may take while it is read; what is not granted goes to files. */
  forStream(share: MemoryShare): StreamHolding {
    return new ProcessHolding(this, share, 'stream');
  }

  /** Resolves when so many bytes may be held; rejects with the signal's reason when it fires before. */
  take(share: MemoryShare, kind: HoldingKind, bytes: number): Promise<void> {
    const { signal } = share;
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#waiting.length === 0 && this.#mayHold(share, kind, bytes)) {
      this.#add(share, kind, bytes);
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        this.#waiting = this.#waiting.filter((other) => other !== request);
        reject(signal.reason);
        this.#grant();
      };
      const grant = () => {
        signal.removeEventListener('abort', giveUp);
        resolve();
      };
      const request: Request = { share, kind, bytes, grant };
      signal.addEventListener('abort', giveUp, { once: true });
      this.#waiting.push(request);
      this.#grant();
    });
  }

  /** Whether so many bytes are to be had at once; nobody who waits is passed over. */
  tryTake(share: MemoryShare, kind: HoldingKind, bytes: number): boolean {
    const isRoom = this.#waiting.length === 0 && this.#mayHold(share, kind, bytes);
    if (isRoom) this.#add(share, kind, bytes);
    return isRoom;
  }

  giveBack(share: MemoryShare, kind: HoldingKind, bytes: number): void {
    this.#add(share, kind, -bytes);
    this.#grant();
  }

  #add({ mailbox, queueName }: MemoryShare, kind: HoldingKind, bytes: number): void {
    this.#usedBytes += bytes;
    if (kind === 'stream') this.#streamBytes += bytes;
    addTo(this.#byMailbox, mailbox, bytes);
    addTo(this.#byQueue, queueName, bytes);
  }

  /** First come, first served, but for those whose share is full. */
  #grant(): void {
    for (let index = 0; index < this.#waiting.length; ) {
      const next = this.#waiting[index];
      if (!next) return;
      if (this.#exceedsShare(next)) {
        index += 1;
      } else if (this.#hasRoom(next.bytes)) {
        this.#waiting.splice(index, 1);
        this.#add(next.share, next.kind, next.bytes);
        next.grant();
      } else {
        return;
      }
    }
  }

  #mayHold(share: MemoryShare, kind: HoldingKind, bytes: number): boolean {
    return this.#hasRoom(bytes) && !this.#exceedsShare({ share, kind, bytes });
  }

  #hasRoom(bytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + bytes <= this.#totalBytes;
  }

  #exceedsShare({ share, kind, bytes }: Pick<Request, 'share' | 'kind' | 'bytes'>): boolean {
    const { mailbox, queueName } = share;
    const exceeds = (heldBytes: number, part: number) =>
      heldBytes > 0 && heldBytes + bytes > this.#totalBytes * part;
    const othersWait = (is: (waiting: MemoryShare) => boolean) =>
      this.#waiting.some((request) => is(request.share));
    if (kind === 'stream' && exceeds(this.#streamBytes, 1 / 2)) return true;
    const ofQueue = this.#byQueue.get(queueName) ?? 0;
    if (exceeds(ofQueue, 3 / 4)) return true;
    if (exceeds(ofQueue, 1 / 2) && othersWait((other) => other.queueName !== queueName)) return true;
    const ofMailbox = this.#byMailbox.get(mailbox) ?? 0;
    return exceeds(ofMailbox, 1 / 4) && othersWait((other) => other.mailbox !== mailbox);
  }
}

/** Memory that is taken only where it is to be had at once. */
export interface StreamHolding {
  tryGrow(sizeBytes: number): boolean;
  shrink(sizeBytes: number): void;
  release(): void;
}

class ProcessHolding implements Holding, StreamHolding {
  readonly #memory: ProcessMemory;
  readonly #share: MemoryShare;
  readonly #kind: HoldingKind;
  #bytes = 0;

  constructor(memory: ProcessMemory, share: MemoryShare, kind: HoldingKind) {
    this.#memory = memory;
    this.#share = share;
    this.#kind = kind;
  }

  async grow(sizeBytes: number): Promise<void> {
    await this.#memory.take(this.#share, this.#kind, sizeBytes);
    this.#bytes += sizeBytes;
  }

  tryGrow(sizeBytes: number): boolean {
    const isGranted = this.#memory.tryTake(this.#share, this.#kind, sizeBytes);
    if (isGranted) this.#bytes += sizeBytes;
    return isGranted;
  }

  shrink(sizeBytes: number): void {
    const bytes = Math.min(sizeBytes, this.#bytes);
    this.#bytes -= bytes;
    if (bytes > 0) this.#memory.giveBack(this.#share, this.#kind, bytes);
  }

  release(): void {
    this.shrink(this.#bytes);
  }
}

function addTo(counts: Map<string, number>, key: string, bytes: number): void {
  const sum = (counts.get(key) ?? 0) + bytes;
  if (sum > 0) counts.set(key, sum);
  else counts.delete(key);
}

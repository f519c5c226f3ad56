import type { Holding, MailMemory } from '../mailbox/mailbox.ts';

/** Who holds memory, as far as fairness goes. */
export interface MemoryShare {
  readonly mailbox: string;
  readonly queueName: string;
  /** Fires when the run is to end: whoever waits for memory is told why. */
  readonly signal: AbortSignal;
}

/** The memory that one run's mails are read into. */
export interface RunMemory extends MailMemory {
  /** The run was ended while it waited for memory: what was to be read then is not to blame. */
  readonly wasCutWaiting: boolean;
}

/** Memory that can also be taken only where it is to be had at once. */
export interface ProcessHolding extends Holding {
  tryGrow(sizeBytes: number): boolean;
  shrink(sizeBytes: number): void;
}

interface Holder {
  readonly share: MemoryShare;
  readonly kind: 'whole' | 'stream';
  bytes: number;
  isReleased: boolean;
}

interface Request {
  readonly holder: Holder;
  readonly bytes: number;
  /** It was granted, or its holder wants it no more. */
  readonly end: () => void;
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

  of(share: MemoryShare): RunMemory {
    const noteCut = () => {
      run.wasCutWaiting = true;
    };
    const run = { wasCutWaiting: false, hold: () => this.hold(share, 'whole', noteCut) };
    return run;
  }

  /**
   * Opens an account. `stream` is for what the parts of a streamed mail may take while it is read; what is not granted
   * goes to files. `noteCut` is called when the run was ended while the holder waited.
   */
  hold(share: MemoryShare, kind: Holder['kind'], noteCut?: () => void): ProcessHolding {
    const holder: Holder = { share, kind, bytes: 0, isReleased: false };
    return {
      // Once it was released it holds nothing more.
      grow: async (sizeBytes) => {
        if (!holder.isReleased) await this.#take(holder, sizeBytes, noteCut);
      },
      tryGrow: (sizeBytes) => !holder.isReleased && this.#tryTake(holder, sizeBytes),
      shrink: (sizeBytes) => this.#giveBack(holder, Math.min(sizeBytes, holder.bytes)),
      release: () => {
        holder.isReleased = true;
        const dropped = this.#waiting.filter((request) => request.holder === holder);
        this.#waiting = this.#waiting.filter((request) => request.holder !== holder);
        for (const { end } of dropped) end();
        this.#giveBack(holder, holder.bytes);
      },
    };
  }

  /**
   * Resolves when so many bytes may be held, or the holder was released; rejects with the signal's reason when it fires
   * before.
   */
  #take(holder: Holder, bytes: number, noteCut?: () => void): Promise<void> {
    const { signal } = holder.share;
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.#tryTake(holder, bytes)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        this.#waiting = this.#waiting.filter((other) => other !== request);
        noteCut?.();
        reject(signal.reason);
        this.#grant();
      };
      const end = () => {
        signal.removeEventListener('abort', giveUp);
        resolve();
      };
      const request: Request = { holder, bytes, end };
      signal.addEventListener('abort', giveUp, { once: true });
      this.#waiting.push(request);
      this.#grant();
    });
  }

  /** Whether so many bytes are to be had at once; nobody who waits is passed over. */
  #tryTake(holder: Holder, bytes: number): boolean {
    const isRoom =
      this.#waiting.length === 0 && this.#hasRoom(bytes) && this.#fullShareOf(holder, bytes) === undefined;
    if (isRoom) this.#add(holder, bytes);
    return isRoom;
  }

  #giveBack(holder: Holder, bytes: number): void {
    this.#add(holder, -bytes);
    this.#grant();
  }

  #add(holder: Holder, bytes: number): void {
    const { share, kind } = holder;
    holder.bytes += bytes;
    this.#usedBytes += bytes;
    if (kind === 'stream') this.#streamBytes += bytes;
    addTo(this.#byMailbox, share.mailbox, bytes);
    addTo(this.#byQueue, share.queueName, bytes);
  }

  /**
   * First come, first served. Those whose share is full are passed over, but not by others of that share: small ones
   * would keep it full, and a large one wait for ever.
   */
  #grant(): void {
    const full = new Set<string>();
    for (const next of this.#waiting) {
      const { holder, bytes } = next;
      const fullShare = this.#fullShareOf(holder, bytes);
      if (fullShare !== undefined) full.add(fullShare);
      if (sharesOf(holder).some((share) => full.has(share))) continue;
      if (!this.#hasRoom(bytes)) return;
      this.#waiting = this.#waiting.filter((other) => other !== next);
      this.#add(holder, bytes);
      next.end();
      // With one fewer waiting, those that were passed over may have more.
      this.#grant();
      return;
    }
  }

  #hasRoom(bytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + bytes <= this.#totalBytes;
  }

  /** Which of its shares has no room for so many bytes more; undefined where all have. */
  #fullShareOf(holder: Holder, bytes: number): string | undefined {
    const { mailbox, queueName } = holder.share;
    const [ofMailbox, ofQueue, ofStreams] = sharesOf(holder);
    const exceeds = (heldBytes: number, part: number) =>
      heldBytes > 0 && heldBytes + bytes > this.#totalBytes * part;
    const othersWait = (is: (waiting: MemoryShare) => boolean) =>
      this.#waiting.some((request) => is(request.holder.share));
    if (ofStreams !== undefined && exceeds(this.#streamBytes, 1 / 2)) return ofStreams;
    const queueBytes = this.#byQueue.get(queueName) ?? 0;
    if (exceeds(queueBytes, 3 / 4)) return ofQueue;
    if (exceeds(queueBytes, 1 / 2) && othersWait((other) => other.queueName !== queueName)) return ofQueue;
    const mailboxBytes = this.#byMailbox.get(mailbox) ?? 0;
    const isOverQuarter = exceeds(mailboxBytes, 1 / 4) && othersWait((other) => other.mailbox !== mailbox);
    return isOverQuarter ? ofMailbox : undefined;
  }
}

/** What a turn stands for: the most text that is held of one mail. */
const turnBytes = 16 * 1_048_576;
const turns = 2;

/**
 * Has few streamed mails of a process hold a large text at a time: the text comes on top of what a stream holds. A
 * turn is shared as memory is, and waited for no longer than `mostWaitMs`: those who wait hold memory of streams,
 * which whoever has the turn may need, and a server that drips must not stop the others for good.
 */
export class TextTurns {
  readonly #memory = new ProcessMemory(turns * turnBytes);
  readonly #mostWaitMs: number;

  constructor(mostWaitMs: number) {
    this.#mostWaitMs = mostWaitMs;
  }

  /** Gives a turn that is to be had at once as it is, else a promise, which rejects with the signal's reason. */
  take(share: MemoryShare): Holding | Promise<Holding> {
    const turn = this.#memory.hold(share, 'whole');
    return turn.tryGrow(turnBytes) ? turn : this.#wait(share);
  }

  async #wait(share: MemoryShare): Promise<Holding> {
    const signal = AbortSignal.any([share.signal, AbortSignal.timeout(this.#mostWaitMs)]);
    const turn = this.#memory.hold({ ...share, signal }, 'whole');
    await turn.grow(turnBytes).catch(() => share.signal.throwIfAborted());
    return turn;
  }
}

/** The names of the shares that a holder has a part of: its mailbox's, its queue's, and that of streams. */
function sharesOf({ share, kind }: Holder): readonly string[] {
  const named = [`mailbox ${share.mailbox}`, `queue ${share.queueName}`];
  return kind === 'stream' ? [...named, 'streams'] : named;
}

function addTo(counts: Map<string, number>, key: string, bytes: number): void {
  const sum = (counts.get(key) ?? 0) + bytes;
  if (sum > 0) counts.set(key, sum);
  else counts.delete(key);
}

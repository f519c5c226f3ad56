import type { Fence } from '../destination/destination.ts';
import { Failure } from '../failure/failure.ts';
import type { Lease } from '../lease/lease.ts';

export interface RunLimitsOptions {
  readonly lease: Lease;
  /** Fires when the process is told to go. */
  readonly told: AbortSignal;
  /** POLL_TIME_BUDGET_SECONDS. */
  readonly budgetMs: number;
  /** Until when the mailbox is the run's, counted from its first fetch; undefined with the process lock. */
  readonly ownTimeEndsAt: (firstFetchAt: Date) => Promise<Date | undefined>;
}

/** What is under way when the process is told to go has so long; the host gives about five seconds in all. */
const toldGraceMs = 2_000;
/** What is under way when the lease is lost: nothing of it may be sent any more. */
const lostGraceMs = 5_000;

/**
 * In times of the budget: how long a run may last after its first fetch, how long it may take to get there, and how
 * long it may last in all, which is below the host's functionTimeout (`host.json`).
 */
const cutAfter = { fetching: 2, opening: 2, all: 2.4 } as const;

/** The process ends; the next run goes on. */
export class ToldToGo extends Failure {
  constructor() {
    super('internal', 'The poll was cut since the process was told to go; the next one goes on.');
  }
}

/**
 * What bounds one run: when it takes no more mail (`mayTakeMore`), when nothing more of it may go to the wire
 * (`mayWrite`), and when it ends, whatever is under way (`signal`, which fires with a `Failure`).
 */
export class RunLimits implements Fence {
  readonly #options: RunLimitsOptions;
  readonly #ending = new AbortController();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #onTold = () => this.#endIn(toldGraceMs, new ToldToGo());
  readonly #onLost = () => this.#endIn(lostGraceMs, leaseLost());
  readonly #startedAtMs = performance.now();
  readonly #opening: NodeJS.Timeout;
  #takeUntilMs = Number.POSITIVE_INFINITY;
  #hasTakenMail = false;
  #hasBegun = false;
  #lookUntilMs: number | undefined;
  #hasStoppedLooking = false;

  constructor(options: RunLimitsOptions) {
    this.#options = options;
    const { budgetMs } = options;
    this.#opening = this.#endIn(cutAfter.opening * budgetMs, tooLong('It got to no mail', budgetMs));
    if (options.told.aborted) this.#onTold();
    options.told.addEventListener('abort', this.#onTold, { once: true });
    options.lease.lost.addEventListener('abort', this.#onLost, { once: true });
  }

  /** Fires when the run is to end, whatever is under way. */
  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  /** Why the run is fenced off or was cut; undefined while nothing is wrong. */
  get failure(): Failure | undefined {
    if (!this.#options.lease.isHeld()) return leaseLost();
    const { signal } = this.#ending;
    return signal.aborted && signal.reason instanceof Failure ? signal.reason : undefined;
  }

  /** The run's times count from here, its first fetch. */
  async beginFetching(): Promise<void> {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    const now = new Date();
    const startedAtMs = performance.now();
    const { budgetMs, ownTimeEndsAt } = this.#options;
    clearTimeout(this.#opening);
    const leftMs = cutAfter.all * budgetMs - (startedAtMs - this.#startedAtMs);
    const cutInMs = Math.min(cutAfter.fetching * budgetMs, leftMs);
    this.#endIn(cutInMs, tooLong('It was still at work', budgetMs));
    const endsAt = await ownTimeEndsAt(now);
    const ownMs = endsAt === undefined ? budgetMs : endsAt.getTime() - now.getTime();
    this.#takeUntilMs = startedAtMs + Math.min(budgetMs, ownMs, cutInMs / 2);
  }

  /** A mail is being tried: from now on the run may end for time. */
  noteMail(): void {
    this.#hasTakenMail = true;
  }

  /** Whether more headers may be looked at for candidates: within the budget, counted from the first look. */
  mayLook(): boolean {
    const { budgetMs } = this.#options;
    const nowMs = performance.now();
    const leftMs = cutAfter.opening * budgetMs - (nowMs - this.#startedAtMs);
    this.#lookUntilMs ??= nowMs + Math.min(budgetMs, leftMs / 2);
    this.#hasStoppedLooking ||= nowMs >= this.#lookUntilMs || !this.mayTakeMore();
    return !this.#hasStoppedLooking;
  }

  /** Not all headers were looked at: what was found is brought, and the next run goes on. */
  get hasStoppedLooking(): boolean {
    return this.#hasStoppedLooking;
  }

  /** Whether the run's time is over, so that the next one is to go on. */
  get isTimeOver(): boolean {
    return this.#options.told.aborted || (this.#hasTakenMail && performance.now() >= this.#takeUntilMs);
  }

  get isTold(): boolean {
    return this.#options.told.aborted;
  }

  mayTakeMore(): boolean {
    return this.mayWrite() && !this.isTimeOver;
  }

  mayWrite(): boolean {
    return this.#options.lease.isHeld() && !this.#ending.signal.aborted;
  }

  /** Nothing of the run is under way any more. */
  end(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#options.told.removeEventListener('abort', this.#onTold);
    this.#options.lease.lost.removeEventListener('abort', this.#onLost);
  }

  #endIn(ms: number, because: Failure): NodeJS.Timeout {
    const timer = setTimeout(() => this.#ending.abort(because), ms).unref();
    this.#timers.push(timer);
    return timer;
  }
}

function tooLong(what: string, budgetMs: number): Failure {
  return new Failure(
    'timeout',
    `The poll was ended since it took more than twice POLL_TIME_BUDGET_SECONDS (${Math.round(budgetMs / 500)} s). ${what} by then; the next run goes on.`,
  );
}

/** Why a run ends whose lease another one may have. */
export function leaseLost(): Failure {
  return new Failure(
    'storage',
    'The lease of this poll could not be renewed, so it took and sent no further mail; the next one goes on. Check the storage account.',
  );
}

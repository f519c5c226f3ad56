import type { Claims } from '../claim/claims.ts';
import { Failure, toFailure } from '../failure/failure.ts';
import type { MailBuffers } from '../mailbox/mailBuffers.ts';
import type { MailboxSession, MailRef } from '../mailbox/mailbox.ts';
import { traced } from '../telemetry/telemetry.ts';
import { drainSession, type SessionLimits, type SessionOutcome } from './drainSession.ts';
import type { Tally } from './mailFlow.ts';
import type { MemoryBudget } from './memoryBudget.ts';
import type { OpenOutlet, OpenRunClaims, Outlet, Run, RunResult } from './run.ts';

export interface DrainDependencies {
  readonly openSession: (run: Run) => Promise<MailboxSession>;
  readonly openOutlet: OpenOutlet;
  readonly openClaims: OpenRunClaims;
  readonly memory: MemoryBudget;
  /** Those that `openSession` reads mails into. */
  readonly buffers: Pick<MailBuffers, 'giveBack'>;
  readonly limits: SessionLimits;
  readonly warn: (sentence: string) => void;
}

/**
 * Brings every candidate of a mailbox to its queue and settles it, session after session. Never rejects:
 * what went wrong is in the result.
 */
export async function drainMailbox(run: Run, dependencies: DrainDependencies): Promise<RunResult> {
  const drain = new MailboxDrain(run, dependencies);
  let failure: Failure | undefined;
  let unfinished = false;
  try {
    for (let goesOn = true; goesOn; ) {
      const outcome = await drain.drainOnce();
      failure = outcome.failure;
      unfinished = outcome.stopped;
      goesOn = outcome.goesOn;
    }
  } catch (error) {
    failure = toFailure(error, 'polling the mailbox');
  }
  const endFailure = await drain.end();
  failure ??= endFailure ?? troubleOf(run);
  return { ...drain.tally, unfinished, ...(failure ? { failure } : {}) };
}

function troubleOf({ troubles }: Run): Failure | undefined {
  return troubles.sentence === undefined ? undefined : new Failure('mail', troubles.sentence);
}

const nothingToDo = { settled: [], passedOver: [], stopped: false, goesOn: false } as const;

/** What one run needs over all its sessions. The destination and the claims are opened at the first mail. */
class MailboxDrain {
  readonly tally: Tally = { mails: 0, messages: 0, bytes: 0 };
  readonly #run: Run;
  readonly #dependencies: DrainDependencies;
  readonly #claims: Claims;
  readonly #passedOver = new Set<string>();
  #outlet: Promise<Outlet> | undefined;
  #outletClosing: Promise<void> | undefined;
  /** Mails of the last session, whose claims are given up with the run's own. */
  #settled: readonly MailRef[] = [];

  constructor(run: Run, dependencies: DrainDependencies) {
    this.#run = run;
    this.#dependencies = dependencies;
    this.#claims = dependencies.openClaims(run);
  }

  /** One session, from login to logout. */
  async drainOnce(): Promise<SessionOutcome & { readonly goesOn: boolean }> {
    const { trace } = this.#run;
    const session = await traced(trace, 'connect', () => this.#dependencies.openSession(this.#run));
    try {
      const limit = this.#sessionMails() + this.#passedOver.size;
      // One more, which tells whether another session is needed.
      const listed = await traced(trace, 'list', () => session.list(limit + 1));
      const isComplete = listed.length <= limit;
      const candidates = listed.slice(0, limit).filter((mail) => this.#isWanted(mail));
      if (candidates.length === 0) return nothingToDo;

      const measuring = session.measure(candidates.slice(0, this.#dependencies.limits.measureMails));
      measuring.catch(() => undefined);
      const isFirst = this.#outlet === undefined;
      const outlet = this.#openOutlet(session.endpoint);
      if (isFirst) await this.#beginClaims(isComplete ? listed : undefined);
      // Whoever has the lease now may have settled mails on this list before this run's row was to be seen.
      if (isFirst && this.#run.lease.state !== 'held') return { ...nothingToDo, goesOn: true };

      const outcome = await drainSession(candidates, measuring, this.#dependencies.limits, {
        ...this.#dependencies,
        run: this.#run,
        session,
        claims: this.#claims,
        outlet,
        tally: this.tally,
        // It takes round trips, as the end of the session does.
        onPushed: (stopped) => {
          if (stopped || isComplete) this.#closeOutlet();
        },
      });
      for (const mail of outcome.passedOver) this.#passedOver.add(mail.key);
      const goesOn = !outcome.stopped && !isComplete && outcome.settled.length > 0;
      if (goesOn) await this.#claims.drop(outcome.settled);
      else this.#settled = outcome.settled;
      return { ...outcome, goesOn };
    } finally {
      await session.close();
    }
  }

  /** Gives up the claims and closes the destination; tells what went wrong with it. */
  async end(): Promise<Failure | undefined> {
    const ends = await Promise.allSettled([this.#claims.end(this.#settled), this.#closeOutlet()]);
    const failed = ends.find((end) => end.status === 'rejected');
    return failed && toFailure(failed.reason, 'ending the run');
  }

  #openOutlet(endpoint: string): Promise<Outlet> {
    if (this.#outlet) return this.#outlet;
    const outlet = this.#dependencies.openOutlet(this.#run.config, endpoint, this.#run.trace);
    outlet.catch(() => undefined);
    this.#outlet = outlet;
    return outlet;
  }

  async #beginClaims(completeList: readonly MailRef[] | undefined): Promise<void> {
    await this.#claims.begin(completeList);
    this.#run.heartbeat.add(() => this.#claims.beat());
  }

  #closeOutlet(): Promise<void> {
    this.#outletClosing ??= this.#endOutlet();
    this.#outletClosing.catch(() => undefined);
    return this.#outletClosing;
  }

  async #endOutlet(): Promise<void> {
    // Where it could not be opened there is nothing to close, and the run has failed with the reason already.
    const outlet = await this.#outlet?.catch(() => undefined);
    await outlet?.close();
  }

  #isWanted(mail: MailRef): boolean {
    return !this.#passedOver.has(mail.key) && !this.#run.troubles.isLeft(mail);
  }

  #sessionMails(): number {
    const { imapSessionMails, pop3SessionMails } = this.#dependencies.limits;
    return this.#run.config.protocol === 'imap' ? imapSessionMails : pop3SessionMails;
  }
}

import type { Claims } from '../claim/claims.ts';
import { Failure, toFailure } from '../failure/failure.ts';
import type { MailSource } from '../mail/mail.ts';
import type { MailBuffers } from '../mailbox/mailBuffers.ts';
import type { MailboxSession, MailRef, MeasuredMail } from '../mailbox/mailbox.ts';
import { traced } from '../telemetry/telemetry.ts';
import { GroupCommit } from './groupCommit.ts';
import type { MemoryBudget } from './memoryBudget.ts';
import type { MailOutcome, Outlet, PreparedMail, Run } from './run.ts';

/** What a run has done so far; it only grows. */
export interface Tally {
  mails: number;
  messages: number;
  bytes: number;
}

/** What one mail costs beside its bytes while it is on its way: objects, promises, properties. */
const mailOverheadBytes = 16_384;
/** What is held of a mail that is streamed: parts that fit a message, a few blocks of those that don't. */
const streamBytes = 12 * 1_048_576;
const maxGroup = 500;
/** A run that dies leaves so much of what was pushed unrecorded; a repeat of it is dropped by its messageId. */
const recordEveryMs = 100;
/** Mails are settled when so many wait for it, or have waited so long: each time costs the wire a pause. */
const settleMails = 500;
const settleEveryMs = 5_000;

export interface FlowOptions {
  readonly run: Run;
  readonly session: MailboxSession;
  readonly claims: Claims;
  /** Being opened; awaited before the first mail is fetched. */
  readonly outlet: Promise<Outlet>;
  readonly memory: MemoryBudget;
  readonly buffers: Pick<MailBuffers, 'giveBack'>;
  readonly tally: Tally;
  /** One line for a mail that needs a person's eye; bounded by whoever logs it. */
  readonly warn: (sentence: string) => void;
}

/**
 * The way of one session's mails from the fetch to the settle: take apart, push, record as delivered,
 * settle. Many are on their way at once; the memory budget holds the fetch back.
 */
export class MailFlow {
  readonly #options: FlowOptions;
  readonly #onTheirWay = new Set<Promise<void>>();
  readonly #delivered: GroupCommit<MailRef>;
  readonly #settled: MailRef[] = [];
  readonly #passedOver: MailRef[] = [];
  #unsettled: MailRef[] = [];
  #settling: Promise<void> = Promise.resolve();
  #settledAtMs = performance.now();
  #failure: Failure | undefined;

  constructor(options: FlowOptions) {
    this.#options = options;
    this.#delivered = new GroupCommit(maxGroup, recordEveryMs, (mails) =>
      options.claims.markDelivered(mails),
    );
  }

  /** The first thing that went wrong; the run takes no further mail after it. */
  get failure(): Failure | undefined {
    return this.#failure;
  }

  /** Mails that are settled on the server, or were gone from it. */
  get settled(): readonly MailRef[] {
    return this.#settled;
  }

  /** Mails that this run leaves where they are. */
  get passedOver(): readonly MailRef[] {
    return this.#passedOver;
  }

  /** Whether the run may pick up another mail. */
  mayTakeMore(): boolean {
    const { run } = this.#options;
    if (run.lease.state === 'lost' || run.heartbeat.isFailing) {
      this.fail(
        new Failure(
          'storage',
          'The lease or heartbeat of this run could not be renewed, so it took no further mail; the next run goes on. Check the storage account.',
        ),
      );
    }
    return this.#failure === undefined && !run.isOverBudget();
  }

  fail(failure: Failure): void {
    this.#failure ??= failure;
  }

  /** Sends a mail on its way; resolves when the next one may be fetched. */
  async takeWhole(mail: MeasuredMail, source: Buffer): Promise<void> {
    const { memory } = this.#options;
    const outlet = await this.#options.outlet;
    const release = await memory.acquire(source.length + mailOverheadBytes);
    const whole: MailSource = { sizeBytes: source.length, open: async () => once(source) };
    const preparing = outlet.prepare(mail, whole).then((prepared) => {
      if (!prepared.sharesMemory(source)) this.#options.buffers.giveBack(source);
      return prepared;
    });
    this.#send(
      mail,
      preparing.catch((error: unknown) => this.#cannotPrepare(mail, error)),
      release,
    );
  }

  /** Reads a large mail to its end, then sends it on its way. Rejects when the session fails. */
  async takeStream(mail: MeasuredMail): Promise<void> {
    const { session, memory } = this.#options;
    const outlet = await this.#options.outlet;
    const release = await memory.acquire(streamBytes);
    try {
      const opened = await session.openStream(mail);
      if (opened.kind !== 'mail') {
        release();
        if (opened.kind === 'gone') this.takeGone(mail);
        else this.takeUnavailable(mail, opened.sentence);
        return;
      }
      let first: AsyncIterable<Buffer> | undefined = opened.stream;
      const source: MailSource = {
        sizeBytes: mail.sizeBytes,
        open: async () => {
          const stream = first ?? (await reopen(session, mail));
          first = undefined;
          return stream;
        },
      };
      const prepared = await outlet.prepare(mail, source).catch((error: unknown) => {
        if (error instanceof Failure && error.reason !== 'storage') throw error;
        return this.#cannotPrepare(mail, error);
      });
      this.#send(mail, Promise.resolve(prepared), release);
    } catch (error) {
      release();
      throw error;
    }
  }

  /** A mail that was delivered before, by this mailbox's dead or overlapping run. */
  takeDelivered(mail: MailRef): void {
    this.#toBeSettled(mail);
  }

  /** Settles the mail if the undelivered store has it already; gives whether that is so. */
  async takeStored(mail: MailRef): Promise<boolean> {
    const outlet = await this.#options.outlet;
    const isStored = await outlet.isStored(mail);
    if (isStored) this.#track(this.#recordAndSettle(mail));
    return isStored;
  }

  /** A mail that another run or a person dealt with since it was listed; or so the server says. */
  takeGone(mail: MailRef): void {
    this.#options.run.troubles.addGone(mail);
    this.#settled.push(mail);
    // A server that lists it again in this run's next session would be asked again and again.
    this.#passedOver.push(mail);
  }

  /** A mail that another live run has claimed. */
  takeClaimed(mail: MailRef): void {
    this.#passedOver.push(mail);
  }

  takeUnavailable(mail: MailRef, sentence: string): void {
    this.#options.run.troubles.add(mail, sentence);
    this.#warn(mail, sentence);
    this.#track(this.#leave(mail));
  }

  /** Resolves when no mail is on its way any more. */
  async finish(): Promise<void> {
    this.#delivered.hurry();
    while (this.#onTheirWay.size > 0) await Promise.all(this.#onTheirWay);
  }

  /** Settles what is left and ends the session; gives whether what was settled holds for good. */
  async close(): Promise<boolean> {
    await this.#settling;
    const settling = this.#settle(this.#takeUnsettled());
    const [confirmed] = await Promise.all([this.#options.session.close(), settling]);
    return confirmed;
  }

  #send(mail: MeasuredMail, preparing: Promise<PreparedMail | undefined>, release: () => void): void {
    // Its memory is free once it is pushed: the settle may have to wait for the fetch, which waits for memory.
    const pushing = preparing.then((prepared) => this.#push(mail, prepared)).finally(release);
    this.#track(pushing.then((outcome) => this.#afterPush(mail, outcome)));
  }

  async #push(mail: MailRef, prepared: PreparedMail | undefined): Promise<MailOutcome | undefined> {
    if (prepared?.warning !== undefined) this.#warn(mail, prepared.warning);
    return await prepared?.push();
  }

  async #afterPush(mail: MeasuredMail, outcome: MailOutcome | undefined): Promise<void> {
    if (!outcome) return await this.#leave(mail);
    if (outcome.kind !== 'pushed') {
      this.fail(outcome.failure);
      const fate = outcome.kind === 'stored' ? 'is kept to be sent later' : 'stays on the server';
      this.#warn(mail, `it could not be sent and ${fate}: ${outcome.failure.message}`);
    }
    if (outcome.kind === 'left') return await this.#leave(mail);
    const { tally } = this.#options;
    tally.mails += 1;
    tally.messages += outcome.messages;
    tally.bytes += mail.sizeBytes;
    await this.#recordAndSettle(mail);
  }

  async #recordAndSettle(mail: MailRef): Promise<void> {
    // A mail whose delivery can't be recorded is settled all the same: that is what keeps it from going twice.
    await this.#delivered.add(mail).catch((error: unknown) => this.#failWith(error, 'recording deliveries'));
    this.#toBeSettled(mail);
  }

  /** A part that could not be kept is storage's fault; anything else is this mail's, and no other waits for it. */
  #cannotPrepare(mail: MailRef, error: unknown): undefined {
    const failure = toFailure(error, 'taking a mail apart');
    this.#warn(mail, failure.message);
    if (failure.reason === 'storage') this.fail(failure);
    else this.#options.run.troubles.add(mail, failure.message);
  }

  #toBeSettled(mail: MailRef): void {
    this.#unsettled.push(mail);
    const waitedMs = performance.now() - this.#settledAtMs;
    if (this.#unsettled.length >= settleMails || waitedMs >= settleEveryMs) this.#settleNow();
  }

  #settleNow(): void {
    const mails = this.#takeUnsettled();
    this.#settling = this.#settling.then(() => this.#settle(mails));
  }

  #takeUnsettled(): readonly MailRef[] {
    const mails = this.#unsettled;
    this.#unsettled = [];
    this.#settledAtMs = performance.now();
    return mails;
  }

  async #settle(mails: readonly MailRef[]): Promise<void> {
    const { session, run } = this.#options;
    if (mails.length === 0) return;
    try {
      await traced(run.trace, 'settle', () => session.settle(mails));
      this.#settled.push(...mails);
    } catch (error) {
      this.#failWith(error, 'settling mail');
    }
  }

  async #leave(mail: MailRef): Promise<void> {
    this.#passedOver.push(mail);
    await this.#options.claims
      .free([mail])
      .catch((error: unknown) => this.#failWith(error, 'freeing claims'));
  }

  #failWith(error: unknown, doing: string): void {
    this.fail(toFailure(error, doing));
  }

  #track(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => this.#failWith(error, 'delivering mail'))
      .finally(() => this.#onTheirWay.delete(tracked));
    this.#onTheirWay.add(tracked);
  }

  #warn(mail: MailRef, sentence: string): void {
    this.#options.warn(`Mail ${mail.id}: ${sentence}`);
  }
}

async function* once(source: Buffer): AsyncIterable<Buffer> {
  yield source;
}

async function reopen(session: MailboxSession, mail: MeasuredMail): Promise<AsyncIterable<Buffer>> {
  const opened = await session.openStream(mail);
  if (opened.kind === 'mail') return opened.stream;
  const why = opened.kind === 'gone' ? 'it was removed while it was read' : opened.sentence;
  throw new Failure('mail', `Mail ${mail.id} could not be read a second time: ${why}`);
}

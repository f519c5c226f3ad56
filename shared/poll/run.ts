import { FencedOff } from '../destination/destination.ts';
import { Failure, toFailure } from '../failure/failure.ts';
import type { MailFate } from '../journal/lines.ts';
import { readEnvelopeStart } from '../mail/envelope.ts';
import { identityWindowBytes, mailFingerprint } from '../mail/identity.ts';
import type { MailEnvelope } from '../mail/mail.ts';
import type { MailboxSession, MailRef } from '../mailbox/mailbox.ts';
import { identifyMail, leftOutOf, type MailIdentity, shortHash } from '../message/identity.ts';
import { interchangeIdOf } from '../message/message.ts';
import { traced } from '../telemetry/telemetry.ts';
import { unlessAborted } from '../wait/deadline.ts';
import type { Way } from './carry.ts';
import { envelopeLine, Flight, hasLine, Tally } from './flight.ts';
import type { Known, KnownMails } from './knownMails.ts';
import { ToldToGo } from './runLimits.ts';
import type { Run } from './runStart.ts';
import { isSuspicious } from './tries.ts';

/** What a run has done, whether it failed in the end or not. */
export interface RunResult {
  readonly mails: number;
  readonly messages: number;
  readonly bytes: number;
  readonly failure?: Failure;
  /** Mail was left for the next run, which is due at the next minute. */
  readonly unfinished: boolean;
  /** The hash of the mailbox, where nothing is left to settle in it; undefined where something is, or may be. */
  readonly cleanMailbox?: string;
  readonly lookedAt?: string;
}

/** Candidates that are measured and fetched together; over POP3 in one session, which deletes at its end. */
const pageMails = 2_000;
/** Half-settled mails that are settled together: of very many, a run gets at least these out of the way. */
const halfSettledAtOnce = 1_000;
/** Of those, whose beginnings are in memory together. */
const headsAtOnce = 200;
/** Mails that were left long ago, each tried again in a session of its own. */
const maxAlone = 3;

/**
 * Everything that one run does between its lease and its outcome: brings every candidate of a mailbox to its queue
 * and settles it, session after session. Never rejects: what went wrong is in the result.
 */
export async function runMailbox(run: Run): Promise<RunResult> {
  const drain = new Drain(run);
  try {
    do await drain.inSession();
    while (drain.hasMore && drain.mayTakeMore());
    for (const key of [...drain.alone].slice(0, maxAlone)) {
      if (!drain.mayTakeMore() || run.limits.hasStoppedLooking) break;
      run.tries.noteTried(key);
      await drain.inSession(key);
    }
  } catch (error) {
    drain.tally.fail(toFailure(error, 'polling the mailbox'));
  }
  return drain.result();
}

/** A mail that an earlier run brought away; with its envelope where it has no line in the journal yet. */
interface HalfSettled {
  readonly mail: MailRef;
  readonly identity: MailIdentity;
  readonly as: Known;
  readonly envelope: MailEnvelope | undefined;
}

class Drain {
  readonly tally = new Tally();
  readonly #run: Run;
  readonly #passedOver = new Set<string>();
  /** Keys of mails that this run has settled. */
  readonly #settledKeys = new Set<string>();
  /** The keys of mails that are to be tried in a session of their own. */
  readonly alone = new Set<string>();
  #mailbox: { readonly id: string; readonly known: KnownMails; isRead: boolean } | undefined;
  /** Whether the mailbox has candidates that only another session can reach. */
  hasMore = false;
  /** What comes of mails that an earlier run brought away: what fails over them need not do so over new ones. */
  readonly #known = new Tally();
  #lookedAt: string | undefined;

  constructor(run: Run) {
    this.#run = run;
    this.#lookedAt = run.lookedAt;
  }

  mayTakeMore(): boolean {
    const { failure } = this.#known;
    if (failure?.reason !== 'busy' && !isSuspicious(failure)) this.tally.fail(failure);
    this.tally.fail(this.#run.limits.failure);
    return this.tally.failure === undefined && this.#run.limits.mayTakeMore();
  }

  result(): RunResult {
    const { limits, tries, settled } = this.#run;
    const { tally } = this;
    tally.fail(limits.failure);
    tally.fail(this.#known.failure);
    const sentence = tries.sentence ?? settled.sentence;
    if (sentence !== undefined) tally.fail(new Failure('mail', sentence));
    // What a run that was told to go could not bring to its end is the next one's.
    const isOfGoing = tally.failure instanceof ToldToGo || tally.failure instanceof FencedOff;
    const failure = limits.isTold && isOfGoing ? undefined : tally.failure;
    const isClean = this.#mailbox?.known.isEmpty === true;
    return {
      mails: tally.mails + this.#known.mails,
      messages: tally.messages + this.#known.messages,
      bytes: tally.bytes + this.#known.bytes,
      unfinished: limits.isTimeOver || limits.hasStoppedLooking || this.hasMore,
      ...(failure ? { failure } : {}),
      ...(isClean && this.#mailbox ? { cleanMailbox: shortHash(this.#mailbox.id) } : {}),
      ...(this.#lookedAt === undefined ? {} : { lookedAt: this.#lookedAt }),
    };
  }

  /** One session, from login to logout, with all candidates that it can reach, or with the one of this key. */
  async inSession(onlyKey?: string): Promise<void> {
    const { trace, openSession, limits, isBesideAnother } = this.#run;
    const mayLook = () => limits.mayLook();
    const opening = traced(trace, 'connect', () => openSession(this.#lookedAt));
    const session = await this.#untilCut(opening).catch((error: unknown) => {
      // A session that comes later is nobody's.
      opening.then((late) => late.close()).catch(() => undefined);
      throw error;
    });
    let flight: Flight | undefined;
    const done = this.#settledKeys.size + this.#passedOver.size;
    try {
      const { known, wasRead } = await this.#untilCut(this.#openMailbox(session));
      const keys = new Set(wasRead ? await this.#finishHalfSettled(session, known) : []);
      // What can't be moved must not keep the others from their queue: another session goes on with them.
      this.hasMore = wasRead && this.#known.failure !== undefined;
      if (this.hasMore) return;
      // Settled before any new ones, over which the session may break, and with POP3 all that it deletes be kept.
      const broughtAway = wasRead ? known.keyHashes() : new Set<string>();
      for (;;) {
        // Those that are passed over stand at the front and must not fill the page.
        const most = onlyKey === undefined ? pageMails + this.#passedOver.size : Number.MAX_SAFE_INTEGER;
        const listed = await traced(trace, 'list', () => session.list(most, mayLook));
        const leftOut = this.#tellOfLeftOut(session);
        if (wasRead) for (const { key } of listed) keys.add(shortHash(key));
        if (listed.length === 0 && leftOut === 0) break;
        const all = listed.filter((mail) => (onlyKey ? mail.key === onlyKey : this.#isWanted(mail)));
        if (all.length === 0) continue;
        const first = all.filter(({ key }) => broughtAway.has(shortHash(key)));
        this.hasMore = first.length > 0 && first.length < all.length;
        const [wanted, tally] = this.hasMore ? [first, this.#known] : [all, this.tally];
        flight = await this.#bringAll(session, wanted, known, tally, flight);
        if (this.hasMore || !this.mayTakeMore()) return;
      }
      // Only a complete list tells what is gone, and none while another run marks mails.
      const isComplete = !session.hasMore && !limits.hasStoppedLooking;
      if (!onlyKey && isComplete) this.#run.tries.noteAllListed();
      if (wasRead && isComplete && !isBesideAnother) await this.#untilCut(known.keepOnly(keys));
    } finally {
      // Those, too, that were marked before the list failed.
      this.#tellOfLeftOut(session);
      await (flight ? flight.land() : session.close());
      if (session.leftRead !== undefined) this.#run.warn(session.leftRead.message);
      this.tally.fail(session.leftRead);
      this.#lookedAt = session.lookedAt ?? this.#lookedAt;
    }
    // The next list reaches past those that are passed over.
    const hasProgressed = this.#settledKeys.size + this.#passedOver.size > done;
    if (!onlyKey) this.hasMore = session.hasMore && hasProgressed;
  }

  /** Mails that the filters leave out, and that were marked as read; gives how many. */
  #tellOfLeftOut(session: MailboxSession): number {
    const leftOut = session.takeLeftOut();
    for (const { mail, header } of leftOut) {
      const identity = identifyMail(session.mailboxId, mail.key, mailFingerprint(header));
      const fate = { outcome: 'left-out', reason: 'filters' } as const;
      this.#tellByHead(identity, readEnvelopeStart(header), fate, new Date());
    }
    return leftOut.length;
  }

  /** A line for a mail that is not fetched whole. */
  #tellByHead(identity: MailIdentity, envelope: MailEnvelope, fate: MailFate, at: Date): void {
    const { journal, queueName, config } = this.#run;
    const { customer, connection } = config;
    journal.addMail({
      ...fate,
      ...{ at, queueName, sizeBytes: 0, parts: [] },
      interchangeId: interchangeIdOf({ customer, connection, identity }),
      ...envelopeLine(envelope),
    });
  }

  async #openMailbox(session: MailboxSession): Promise<{ known: KnownMails; wasRead: boolean }> {
    const { openKnown, cleanMailbox, isBesideAnother } = this.#run;
    const id = session.mailboxId;
    this.#run.tries.inMailbox(id);
    if (this.#mailbox?.id === id) return { known: this.#mailbox.known, wasRead: false };
    const known = openKnown(id);
    const wasRead = cleanMailbox !== shortHash(id);
    if (wasRead) await known.read();
    if (isBesideAnother) known.noteDoubt();
    this.#mailbox = { id, known, isRead: wasRead };
    return { known, wasRead };
  }

  /**
   * What an earlier run brought away and only flagged, or marked, is brought to its end; that it is the same mail
   * its own fields say. Gives the hashes of the keys of all that is half settled.
   */
  async #finishHalfSettled(session: MailboxSession, known: KnownMails): Promise<readonly string[]> {
    if (known.isEmpty) return [];
    const hashes = known.keyHashes();
    const half = await session.listHalfSettled();
    const ours = half.filter(({ key }) => hashes.has(shortHash(key)));
    for (let from = 0; from < ours.length && !this.#known.failure; from += halfSettledAtOnce) {
      await this.#settleKnown(session, known, ours.slice(from, from + halfSettledAtOnce));
    }
    return ours.map(({ key }) => shortHash(key));
  }

  async #settleKnown(session: MailboxSession, known: KnownMails, ours: readonly MailRef[]): Promise<void> {
    const found: HalfSettled[] = [];
    for (let from = 0; from < ours.length; from += headsAtOnce) {
      const some = ours.slice(from, from + headsAtOnce);
      for (const [mail, head] of await session.readHeads(some, identityWindowBytes)) {
        const own = identifyMail(session.mailboxId, mail.key, mailFingerprint(head));
        const identity = known.find(own) ? own : leftOutOf(own);
        const as = known.find(identity);
        if (as === undefined) continue;
        // By which rule one was left out its run alone could tell.
        const isTold = identity !== own || hasLine(as, this.#run.journaledSince);
        const envelope = isTold ? undefined : readEnvelopeStart(head);
        found.push({ mail, identity, as, envelope });
      }
    }
    if (found.length === 0) return;
    const mails = found.map(({ mail }) => mail);
    const settling = traced(this.#run.trace, 'settle', () => session.settle(mails));
    const stay = await settling.catch((error: unknown) => {
      this.#known.fail(toFailure(error, 'settling mail'));
      return mails;
    });
    const settled = found.filter(({ mail }) => !stay.includes(mail));
    for (const { identity, envelope, as } of settled) {
      if (envelope === undefined) continue;
      const outcome = as.kind === 'stored' ? 'undelivered' : 'delivered';
      this.#tellByHead(identity, envelope, { outcome }, as.at);
    }
    await this.#untilCut(known.forget(settled.map(({ identity }) => identity.id)));
  }

  /** Fetches these mails and sends them on their way. */
  async #bringAll(
    session: MailboxSession,
    wanted: readonly MailRef[],
    known: KnownMails,
    tally: Tally,
    before: Flight | undefined,
  ): Promise<Flight> {
    const { begin, limits, trace, tries, memory } = this.#run;
    const measuring = session.measure(wanted);
    measuring.catch(() => undefined);
    const [way, { isAfterAnother }] = await this.#untilCut(
      Promise.all([before?.way ?? this.#openWay(session, known), begin()]),
    );
    if (isAfterAnother && this.#mailbox?.isRead === false) {
      await this.#untilCut(known.read());
      this.#mailbox.isRead = true;
    }
    const keys = { passedOver: this.#passedOver, settledKeys: this.#settledKeys };
    const flight = before ?? new Flight({ session, way, tally, ...keys });
    await limits.beginFetching();
    const mails = await measuring;
    if (!this.mayTakeMore()) return flight;
    const times = mails.flatMap(({ receivedAt }) => receivedAt ?? []);
    const [oldest] = times.sort((one, other) => one.getTime() - other.getTime());
    if (oldest) trace.pickUp(oldest);
    const unanswered = new Set(mails);
    try {
      await traced(trace, 'fetch', async () => {
        for await (const answer of session.fetch(mails, memory)) {
          unanswered.delete(answer.mail);
          tries.noteTried(answer.mail.key);
          limits.noteMail();
          await flight.take(answer);
          if (!this.mayTakeMore()) break;
        }
      });
    } catch (error) {
      // The session ended in the middle: that is counted against the mail that was being fetched.
      const [suspect] = unanswered;
      if (suspect && isSuspicious(error) && !memory.wasCutWaiting) tries.add(suspect, error.message);
      tally.fail(toFailure(error, 'fetching mails'));
    }
    return flight;
  }

  async #openWay({ endpoint, mailboxId }: MailboxSession, known: KnownMails): Promise<Way> {
    const { openSender, openPayloads } = this.#run;
    const [sender, payloads] = await Promise.all([openSender(), openPayloads()]);
    return { ...this.#run, endpoint, mailboxId, known, sender, payloads };
  }

  /** A session ends with the run by itself; what a vault, storage or a queue keeps waiting is left behind. */
  async #untilCut<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#run.limits;
    return await unlessAborted(work, signal, () => toFailure(signal.reason, 'polling the mailbox'));
  }

  #isWanted(mail: MailRef): boolean {
    // A server that lists one again keeps what it was told to delete: the next run's session tells it once more.
    if (this.#settledKeys.has(mail.key)) this.#passedOver.add(mail.key);
    if (this.#passedOver.has(mail.key)) return false;
    const choice = this.#run.tries.choose(mail);
    if (choice !== 'fetch') this.#passedOver.add(mail.key);
    if (choice === 'fetch alone') this.alone.add(mail.key);
    return choice === 'fetch';
  }
}

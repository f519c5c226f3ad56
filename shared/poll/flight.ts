import { Failure, toFailure } from '../failure/failure.ts';
import type { MailFate, MailLine } from '../journal/lines.ts';
import type { MailEnvelope } from '../mail/mail.ts';
import type { FetchAnswer, FetchedMail, MailboxSession, MailRef } from '../mailbox/mailbox.ts';
import { leftOutOf, type MailIdentity } from '../message/identity.ts';
import { traced } from '../telemetry/telemetry.ts';
import { type ApartMail, bring, type Fate, takeApart, type Way } from './carry.ts';

/** What a run has done so far; it only grows, and the first thing that went wrong stays. */
export class Tally {
  /** Mails that are safe elsewhere: pushed, or stored for the catastrophic retry. */
  mails = 0;
  /** Messages that Service Bus accepted. */
  messages = 0;
  /** Of those mails, as the server counts. */
  bytes = 0;
  #failure: Failure | undefined;

  /** After it the run takes no further mail. */
  get failure(): Failure | undefined {
    return this.#failure;
  }

  fail(failure: Failure | undefined): void {
    this.#failure ??= failure;
  }
}

export interface FlightOptions {
  readonly session: MailboxSession;
  readonly way: Way;
  readonly tally: Tally;
  /** Keys of mails that this run leaves where they are. */
  readonly passedOver: Set<string>;
  /** Gets the keys of the mails that it settles. */
  readonly settledKeys: Set<string>;
}

/** Mails are settled when so many wait for it, or have waited so long: each time costs the wire a pause. */
const settleMails = 500;
const settleEveryMs = 5_000;

interface Done {
  readonly mail: MailRef;
  readonly identity: MailIdentity;
  /** It was left out by a rule: it is settled, and not moved. */
  readonly isLeftOut: boolean;
}

/**
 * The mails of one session on their way: taken apart, pushed, recorded, settled. Many are at once; what holds the
 * fetch back is the memory that they take.
 */
export class Flight {
  readonly #options: FlightOptions;
  readonly #onTheirWay = new Set<Promise<void>>();
  #unsettled: Done[] = [];
  #settling: Promise<void> = Promise.resolve();
  #settledAtMs = performance.now();
  /** Settled, and not forgotten before the session has ended well. */
  readonly #unconfirmed: string[] = [];

  constructor(options: FlightOptions) {
    this.#options = options;
  }

  get way(): Way {
    return this.#options.way;
  }

  /** Sends a mail on its way; resolves when the next one may be fetched. */
  async take(answer: FetchAnswer): Promise<void> {
    const { way } = this.#options;
    if (answer.kind === 'mail') {
      const taking = takeApart(answer, way);
      this.#track(
        taking.then(async (taken) =>
          taken.kind === 'apart'
            ? await this.#end(taken, await bring(taken, way))
            : this.#leave(answer.mail, taken),
        ),
      );
      // A stream is read to its end before the server is asked for anything else.
      if (answer.whole === undefined) await taking;
    } else if (answer.kind === 'gone') {
      this.#noteGone(answer.mail);
    } else {
      const failure = new Failure('mail', answer.sentence);
      this.#leave(answer.mail, { kind: 'left', failure, atFault: 'mail' });
    }
  }

  /** Brings what is on its way to its end, settles it and ends the session. */
  async land(): Promise<void> {
    const { session, way, tally } = this.#options;
    way.known.hurry();
    while (this.#onTheirWay.size > 0) await Promise.all(this.#onTheirWay);
    await this.#settling;
    const settling = this.#settle(this.#takeUnsettled());
    const [isConfirmed] = await Promise.all([session.close(), settling]);
    const { signal } = way.limits;
    if (isConfirmed) await this.#forget(this.#unconfirmed);
    // A session that was cut with its run is no fault of the server.
    else if (signal.aborted) tally.fail(toFailure(signal.reason, 'ending the session'));
    else if (this.#unconfirmed.length > 0)
      tally.fail(unconfirmed(this.#unconfirmed.length, session.quitRefusal));
    await way.known.land();
  }

  async #end(apart: ApartMail, fate: Fate): Promise<void> {
    const { tally, way } = this.#options;
    const { split } = apart;
    const { mail } = apart.mail;
    if (split.warning !== undefined) this.#warn(mail, split.warning);
    if (fate.kind === 'left') return this.#leave(mail, fate);
    if (fate.kind === 'stored') {
      tally.fail(fate.failure);
      this.#warn(mail, `it could not be sent and is kept to be sent later: ${fate.failure.message}`);
    }
    if (fate.kind === 'delivered' || fate.kind === 'stored') {
      tally.mails += 1;
      tally.messages += fate.messages;
      tally.bytes += mail.sizeBytes;
    }
    const isLeftOut = fate.kind === 'left-out';
    const identity = isLeftOut ? leftOutOf(apart.identity) : apart.identity;
    // One that is flagged to be deleted, and not expunged yet, no list of candidates has.
    if (fate.kind === 'delivered' || (isLeftOut && way.config.deleteMails)) {
      // A mail whose delivery can't be recorded is settled all the same: that is what keeps it from going twice.
      await way.known.record(identity).catch((error: unknown) => this.#fail(error, 'recording deliveries'));
    }
    this.#journal(apart, fate);
    this.#unsettled.push({ mail, identity, isLeftOut });
    const waitedMs = performance.now() - this.#settledAtMs;
    if (this.#unsettled.length < settleMails && waitedMs < settleEveryMs) return;
    const mails = this.#takeUnsettled();
    this.#settling = this.#settling.then(() => this.#settle(mails));
  }

  #journal(apart: ApartMail, fate: Exclude<Fate, { kind: 'left' }>): void {
    const as = fate.kind === 'known' ? fate.as : fate;
    // One that the server lists again had its line when it was settled first.
    if (as.kind === 'settled') return;
    const { way } = this.#options;
    if (as.kind === 'left-out') {
      way.journal.addMail(mailLine(apart, way, { outcome: 'left-out', reason: as.reason }, new Date()));
    } else if (fate.kind !== 'known' || !hasLine(fate.as, way.journaledSince)) {
      const outcome = as.kind === 'stored' ? 'undelivered' : 'delivered';
      // By the time of its record a line that two runs write is known to be one.
      const { at } = way.known.find(apart.identity) ?? { at: new Date() };
      way.journal.addMail(mailLine(apart, way, { outcome }, at));
    }
  }

  #noteGone(mail: MailRef): void {
    const { way, passedOver } = this.#options;
    way.tries.addGone(mail);
    // A server that lists it again in this run's next session would be asked again and again.
    passedOver.add(mail.key);
  }

  /** It stays on the server, unless it is gone. */
  #leave(mail: FetchedMail['mail'], { failure, atFault }: Extract<Fate, { kind: 'left' }>): void {
    if (atFault === 'gone') {
      this.#noteGone(mail);
      return;
    }
    const { way, tally, passedOver } = this.#options;
    passedOver.add(mail.key);
    const isCounted = atFault === 'mail' || (atFault === 'handover' && !way.memory.wasCutWaiting);
    if (isCounted) way.tries.add(mail, failure.message);
    if (atFault !== 'mail') tally.fail(failure);
    this.#warn(mail, `it stays on the server: ${failure.message}`);
  }

  #takeUnsettled(): readonly Done[] {
    const mails = this.#unsettled;
    this.#unsettled = [];
    this.#settledAtMs = performance.now();
    return mails;
  }

  async #settle(done: readonly Done[]): Promise<void> {
    const { true: leftOut = [], false: others = [] } = Object.groupBy(done, (each) => `${each.isLeftOut}`);
    // Both in this turn: the session ends behind them.
    await Promise.all([this.#settleAlike(others), this.#settleAlike(leftOut, 'in place')]);
  }

  async #settleAlike(done: readonly Done[], inPlace?: 'in place'): Promise<void> {
    if (done.length === 0) return;
    const { session, way, settledKeys } = this.#options;
    let stay: readonly MailRef[] = [];
    try {
      const mails = done.map(({ mail }) => mail);
      stay = await traced(way.trace, 'settle', () => session.settle(mails, inPlace));
    } catch (error) {
      return this.#fail(error, 'settling mail');
    }
    for (const { mail, identity } of done) {
      way.settled.add(identity, String(mail.id));
      settledKeys.add(mail.key);
    }
    // What could only be flagged is settled again by a later run, which its record tells.
    const ids = done.filter(({ mail }) => !stay.includes(mail)).map(({ identity }) => identity.id);
    // What POP3 is told to delete is deleted when the session ends well.
    if (way.config.protocol === 'pop3') this.#unconfirmed.push(...ids);
    else await this.#forget(ids);
  }

  async #forget(identityIds: readonly string[]): Promise<void> {
    if (identityIds.length === 0) return;
    await this.#options.way.known
      .forget(identityIds)
      .catch((error: unknown) => this.#fail(error, 'clearing the records of settled mails'));
  }

  #fail(error: unknown, doing: string): void {
    this.#options.tally.fail(toFailure(error, doing));
  }

  #track(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => this.#fail(error, 'delivering mail'))
      .finally(() => this.#onTheirWay.delete(tracked));
    this.#onTheirWay.add(tracked);
  }

  #warn(mail: MailRef, sentence: string): void {
    this.#options.way.warn(`Mail ${mail.id}: ${sentence}`);
  }
}

/** Whether the run that recorded this mail has written its line, as one does that comes to its end. */
export function hasLine(known: Extract<Fate, { kind: 'known' }>['as'], since: Date | undefined): boolean {
  return since !== undefined && 'at' in known && known.at >= since;
}

function mailLine(
  { mail, interchangeId, split, parts }: ApartMail,
  way: Way,
  fate: MailFate,
  at: Date,
): MailLine {
  const { sizeBytes, receivedAt } = mail.mail;
  return {
    ...fate,
    ...{ at, interchangeId, sizeBytes, receivedAt, queueName: way.queueName, warning: split.warning },
    ...envelopeLine(split.envelope),
    parts: parts.map(({ partNumber, head, content }) => ({
      partNumber,
      messageId: head.messageId,
      partKind: head.subject,
      inboundFileName: String(head.applicationProperties.inboundFileName),
      contentType: head.contentType,
      size: content.sizeBytes,
      sha256: content.sha256,
      ...(content.kind === 'blob' ? { claimCheck: content.claimCheck } : {}),
    })),
  };
}

type EnvelopeLine = Pick<MailLine, 'emailMessageId' | 'emailSubject' | 'emailFrom' | 'emailTo' | 'emailDate'>;

/** What the journal says of a mail's envelope. */
export function envelopeLine({ messageId, subject, from, to, date }: MailEnvelope): EnvelopeLine {
  return { emailMessageId: messageId, emailSubject: subject, emailFrom: from, emailTo: to, emailDate: date };
}

function unconfirmed(mails: number, refusal: string | undefined): Failure {
  const which = mails === 1 ? '1 delivered mail may' : `${mails} delivered mails may`;
  const words = refusal === undefined ? '' : ` ("${refusal}")`;
  return new Failure(
    'connection-lost',
    `The mail server did not confirm the end of the session${words}, so ${which} still lie there; the next run removes them without sending them again.`,
  );
}

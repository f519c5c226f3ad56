import { Failure, toFailure } from '../../failure/failure.ts';
import type { MailBuffers } from '../mailBuffers.ts';
import type { FetchedMail, MailboxSession, MailRef, MeasuredMail, StreamedMail } from '../mailbox.ts';
import { describeTimeout } from '../networkFailure.ts';
import { commandDeadline } from './deadline.ts';
import { type KeyedMail, keyMails } from './keys.ts';
import { foreignMail, isListed, listMails } from './listing.ts';
import { collectMail, streamMail } from './mailBytes.ts';
import { describeRefusal } from './refusal.ts';
import { ask, type Pop3Reply, readReply, saysGone } from './reply.ts';
import { describeUnavailable, hashMails, isGone, Retrieval, type Retrieved } from './retrieval.ts';
import type { Pop3Wire } from './wire.ts';

const deletesInFlight = 1_000;

/**
 * Whether QUIT keeps from all later sessions what was retrieved in this one, also what was not deleted. Such a
 * mail would be lost to this app, so the session then ends without QUIT and its deletes are done anew.
 */
function hidesRetrieved(host: string): boolean {
  return /(^|\.)(gmail|googlemail)\.com$/i.test(host);
}

/** How this session speaks to its server. */
export interface Pop3Manner {
  readonly endpoint: string;
  readonly pipelining: boolean;
  /** CAPA says that the server has UIDL. */
  readonly uidlPromised: boolean;
  readonly commandMs: number;
  readonly buffers: MailBuffers;
}

/** A session on a mailbox by POP3 (RFC 1939), in its transaction state. */
export class Pop3Session implements MailboxSession {
  readonly endpoint: string;
  readonly #wire: Pop3Wire;
  readonly #manner: Pop3Manner;
  /** The mails listed in this session, by number. */
  readonly #listed = new Map<number, KeyedMail>();
  readonly #deleted = new Set<number>();
  /** Handed over by the server, or asked for and still on the wire. */
  readonly #retrieved = new Set<number>();
  readonly #refusedIds = new Set<number>();
  #turn: Promise<void> = Promise.resolve();
  #waitingForTurn = 0;
  #settling: Promise<unknown> = Promise.resolve();
  #closed: Promise<boolean> | undefined;
  /** How long `close` waits for the next sign of life; a settle that it waits for gives some. */
  #quitTimer: NodeJS.Timeout | undefined;
  /** QUIT went out together with the last DELE. */
  #quitSent = false;

  constructor(wire: Pop3Wire, manner: Pop3Manner) {
    this.endpoint = manner.endpoint;
    this.#wire = wire;
    this.#manner = manner;
  }

  list(limit: number): Promise<readonly MailRef[]> {
    return this.#inTurn('listing the mails', async () => {
      const mails = (await listMails(this.#wire, this.#manner)).slice(0, Math.max(0, limit));
      const nameless = mails.filter((mail) => mail.uidl === undefined);
      const keyed = keyMails(mails, await hashMails(this.#wire, nameless, this.#manner));
      for (const mail of keyed) this.#listed.set(mail.id, mail);
      return keyed.map(({ key, id }) => ({ key, id }));
    });
  }

  async measure(mails: readonly MailRef[]): Promise<readonly MeasuredMail[]> {
    return mails
      .map((mail) => this.#known(mail))
      .filter(({ id }) => !this.#deleted.has(id))
      .map(({ key, id, sizeBytes }) => ({ key, id, sizeBytes }));
  }

  async *fetch(mails: readonly MeasuredMail[]): AsyncGenerator<FetchedMail, void, undefined> {
    const asked = mails.filter((mail) => this.#withheld(mail) === undefined);
    const endTurn = await this.#takeTurn();
    const retrieval = new Retrieval(this.#wire, asked, this.#manner);
    try {
      for (const mail of mails) {
        const withheld = this.#withheld(mail);
        if (withheld !== undefined) {
          yield withheld;
          continue;
        }
        const answer = await retrieval.next();
        if (answer === undefined) continue;
        yield* this.#receive(answer);
      }
    } catch (error) {
      throw this.#failed(error, 'fetching mails');
    } finally {
      for (const { id } of retrieval.asked) this.#retrieved.add(id);
      // What a consumer that stopped early has left on the wire is read away behind its back.
      retrieval
        .abandon()
        .catch(() => {})
        .finally(endTurn);
    }
  }

  async openStream(mail: MeasuredMail): Promise<StreamedMail> {
    const withheld = this.#withheld(mail);
    if (withheld !== undefined) return withheld;
    const endTurn = await this.#takeTurn();
    this.#retrieved.add(mail.id);
    try {
      const answer = await new Retrieval(this.#wire, [mail], this.#manner).next();
      if (answer?.body !== undefined) {
        return {
          kind: 'mail',
          mail,
          stream: streamMail(this.#wire, answer.body, this.#manner.commandMs, endTurn),
        };
      }
      endTurn();
      return answer === undefined ? { kind: 'gone', mail } : this.#refused(answer);
    } catch (error) {
      endTurn();
      throw this.#failed(error, 'opening a mail');
    }
  }

  settle(mails: readonly MailRef[]): Promise<void> {
    const settling = this.#inTurn('deleting mails', async () => {
      const ids = [...new Set(mails.map((mail) => this.#known(mail).id))].filter(
        (id) => !this.#deleted.has(id),
      );
      const inFlight = this.#manner.pipelining ? deletesInFlight : 1;
      let refusal: Failure | undefined;
      for (let at = 0; at < ids.length; at += inFlight) {
        const isLast = at + inFlight >= ids.length;
        refusal = (await this.#delete(ids.slice(at, at + inFlight), isLast)) ?? refusal;
      }
      // The others stay deleted: `close` still sends QUIT.
      if (refusal !== undefined) throw refusal;
    });
    this.#settling = Promise.allSettled([this.#settling, settling]);
    return settling;
  }

  close(): Promise<boolean> {
    this.#closed ??= this.#quit();
    return this.#closed;
  }

  async #quit(): Promise<boolean> {
    const { commandMs } = this.#manner;
    this.#quitTimer = setTimeout(() => {
      this.#wire.fail(describeTimeout({ ...this.#wire.contact, phase: 'session' }, commandMs));
    }, commandMs);
    await this.#settling;
    let confirmed = false;
    try {
      if (!this.#mustNotQuit()) {
        const endTurn = await this.#takeTurn();
        confirmed = (await this.#askToQuit().finally(endTurn)).ok;
      }
    } catch {
      // Not confirmed: that is all there is to know.
    } finally {
      clearTimeout(this.#quitTimer);
    }
    if (confirmed) this.#wire.finish();
    else this.#wire.fail(new Failure('connection-lost', `The session with ${this.#wire.server} is over.`));
    return confirmed || this.#deleted.size === 0;
  }

  #askToQuit(): Promise<Pop3Reply> {
    const deadline = commandDeadline(this.#manner.commandMs);
    return this.#quitSent ? readReply(this.#wire, deadline) : ask(this.#wire, 'QUIT', deadline);
  }

  #mustNotQuit(): boolean {
    return hidesRetrieved(this.#wire.contact.host) && this.#holdsUndelivered();
  }

  #holdsUndelivered(): boolean {
    return [...this.#retrieved].some((id) => !this.#deleted.has(id) && !this.#refusedIds.has(id));
  }

  /**
   * Sends DELE for these, all at once, and QUIT behind the last ones when `close` waits for just that. Gives
   * the failure when one can't be deleted and, as far as that can be asked still, is there.
   */
  async #delete(ids: readonly number[], isLast: boolean): Promise<Failure | undefined> {
    const wire = this.#wire;
    wire.expectSilence();
    for (const id of ids) this.#deleted.add(id);
    const isQuitNext = isLast && this.#closed !== undefined && this.#waitingForTurn === 0;
    this.#quitSent = isQuitNext && this.#manner.pipelining && !this.#mustNotQuit();
    const commands = ids.map((id) => `DELE ${id}\r\n`).join('');
    wire.write(this.#quitSent ? `${commands}QUIT\r\n` : commands);
    const doubtful: { readonly id: number; readonly refusal: Failure }[] = [];
    for (const id of ids) {
      const reply = await readReply(wire, commandDeadline(this.#manner.commandMs));
      this.#quitTimer?.refresh();
      if (!reply.ok && !saysGone(reply))
        doubtful.push({ id, refusal: describeRefusal(wire, `DELE ${id}`, reply) });
    }
    let failure: Failure | undefined;
    for (const { id, refusal } of doubtful) {
      if (this.#quitSent || (await isListed(wire, id, this.#manner.commandMs))) failure ??= refusal;
    }
    return failure;
  }

  async *#receive(answer: Retrieved<MeasuredMail>): AsyncGenerator<FetchedMail, void, undefined> {
    const { mail, body } = answer;
    if (body === undefined) {
      yield this.#refused(answer);
      return;
    }
    let source: Buffer;
    try {
      source = await collectMail(body, mail.sizeBytes, this.#manner.buffers);
    } catch (error) {
      // Names the mail that ends the session, so that it can be passed over one day.
      if (body.overflowed)
        yield { kind: 'unavailable', mail, sentence: toFailure(error, 'fetching mails').message };
      throw error;
    }
    yield { kind: 'mail', mail, source };
  }

  #refused({ mail, reply }: Retrieved<MeasuredMail>): Exclude<FetchedMail, { kind: 'mail' }> {
    this.#refusedIds.add(mail.id);
    if (isGone(reply)) return { kind: 'gone', mail };
    return { kind: 'unavailable', mail, sentence: describeUnavailable(this.#wire, mail, reply) };
  }

  /** What is known of a mail without asking: deleted by this session, or refused when it was to be keyed. */
  #withheld(mail: MeasuredMail): Exclude<FetchedMail, { kind: 'mail' }> | undefined {
    const { id, unavailable } = this.#known(mail);
    if (this.#deleted.has(id)) return { kind: 'gone', mail };
    return unavailable === undefined ? undefined : { kind: 'unavailable', mail, sentence: unavailable };
  }

  /** Numbers mean other mails in other sessions: one that is not known by its key must not be touched. */
  #known({ id, key }: MailRef): KeyedMail {
    const mail = this.#listed.get(id);
    if (mail?.key !== key) throw foreignMail(this.#wire);
    return mail;
  }

  async #inTurn<Result>(doing: string, work: () => Promise<Result>): Promise<Result> {
    const endTurn = await this.#takeTurn();
    try {
      return await work();
    } catch (error) {
      throw this.#failed(error, doing);
    } finally {
      endTurn();
    }
  }

  /** Waits until the connection is free. Rejects when it is lost meanwhile. */
  async #takeTurn(): Promise<() => void> {
    const before = this.#turn;
    let endTurn = () => {};
    this.#turn = new Promise((resolve) => {
      endTurn = resolve;
    });
    this.#waitingForTurn += 1;
    await Promise.race([before, this.#wire.over]);
    this.#waitingForTurn -= 1;
    const { failure } = this.#wire;
    if (failure === undefined) return endTurn;
    endTurn();
    throw failure;
  }

  /** A defect leaves answers unread, so that the connection must not be used again; a `Failure` knows what it left. */
  #failed(error: unknown, doing: string): Failure {
    return error instanceof Failure ? error : this.#wire.fail(toFailure(error, `${doing} by POP3`));
  }
}

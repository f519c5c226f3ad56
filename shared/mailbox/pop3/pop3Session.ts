import { Failure, toFailure } from '../../failure/failure.ts';
import { Limit } from '../../wait/parallel.ts';
import { FetchMemory, streamedMail, streamHolding, wholeMail } from '../fetchedMail.ts';
import { newBuffers } from '../mailBuffers.ts';
import type {
  FetchAnswer,
  FetchedMail,
  Holding,
  MailboxOptions,
  MailboxSample,
  MailboxSession,
  MailMemory,
  MailRef,
  MeasuredMail,
  NoMail,
} from '../mailbox.ts';
import { describeTimeout, hostAndPort } from '../networkFailure.ts';
import { largestStandInBytes } from '../standIn.ts';
import type { Pop3Distrusts } from './distrust.ts';
import { type KeyedMail, keyMails, listMails, listNumbers } from './listing.ts';
import type { Pop3Capabilities } from './login.ts';
import type { Pop3Body } from './multiLine.ts';
import { ask, describeRefusal, isGone, type Pop3Reply, readReply } from './reply.ts';
import {
  describeNone,
  describeNothing,
  describeUnavailable,
  Retrieval,
  readBeginning,
  readHeader,
} from './retrieval.ts';
import type { Pop3Wire } from './wire.ts';

const deletesInFlight = 1_000;
const maxInDoubt = 10;

/** A session on a mailbox by POP3 (RFC 1939), in its transaction state. */
export class Pop3Session implements MailboxSession {
  readonly endpoint: string;
  readonly mailboxId: string;
  readonly #wire: Pop3Wire;
  readonly #options: MailboxOptions;
  readonly #capabilities: Pop3Capabilities;
  readonly #distrusts: Pop3Distrusts;
  /** Whether QUIT hides from later sessions what was retrieved, deleted or not: to this app that would be lost. */
  readonly #hidesRetrieved: boolean;
  /** The mails listed in this session, by number. */
  readonly #listed = new Map<number, KeyedMail>();
  readonly #deleted = new Set<number>();
  /** Asked for. Where that hides a mail from later sessions, none is asked for ahead. */
  readonly #retrieved = new Set<number>();
  /** Asked for, and not handed over. */
  readonly #refusedIds = new Set<number>();
  /** Of which the server says that it is busy: whether that is so, or they are at fault, is told by those behind them. */
  #inDoubt: { readonly answer: NoMail; readonly failure: Failure }[] = [];
  readonly #lock = new Limit(1);
  hasMore = false;
  quitRefusal: string | undefined;
  #isListed = false;
  #settling: Promise<unknown> = Promise.resolve();
  #closed: Promise<boolean> | undefined;
  /** QUIT went out together with the last DELE. */
  #quitSent = false;

  constructor(
    wire: Pop3Wire,
    options: MailboxOptions,
    capabilities: Pop3Capabilities,
    distrusts: Pop3Distrusts,
  ) {
    const { host, security, username } = options;
    this.endpoint = `${security === 'tls' ? 'pop3s' : 'pop3'}://${hostAndPort(options)}`;
    this.mailboxId = JSON.stringify(['pop3', host.toLowerCase(), username]);
    this.#wire = wire;
    this.#options = options;
    this.#capabilities = capabilities;
    this.#distrusts = distrusts;
    const isGmail = /(^|\.)(gmail|googlemail)\.com$/i.test(host);
    // RFC 2449, 6.7; also written in one word.
    const expiresAtOnce = capabilities.has('EXPIRE0') || capabilities.get('EXPIRE')?.[0] === '0';
    this.#hidesRetrieved = isGmail || expiresAtOnce;
  }

  list(limit: number): Promise<readonly MailRef[]> {
    return this.#inTurn('listing the mails', async () => {
      if (this.#isListed) return [];
      const all = await listMails(this.#wire, this.#capabilities.has('UIDL'));
      const mails = all.slice(0, Math.max(0, limit));
      this.#isListed = true;
      this.hasMore = mails.length < all.length;
      for (const { id, uidl } of mails) if (uidl === undefined) this.#retrieved.add(id);
      const keyed = await keyMails(this.#wire, mails, this.mailboxId, this.#distrusts.retrieving);
      for (const mail of keyed) this.#listed.set(mail.id, mail);
      const had = new Set(keyed.flatMap(({ id, unavailable }) => (unavailable === undefined ? id : [])));
      for (const { id } of mails) if (!had.has(id)) this.#refusedIds.add(id);
      return keyed.map(({ key, id }) => ({ key, id }));
    });
  }

  takeLeftOut(): readonly [] {
    return [];
  }

  sample(limit: number, maxBytes: number): Promise<MailboxSample> {
    return this.#inTurn('looking at the mails', async () => {
      const mails = await listMails(this.#wire, this.#capabilities.has('UIDL'));
      const heads: Buffer[] = [];
      // Where what was retrieved is hidden, TOP may count as retrieval.
      const asksHeaders = this.#capabilities.has('TOP') && !this.#hidesRetrieved;
      for (const mail of asksHeaders ? mails.slice(0, limit) : []) {
        const header = await readHeader(this.#wire, mail, maxBytes);
        if (header !== undefined) heads.push(header);
      }
      return { count: mails.length, heads };
    });
  }

  /** A mailbox by POP3 has none. */
  async listFolders(): Promise<readonly string[]> {
    return [];
  }

  /** DELE and QUIT leave nothing half done that another session could see. */
  async listHalfSettled(): Promise<readonly MailRef[]> {
    return [];
  }

  async readHeads(): Promise<ReadonlyMap<MailRef, Buffer>> {
    return new Map();
  }

  async measure(mails: readonly MailRef[]): Promise<readonly MeasuredMail[]> {
    return mails.map((mail) => this.#known(mail)).filter(({ id }) => !this.#deleted.has(id));
  }

  async *fetch(
    mails: readonly MeasuredMail[],
    memory: MailMemory,
  ): AsyncGenerator<FetchAnswer, void, undefined> {
    // Refuses what is not this session's before the connection is taken for it.
    for (const mail of mails) this.#known(mail);
    const endTurn = await this.#takeTurn();
    // Only now: a settle that came before may just have deleted some.
    const asked = mails.filter((mail) => this.#withheld(mail) === undefined);
    // A mail that was asked for and is left on the wire would keep the session from its QUIT.
    const asksAhead = this.#wire.pipelining && !this.#hidesRetrieved;
    const retrieval = new Retrieval(this.#wire, asked, this.#options.wholeBytes, asksAhead);
    const held = new FetchMemory(memory);
    try {
      for (const mail of mails) {
        const withheld = this.#withheld(mail);
        if (withheld === undefined) yield* this.#retrieve(mail, retrieval, held);
        else yield withheld;
      }
      if (this.#inDoubt[0] !== undefined) throw this.#inDoubt[0].failure;
    } catch (error) {
      throw this.#failed(error, 'fetching mails');
    } finally {
      this.#inDoubt = [];
      held.giveBackAll();
      // What a consumer that stopped early has left on the wire is read away behind its back.
      retrieval
        .abandon()
        .catch(() => {})
        .finally(endTurn);
    }
  }

  settle(mails: readonly MailRef[]): Promise<readonly MailRef[]> {
    const settling = this.#inTurn('deleting mails', async () => {
      const known = new Set(mails.map((mail) => this.#known(mail).id));
      const ids = [...known].filter((id) => !this.#deleted.has(id));
      const inFlight = this.#wire.pipelining ? deletesInFlight : 1;
      let refusal: Failure | undefined;
      for (let at = 0; at < ids.length; at += inFlight) {
        const isLast = at + inFlight >= ids.length;
        refusal = (await this.#delete(ids.slice(at, at + inFlight), isLast)) ?? refusal;
      }
      // The others stay deleted: `close` still sends QUIT.
      if (refusal !== undefined) throw refusal;
      return [];
    });
    this.#settling = Promise.allSettled([this.#settling, settling]);
    return settling;
  }

  close(): Promise<boolean> {
    this.#closed ??= this.#quit();
    return this.#closed;
  }

  async #quit(): Promise<boolean> {
    const wire = this.#wire;
    const { commandMs } = wire.timeouts;
    let { readBytes } = wire;
    // What a fetch has left on the wire, and a settle, may take their time; nothing read means that nobody will.
    const timer = setInterval(() => {
      if (wire.readBytes === readBytes) wire.fail(describeTimeout(wire.contact, commandMs));
      readBytes = wire.readBytes;
    }, commandMs);
    await this.#settling;
    let confirmed = false;
    try {
      if (!this.#mustNotQuit()) {
        const endTurn = await this.#takeTurn();
        const quitting = this.#quitSent ? readReply(wire) : ask(wire, 'QUIT');
        const { ok, text } = await quitting.finally(endTurn);
        confirmed = ok;
        if (!ok) this.quitRefusal = wire.quote(text);
      }
    } catch {
      // Not confirmed: that is all there is to know.
    } finally {
      clearInterval(timer);
    }
    wire.fail(new Failure('internal', `The session with ${wire.server} is over.`));
    return confirmed || this.#deleted.size === 0;
  }

  #mustNotQuit(): boolean {
    const isUndelivered = (id: number) => !this.#deleted.has(id) && !this.#refusedIds.has(id);
    return this.#hidesRetrieved && [...this.#retrieved].some(isUndelivered);
  }

  /** Sends DELE for these, and QUIT behind the last if `close` waits for it; gives the failure of one that stays. */
  async #delete(ids: readonly number[], isLast: boolean): Promise<Failure | undefined> {
    const wire = this.#wire;
    wire.expectSilence();
    for (const id of ids) this.#deleted.add(id);
    const isQuitNext = isLast && this.#closed !== undefined && this.#lock.waiting === 0;
    this.#quitSent = isQuitNext && wire.pipelining && !this.#mustNotQuit();
    const commands = ids.map((id) => `DELE ${id}\r\n`).join('');
    wire.write(this.#quitSent ? `${commands}QUIT\r\n` : commands);
    const doubtful = new Map<number, Failure>();
    for (const id of ids) {
      // Office 365 answers some with an empty line.
      const reply = await readReply(wire, undefined, true);
      if (!reply.ok && !isGone(reply)) doubtful.set(id, describeRefusal(wire, `DELE ${id}`, reply));
    }
    if (doubtful.size === 0) return undefined;
    const listed = this.#quitSent ? undefined : await listNumbers(wire);
    return [...doubtful].find(([id]) => listed?.has(id) ?? true)?.[1];
  }

  async *#retrieve(
    mail: MeasuredMail,
    retrieval: Retrieval,
    held: FetchMemory,
  ): AsyncGenerator<FetchAnswer, void, undefined> {
    const { wholeBytes, buffers = newBuffers } = this.#options;
    const isSmall = mail.sizeBytes <= wholeBytes;
    // Of a larger one the beginning: a stand-in may be listed with the size of the mail that it stands for.
    const mostBytes = isSmall ? wholeBytes + wholeBytes / 4 : largestStandInBytes;
    const bytes = Math.min(mail.sizeBytes, mostBytes);
    const holding = held.hold();
    await holding.grow(bytes);
    this.#retrieved.add(mail.id);
    const { body, reply } = await retrieval.next(mail);
    if (body === undefined) {
      held.giveBack(holding);
      yield* this.#refused(mail, reply);
      return;
    }
    yield* this.#endDoubt();
    const read = await readBeginning(body, bytes, mostBytes, holding, buffers);
    const sentence = Buffer.isBuffer(read) ? describeNone(this.#wire, mail, read) : undefined;
    if (sentence !== undefined) {
      held.giveBack(holding);
      yield { kind: 'unavailable', mail, sentence };
      return;
    }
    held.handOver(holding);
    if (isSmall && Buffer.isBuffer(read)) yield wholeMail(mail, read, holding, buffers);
    else yield* this.#stream(mail, body, [read].flat(), retrieval, holding);
  }

  /** Hands over a mail that is read from the wire by its consumer, behind what was `begun` of it already. */
  async *#stream(
    mail: MeasuredMail,
    body: Pop3Body,
    begun: readonly Buffer[],
    retrieval: Retrieval,
    account: Holding,
  ): AsyncGenerator<FetchedMail, void, undefined> {
    const holding = streamHolding(account, this.#options.streamBytes);
    let isFirst = true;
    const streamed = streamedMail(mail, holding, async () => {
      if (!isFirst) return this.#readStream(mail, await this.#retrieveAgain(mail, retrieval), [], holding);
      isFirst = false;
      return this.#readStream(mail, body, begun, holding);
    });
    try {
      yield streamed;
    } finally {
      streamed.end();
    }
    await retrieval.discardBody();
  }

  async *#readStream(
    mail: MeasuredMail,
    body: Pop3Body,
    begun: readonly Buffer[],
    holding: Holding,
  ): AsyncGenerator<Buffer, void, undefined> {
    let isEmpty = true;
    for (let pieces: readonly Buffer[] | undefined = begun; pieces !== undefined; ) {
      for (const piece of pieces) {
        isEmpty = false;
        await holding.grow(piece.length);
        yield piece;
      }
      pieces = await body.next().catch((error: unknown) => {
        throw this.#failed(error, 'reading a mail');
      });
    }
    if (isEmpty) throw new Failure('mail', describeNothing(this.#wire, mail));
  }

  async #retrieveAgain(mail: MeasuredMail, retrieval: Retrieval): Promise<Pop3Body> {
    const { body, reply } = await retrieval.again(mail).catch((error: unknown) => {
      throw this.#failed(error, 'fetching a mail again');
    });
    if (body !== undefined) return body;
    const why = describeUnavailable(this.#wire, mail, reply);
    throw new Failure('mail', `A mail could not be fetched from ${this.#wire.server} a second time: ${why}`);
  }

  *#refused(mail: MeasuredMail, reply: Pop3Reply): Generator<NoMail, void, undefined> {
    this.#refusedIds.add(mail.id);
    const sentence = describeUnavailable(this.#wire, mail, reply);
    const answer: NoMail = isGone(reply) ? { kind: 'gone', mail } : { kind: 'unavailable', mail, sentence };
    const failure = describeRefusal(this.#wire, `RETR ${mail.id}`, reply);
    this.#inDoubt.push({ answer, failure });
    if (failure.reason !== 'busy') yield* this.#endDoubt();
    else if (this.#inDoubt.length > maxInDoubt) throw failure;
  }

  *#endDoubt(): Generator<NoMail, void, undefined> {
    for (const { answer } of this.#inDoubt.splice(0)) yield answer;
  }

  /** What is known of a mail without asking: deleted by this session, or refused when it was to be keyed. */
  #withheld(mail: MeasuredMail): NoMail | undefined {
    const { id, unavailable } = this.#known(mail);
    if (this.#deleted.has(id)) return { kind: 'gone', mail };
    return unavailable === undefined ? undefined : { kind: 'unavailable', mail, sentence: unavailable };
  }

  /** Numbers mean other mails in other sessions: one that is not known by its key must not be touched. */
  #known({ id, key }: MailRef): KeyedMail {
    const mail = this.#listed.get(id);
    if (mail?.key === key) return mail;
    const sentence = `A mail was asked of ${this.#wire.server} that this session has not listed.`;
    throw new Failure('internal', sentence);
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
    const turn = await Promise.race([this.#wire.over, this.#lock.enter()]);
    if (turn instanceof Failure) throw turn;
    return turn;
  }

  /** A defect leaves answers unread, so that the connection must not be used again; a `Failure` knows what it left. */
  #failed(error: unknown, doing: string): Failure {
    return error instanceof Failure ? error : this.#wire.fail(toFailure(error, `${doing} by POP3`));
  }
}

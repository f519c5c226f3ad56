import { Failure } from '../../failure/failure.ts';
import { FetchMemory, streamedMail, streamHolding, wholeMail } from '../fetchedMail.ts';
import { newBuffers } from '../mailBuffers.ts';
import {
  type FetchAnswer,
  type Holding,
  type MailboxOptions,
  MailGone,
  type MailMemory,
  type MeasuredMail,
  type NoMail,
} from '../mailbox.ts';
import { quoteServerText } from '../serverText.ts';
import { isStandIn, standInWords } from '../standIn.ts';
import { type FetchData, nilBody, unreadBody } from './fetchResponse.ts';
import type { Folder } from './folder.ts';
import { quoteRefusal, type Refusal } from './imapFailure.ts';
import { joinPieces, type MailPieces, mailPieces } from './mailPieces.ts';
import { type FetchOutcome, fetchByUid, type UidFetch } from './uidFetch.ts';

/** A piece of a streamed mail: a round trip each, and two of them in memory. */
const pieceBytes = 1024 * 1024;

export const standIn: Refusal = { status: 'OK', text: standInWords };

/**
 * One fetch of mails: small ones many by a command, larger ones streamed in pieces; what comes empty, marked or not at
 * all is asked about again.
 */
export class MailFetch {
  readonly #folder: Folder;
  readonly #options: MailboxOptions;
  readonly #held: FetchMemory;
  #abandoned: Promise<unknown> = Promise.resolve();

  constructor(folder: Folder, options: MailboxOptions, memory: MailMemory) {
    this.#folder = folder;
    this.#options = options;
    this.#held = new FetchMemory(memory);
  }

  /** Answers each mail once. May be ended early: the folder is free again once the command on the wire has ended. */
  async *answers(mails: readonly MeasuredMail[]): AsyncGenerator<FetchAnswer, void, undefined> {
    const release = await this.#folder.enter();
    try {
      let small: MeasuredMail[] = [];
      for (const mail of mails) {
        if (mail.sizeBytes <= this.#options.wholeBytes) {
          small.push(mail);
          continue;
        }
        yield* this.#fetchWhole(small);
        small = [];
        // Once a session: whether a mail that comes marked as read was unread just before.
        const isKnown = this.#folder.peek === 'leaves unread';
        if (isKnown || (yield* this.#leaveOutRead([mail])).length > 0) yield* this.#fetchStreamed(mail);
      }
      yield* this.#fetchWhole(small);
    } catch (error) {
      // A refusal ends no connection: what came before it is settled over this one.
      if (error instanceof Failure && error.reason === 'busy') throw error;
      throw this.#folder.connection.fail(error, 'a fetch');
    } finally {
      this.#held.giveBackAll();
      this.#abandoned.then(release);
    }
  }

  /** One command for all of them, and what it takes to ask for those that it brought no answer for. */
  async *#fetchWhole(mails: readonly MeasuredMail[]): AsyncGenerator<FetchAnswer, void, undefined> {
    const again: Again = { empty: [], larger: [], marked: [] };
    const asked = this.#folder.peek === 'marks read' ? yield* this.#leaveOutRead(mails) : mails;
    try {
      yield* this.#fetchBatch(asked, again);
    } finally {
      // All that was fetched so far came marked as read, and was unread just before: that was the fetch.
      if (again.marked.length > 0 && this.#folder.peek === 'unknown') this.#folder.peek = 'marks read';
    }
    if (this.#folder.peek === 'leaves unread') for (const mail of again.marked) yield { kind: 'gone', mail };
    else if (again.marked.length > 0) yield* this.#fetchBatch(again.marked.splice(0), again);
    yield* this.#explainEmpty(again.empty);
    for (const mail of again.larger) yield* this.#fetchStreamed(mail);
  }

  /** One UID FETCH. What needs another one is put into `again`. */
  async *#fetchBatch(
    mails: readonly MeasuredMail[],
    again: Again,
  ): AsyncGenerator<FetchAnswer, void, undefined> {
    const { wholeBytes, buffers = newBuffers } = this.#options;
    const outcomes = this.#ask({
      mails,
      items: { names: ['FLAGS'], body: 'whole' },
      // Above it by a little: a size that errs costs no second fetch.
      largestBytes: wholeBytes + wholeBytes / 4,
      memory: this.#held,
    });
    for await (const outcome of outcomes) {
      const { mail } = outcome;
      if (outcome.kind === 'missing') yield { kind: 'gone', mail };
      else if (outcome.kind === 'refused') yield this.#unavailable(mail, outcome.refusal);
      else {
        const { body = nilBody, holding = this.#held.hold() } = outcome.data;
        const state = this.#stateOf(mail, outcome.data);
        if (state === 'mail') yield wholeMail(mail, body, this.#held.handOver(holding), buffers);
        else this.#held.giveBack(holding);
        if (state === 'gone') yield { kind: 'gone', mail };
        else if (state === 'stand-in') yield this.#unavailable(mail, standIn);
        else if (state !== 'mail') again[state].push(mail);
      }
    }
  }

  /** What was fetched: a mail; one that is no candidate any more; nothing where there should be something; too much. */
  #stateOf(mail: MeasuredMail, { flags, body }: FetchData): 'mail' | 'gone' | 'stand-in' | keyof Again {
    if (flags?.has('\\deleted')) return 'gone';
    if (!flags?.has('\\seen')) {
      if (flags !== undefined) this.#folder.peek = 'leaves unread';
    } else if (!this.#folder.unread.has(mail.id) || this.#folder.peek === 'leaves unread') return 'gone';
    else if (this.#folder.peek === 'unknown') return 'marked';
    if (body === unreadBody) return 'larger';
    const isEmptyMail = mail.sizeBytes === 0 && body !== nilBody;
    if (body === undefined || (body.length === 0 && !isEmptyMail)) return 'empty';
    return isStandIn(body) ? 'stand-in' : 'mail';
  }

  /** On a server that marks what is fetched: answers for those that someone else has read, and gives the others. */
  async *#leaveOutRead(
    mails: readonly MeasuredMail[],
  ): AsyncGenerator<FetchAnswer, readonly MeasuredMail[], undefined> {
    const unread: MeasuredMail[] = [];
    for await (const outcome of this.#ask({ mails, items: { names: ['FLAGS'] } })) {
      const flags = outcome.kind === 'data' ? outcome.data.flags : undefined;
      if (flags?.has('\\seen') && !this.#folder.markedHere.has(outcome.mail.id)) {
        this.#folder.unread.delete(outcome.mail.id);
        yield { kind: 'gone', mail: outcome.mail };
      } else unread.push(outcome.mail);
    }
    return unread;
  }

  async *#fetchStreamed(mail: MeasuredMail): AsyncGenerator<FetchAnswer, void, undefined> {
    const account = this.#held.hold();
    const holding = streamHolding(account, this.#options.streamBytes);
    const pieces = mailPieces((offset) => this.#fetchPiece(mail, offset, holding));
    const first = await pieces.begin();
    if (Buffer.isBuffer(first) && first.length > 0) {
      this.#held.handOver(account);
      const streamed = streamedMail(mail, holding, async () =>
        // Not 0: it is known by now to hold something.
        joinPieces(Math.max(1, mail.sizeBytes), pieceBytes, (offset) => this.#readPiece(offset, pieces)),
      );
      try {
        yield streamed;
      } finally {
        streamed.end();
        this.#abandoned = pieces.end();
      }
      await pieces.end();
      return;
    }
    this.#held.giveBack(account);
    if (Buffer.isBuffer(first)) yield* this.#explainEmpty([mail]);
    else yield first;
  }

  async #readPiece(offset: number, pieces: MailPieces): Promise<Buffer> {
    const piece = await pieces.fetch(offset);
    if (Buffer.isBuffer(piece)) return piece;
    const cut = `A mail in folder "${quoteServerText(this.#folder.name)}" could not be read to its end:`;
    if (piece.kind === 'gone') throw new MailGone('mail', `${cut} it was removed meanwhile.`);
    throw new Failure('mail', `${cut} ${piece.sentence}`);
  }

  /** The piece of a mail from `offset` on; an empty one past its end, or where the server sends nothing. */
  async #fetchPiece(mail: MeasuredMail, offset: number, holding: Holding): Promise<Buffer | NoMail> {
    const outcomes = this.#ask({
      mails: [mail],
      items: { names: ['FLAGS'], body: { start: offset, maxLength: pieceBytes } },
      largestBytes: pieceBytes,
      memory: { hold: () => holding, giveBack() {} },
    });
    let piece: Buffer | NoMail = { kind: 'gone', mail };
    try {
      for await (const outcome of outcomes) piece = this.#pieceOf(mail, offset, outcome);
      const isShort = Buffer.isBuffer(piece) && piece.length === 0 && offset < mail.sizeBytes;
      // The size may err, or the mail be expunged.
      for await (const why of this.#explainEmpty(isShort ? [mail] : [])) if (why.kind === 'gone') return why;
      return piece;
    } catch (error) {
      throw this.#folder.connection.fail(error, 'a fetch');
    }
  }

  #pieceOf(mail: MeasuredMail, offset: number, outcome: FetchOutcome<MeasuredMail>): Buffer | NoMail {
    if (outcome.kind === 'missing') return { kind: 'gone', mail };
    if (outcome.kind === 'refused') return this.#unavailable(mail, outcome.refusal);
    const { body = nilBody } = outcome.data;
    const state = offset === 0 ? this.#stateOf(mail, outcome.data) : 'mail';
    if (state === 'gone') return { kind: 'gone', mail };
    if (state === 'stand-in') return this.#unavailable(mail, standIn);
    if (state === 'marked') this.#folder.peek = 'marks read';
    if (body !== unreadBody) return body;
    return this.#unavailable(mail, { status: 'NO', text: `more than the ${pieceBytes} bytes asked for` });
  }

  /** An empty body is sent for a mail that the server can't read, and for an expunged one, then unknown to it. */
  async *#explainEmpty(mails: readonly MeasuredMail[]): AsyncGenerator<NoMail> {
    for await (const { kind, mail } of this.#ask({ mails, items: {} })) {
      const refusal = { status: 'NO', text: `0 of ${mail.sizeBytes} bytes were sent` } as const;
      yield kind === 'missing' ? { kind: 'gone', mail } : this.#unavailable(mail, refusal);
    }
  }

  /** What a consumer that leaves early has left on the wire is waited for before the folder is free again. */
  #ask(request: UidFetch<MeasuredMail>): AsyncGenerator<FetchOutcome<MeasuredMail>, void, undefined> {
    const onAbandoned = (ended: Promise<void>): void => {
      this.#abandoned = ended;
    };
    return fetchByUid(this.#folder, { ...request, onAbandoned });
  }

  #unavailable(mail: MeasuredMail, refusal: Refusal): FetchAnswer & { kind: 'unavailable' } {
    return { kind: 'unavailable', mail, sentence: describeUnavailable(this.#folder, mail.id, refusal) };
  }
}

/** Mails that one command brought no mail for, and that need another one. */
interface Again {
  readonly empty: MeasuredMail[];
  readonly larger: MeasuredMail[];
  /** They came marked as read, and were unread when they were measured. */
  readonly marked: MeasuredMail[];
}

/** Why a mail is not handed over, for a person. */
export function describeUnavailable(
  { name, connection }: Pick<Folder, 'name' | 'connection'>,
  uid: number,
  refusal: Refusal,
): string {
  const words = quoteRefusal(refusal, connection.state.secrets);
  return `The mail with UID ${uid} in folder "${quoteServerText(name)}" can't be fetched: the server answers ${words}. Look at it in a mail program.`;
}

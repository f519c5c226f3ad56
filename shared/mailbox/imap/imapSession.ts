import type { MailboxObject } from 'imapflow';
import { Failure } from '../../failure/failure.ts';
import { withDeadline } from '../../wait/deadline.ts';
import { FetchMemory, StreamedMail, StreamHolding, WholeMail } from '../fetchedMail.ts';
import { newBuffers } from '../mailBuffers.ts';
import {
  defaultStreamBytes,
  type FetchAnswer,
  type Holding,
  type LeftOutMail,
  type MailboxOptions,
  type MailboxSample,
  type MailboxSession,
  type MailMemory,
  type MailRef,
  type MeasuredMail,
} from '../mailbox.ts';
import { describeTimeout } from '../networkFailure.ts';
import { quoteServerText } from '../serverText.ts';
import { Candidates, filteredFields, mailRef } from './candidates.ts';
import type { LiteralIntake } from './fetchCommand.ts';
import { type FetchData, nilBody, unreadBody } from './fetchResponse.ts';
import { Folder, type OpenFolder } from './folder.ts';
import type { ImapConnection } from './imapConnection.ts';
import { quoteRefusal, type Refusal } from './imapFailure.ts';
import { joinPieces, MailPieces } from './mailPieces.ts';
import { compactUids } from './sequenceSet.ts';
import { SettleCommands } from './settleCommands.ts';
import { type FetchOutcome, fetchByUid, type UidFetch } from './uidFetch.ts';

/** A piece of a streamed mail: a round trip each, and two of them in memory. */
const pieceBytes = 1024 * 1024;
/** Not 0, which would let an empty answer pass for an empty mail. */
const unknownSizeBytes = 1;
/** A response without a body takes no more than this on the wire. */
const dataBytes = 1024 * 1024;
/** The header fields of one mail. */
const maxHeaderBytes = 4 * 1024 * 1024;

/** What a person may choose from. */
const maxFolders = 500;
const listFoldersMs = 10_000;

/** No memory is counted for what is not a mail. */
const uncounted: LiteralIntake = {
  largestBytes: dataBytes,
  hold: () => ({ grow: async () => {}, release() {} }),
  giveBack() {},
};

/**
 * A logged-in session on one IMAP folder.
 *
 * Candidates are the mails that are neither \Seen nor \Deleted: a mail flagged \Deleted is one that someone
 * removed already, or that this app delivered and had to leave flagged on a server without UIDPLUS.
 */
export class ImapSession implements MailboxSession {
  readonly endpoint: string;
  readonly mailboxId: string;
  /** A SEARCH gives all there are. */
  readonly hasMore = false;
  readonly #options: MailboxOptions;
  readonly #folder: Folder;
  readonly #settleCommands: SettleCommands;
  readonly #folderName: string;
  readonly #candidates: Candidates;
  /** UIDs of mails that were unread when this session measured them. */
  readonly #measuredUnread = new Set<number>();
  /** Whether BODY.PEEK[] leaves a mail unread, as it must; some servers mark it, and say so in the same response. */
  #peek: 'unknown' | 'leaves unread' | 'marks read' = 'unknown';
  /** Resolves when no settle is under way. */
  #settled: Promise<unknown> = Promise.resolve();

  /** Throws a `Failure` when the folder can't be polled as configured. `connect` makes the connection anew. */
  constructor(options: MailboxOptions, opened: OpenFolder, connect: () => Promise<OpenFolder>) {
    const { host, port, security, username, folder, timeouts } = options;
    this.#options = options;
    this.#folderName = folder.toUpperCase() === 'INBOX' ? 'INBOX' : folder;
    this.endpoint = `${security === 'tls' ? 'imaps' : 'imap'}://${host}:${port}/${this.#folderName}`;
    const uidValidity = uidValidityOf(opened.mailbox);
    this.mailboxId = JSON.stringify([
      'imap',
      host.toLowerCase(),
      username,
      this.#folderName,
      `${uidValidity}`,
    ]);
    this.#requireWritable(opened.mailbox);
    this.#folder = new Folder(opened, connect, timeouts.commandMs);
    this.#settleCommands = new SettleCommands(this.#folder);
    this.#requireMovable();
    const { headerFilter, unmatchedMails, lookedAt } = options;
    this.#candidates = new Candidates(
      {
        search: () => this.#search(),
        readHeaders: (uids, take) => this.#readHeaders(uids, take),
        markRead: (uids) => this.#settleCommands.markRead(uids),
      },
      {
        uidValidity,
        marksLeftOut: unmatchedMails === 'markRead',
        ...(headerFilter === undefined ? {} : { filter: headerFilter }),
        ...(lookedAt === undefined ? {} : { lookedAt }),
      },
    );
  }

  async list(limit: number): Promise<readonly MailRef[]> {
    return (await this.#candidates.next(limit)).map(mailRef);
  }

  takeLeftOut(): readonly LeftOutMail[] {
    return this.#candidates.takeLeftOut();
  }

  get lookedAt(): string | undefined {
    return this.#candidates.lookedAt;
  }

  async count(): Promise<number> {
    return (await this.#search()).length;
  }

  async sample(limit: number, maxBytes: number): Promise<MailboxSample> {
    const uids = await this.#search();
    const mails = uids.slice(0, limit).map(mailRef);
    const heads = await this.readHeads(mails, maxBytes);
    return { count: uids.length, heads: mails.flatMap((mail) => heads.get(mail) ?? []) };
  }

  async listFolders(): Promise<readonly string[]> {
    const names = await this.#folder.run(
      'listing the folders',
      (connection) => connection.listFolders(),
      listFoldersMs,
    );
    return [...new Set(names)].filter(isFolderName).sort().slice(0, maxFolders);
  }

  async listHalfSettled(): Promise<readonly MailRef[]> {
    const { deleteMails, moveToFolder } = this.#options;
    if (moveToFolder !== undefined) return (await this.#settleCommands.findReadOrDeleted()).map(mailRef);
    return deleteMails ? (await this.#settleCommands.findDeleted()).map(mailRef) : [];
  }

  async readHeads(mails: readonly MailRef[], maxBytes: number): Promise<ReadonlyMap<MailRef, Buffer>> {
    const heads = new Map<MailRef, Buffer>();
    const request = {
      ...this.#fetchOf(mails, maxBytes, { ...uncounted, largestBytes: Math.max(dataBytes, maxBytes) }),
      items: { body: { start: 0, maxLength: maxBytes } },
      answers: holdsBody,
    };
    for await (const outcome of this.#fetchInTurn(request, 'reading the beginnings of mails')) {
      if (outcome.kind !== 'data') continue;
      heads.set(outcome.mail, (outcome.data.body ?? nilBody).subarray(0, maxBytes));
    }
    return heads;
  }

  async measure(mails: readonly MailRef[]): Promise<readonly MeasuredMail[]> {
    const measured = new Map<number, MeasuredMail>();
    const request = {
      ...this.#fetchOf(mails, dataBytes, uncounted),
      items: { flags: true, size: true, internalDate: true },
      answers: (data: FetchData) => data.sizeBytes !== undefined,
    };
    const silent: MailRef[] = [];
    for await (const outcome of this.#fetchInTurn(request, 'measuring mails')) {
      const { mail } = outcome;
      if (outcome.kind === 'data') measured.set(mail.id, { ...mail, ...measureOf(outcome.data) });
      if (outcome.kind === 'data' && !isDone(outcome.data.flags)) this.#measuredUnread.add(mail.id);
      // It is there; that it can't be handed over is said by the fetch.
      if (outcome.kind === 'refused') measured.set(mail.id, { ...mail, sizeBytes: unknownSizeBytes });
      if (outcome.kind === 'missing') silent.push(mail);
    }
    const listed = await this.#folder.run('looking for mails', (connection) =>
      this.#stillListed(connection, silent),
    );
    for (const mail of silent) {
      if (listed.has(mail.id)) measured.set(mail.id, { ...mail, sizeBytes: unknownSizeBytes });
    }
    return mails.flatMap((mail) => measured.get(mail.id) ?? []);
  }

  async *fetch(
    mails: readonly MeasuredMail[],
    memory: MailMemory,
  ): AsyncGenerator<FetchAnswer, void, undefined> {
    if (mails.length === 0) return;
    const release = await this.#folder.enter();
    const held = new FetchMemory(memory);
    let abandoned: Promise<unknown> = Promise.resolve();
    const onAbandoned = (ended: Promise<unknown>): void => {
      abandoned = ended;
    };
    try {
      for (const { whole, streamed } of batchesOf(mails, this.#options.wholeBytes)) {
        if (whole.length > 0) yield* this.#fetchWhole(whole, held, onAbandoned);
        if (streamed !== undefined) yield* this.#fetchStreamed(streamed, held, onAbandoned);
      }
    } catch (error) {
      throw this.#folder.connection.fail(error, 'a fetch');
    } finally {
      held.giveBackAll();
      abandoned.then(release);
    }
  }

  settle(mails: readonly MailRef[], inPlace?: 'in place'): Promise<readonly MailRef[]> {
    const settled = this.#settle(mails, inPlace);
    this.#settled = Promise.allSettled([this.#settled, settled]);
    return settled;
  }

  async close(): Promise<boolean> {
    await this.#settled;
    this.#folder.close();
    return true;
  }

  async #settle(mails: readonly MailRef[], inPlace?: 'in place'): Promise<readonly MailRef[]> {
    if (mails.length === 0) return [];
    const uids = mails.map((mail) => mail.id);
    const { deleteMails, moveToFolder } = this.#options;
    let stay: readonly number[] = [];
    if (moveToFolder !== undefined && !inPlace) await this.#settleCommands.move(uids, moveToFolder);
    else if (deleteMails) stay = await this.#settleCommands.delete(uids);
    else await this.#settleCommands.markRead(uids);
    this.#candidates.settled(uids);
    return mails.filter(({ id }) => stay.includes(id));
  }

  #search(): Promise<readonly number[]> {
    const doing = 'listing the unread mails';
    // Of a large mailbox it takes a server as long as opening it.
    return this.#folder.run(
      doing,
      async (connection) => {
        const found = await connection.client.search({ seen: false, deleted: false }, { uid: true });
        if (!Array.isArray(found)) throw connection.describeFalse(doing);
        return [...found].sort((one, other) => one - other);
      },
      this.#options.timeouts.openMs,
    );
  }

  async #readHeaders(uids: readonly number[], take: (uid: number, header: Buffer) => void): Promise<void> {
    const request = {
      ...this.#fetchOf(uids.map(mailRef), maxHeaderBytes, { ...uncounted, largestBytes: maxHeaderBytes }),
      items: { header: filteredFields },
      answers: ({ header }: FetchData) => header !== undefined,
    };
    for await (const outcome of this.#fetchInTurn(request, 'reading headers')) {
      if (outcome.kind === 'data') take(outcome.mail.id, outcome.data.header ?? nilBody);
    }
  }

  /** Which of these mails, about which the server has said nothing, are candidates all the same. */
  async #stillListed(connection: ImapConnection, mails: readonly MailRef[]): Promise<ReadonlySet<number>> {
    const listed = new Set<number>();
    for (const uid of compactUids(mails.map(({ id }) => id))) {
      const found = await connection.client.search({ uid, seen: false, deleted: false }, { uid: true });
      if (!Array.isArray(found)) throw connection.describeFalse('looking for mails');
      for (const id of found) listed.add(id);
    }
    return listed;
  }

  /** One command for all of them, and what it takes to ask for those that it brought no answer for. */
  async *#fetchWhole(
    mails: readonly MeasuredMail[],
    held: FetchMemory,
    onAbandoned: (ended: Promise<unknown>) => void,
  ): AsyncGenerator<FetchAnswer, void, undefined> {
    const again: Again = { silent: [], empty: [], larger: [], marked: [] };
    const asked = this.#peek === 'marks read' ? yield* this.#leaveOutRead(mails) : mails;
    yield* this.#fetchBatch(asked, held, again, onAbandoned);
    if (this.#peek === 'leaves unread') for (const mail of again.marked) yield { kind: 'gone', mail };
    else if (again.marked.length > 0) {
      // All that was fetched so far came marked as read, and was unread just before: that was the fetch.
      this.#peek = 'marks read';
      yield* this.#fetchBatch(again.marked.splice(0), held, again, onAbandoned);
    }
    yield* this.#explainSilence(again.silent, held, again, onAbandoned);
    yield* this.#explainEmpty(again.empty);
    for (const mail of again.larger) yield* this.#fetchStreamed(mail, held, onAbandoned);
  }

  /** One UID FETCH. What needs another one is put into `again`. */
  async *#fetchBatch(
    mails: readonly MeasuredMail[],
    held: FetchMemory,
    again: Again,
    onAbandoned: (ended: Promise<unknown>) => void,
  ): AsyncGenerator<FetchAnswer, void, undefined> {
    if (mails.length === 0) return;
    const { wholeBytes, buffers = newBuffers } = this.#options;
    // Above it by a little: a size that errs costs no second fetch.
    const intake = intakeOf(held, wholeBytes + wholeBytes / 4);
    const request = {
      ...this.#fetchOf(mails, wholeBytes, intake),
      items: { flags: true, body: true },
      answers: holdsBody,
    };
    for await (const outcome of fetchByUid(this.#folder, request, onAbandoned)) {
      const { mail } = outcome;
      if (outcome.kind === 'missing') again.silent.push(mail);
      else if (outcome.kind === 'refused') yield this.#unavailable(mail, outcome.refusal);
      else {
        const { body = nilBody, holding = held.hold() } = outcome.data;
        const state = this.#stateOf(mail, outcome.data);
        if (state === 'mail') yield new WholeMail(mail, body, held.handOver(holding), buffers);
        else held.giveBack(holding);
        if (state === 'gone') yield { kind: 'gone', mail };
        else if (state !== 'mail') again[state].push(mail);
      }
    }
  }

  /** What was fetched: a mail; one that is no candidate any more; nothing where there should be something; too much. */
  #stateOf(mail: MeasuredMail, { flags, body }: FetchData): 'mail' | 'gone' | keyof Again {
    if (flags?.has('\\deleted')) return 'gone';
    if (!flags?.has('\\seen')) {
      if (flags !== undefined) this.#peek = 'leaves unread';
    } else if (!this.#measuredUnread.has(mail.id) || this.#peek === 'leaves unread') return 'gone';
    else if (this.#peek === 'unknown') return 'marked';
    if (body === unreadBody) return 'larger';
    const isEmptyMail = mail.sizeBytes === 0 && body !== nilBody;
    return body !== undefined && (body.length > 0 || isEmptyMail) ? 'mail' : 'empty';
  }

  /** On a server that marks what is fetched: answers for those that someone else has read, and gives the others. */
  async *#leaveOutRead<M extends MeasuredMail>(
    mails: readonly M[],
  ): AsyncGenerator<FetchAnswer, readonly M[], undefined> {
    const request = {
      ...this.#fetchOf(mails, dataBytes, uncounted),
      items: { flags: true },
      answers: ({ flags }: FetchData) => flags !== undefined,
    };
    const unread: M[] = [];
    for await (const outcome of fetchByUid(this.#folder, request, () => {})) {
      const isRead = outcome.kind === 'data' && isDone(outcome.data.flags);
      if (isRead) yield { kind: 'gone', mail: outcome.mail };
      else unread.push(outcome.mail);
    }
    return unread;
  }

  /** Mails of which the server said nothing are expunged, unless it still lists them: then each is asked for alone. */
  async *#explainSilence(
    mails: readonly MeasuredMail[],
    held: FetchMemory,
    again: Again,
    onAbandoned: (ended: Promise<unknown>) => void,
  ): AsyncGenerator<FetchAnswer, void, undefined> {
    if (mails.length === 0) return;
    const { connection } = this.#folder;
    const { commandMs } = this.#options.timeouts;
    const listed = await withDeadline(
      connection.orFailure(this.#stillListed(connection, mails)),
      commandMs,
      () => describeTimeout(connection.state, commandMs),
    );
    for (const mail of mails) {
      if (!listed.has(mail.id)) {
        yield { kind: 'gone', mail };
        continue;
      }
      const alone: Again = { ...again, silent: [] };
      yield* this.#fetchBatch([mail], held, alone, onAbandoned);
      if (alone.silent.length > 0)
        yield this.#unavailable(mail, { status: 'OK', text: 'and says nothing about it' });
    }
  }

  async *#fetchStreamed(
    mail: MeasuredMail,
    held: FetchMemory,
    onAbandoned: (ended: Promise<unknown>) => void,
  ): AsyncGenerator<FetchAnswer, void, undefined> {
    // Once a session: whether a mail that comes marked as read was unread just before.
    if (this.#peek !== 'leaves unread' && (yield* this.#leaveOutRead([mail])).length === 0) return;
    this.#measuredUnread.add(mail.id);
    const account = held.hold();
    const holding = new StreamHolding(account, this.#options.streamBytes ?? defaultStreamBytes);
    const pieces = new MailPieces<PieceAnswer>((offset) => this.#fetchPiece(mail, offset, holding));
    const first = await pieces.begin();
    if (Buffer.isBuffer(first)) {
      held.handOver(account);
      const streamed = new StreamedMail(mail, holding, async () =>
        joinPieces(mail.sizeBytes, pieceBytes, (offset) => this.#readPiece(offset, pieces)),
      );
      try {
        yield streamed;
      } finally {
        streamed.end();
        onAbandoned(pieces.end());
      }
      await pieces.end();
      return;
    }
    held.giveBack(account);
    if (first === 'empty') yield* this.#explainEmpty([mail]);
    else yield first;
  }

  async #readPiece(offset: number, pieces: MailPieces<PieceAnswer>): Promise<Buffer> {
    const piece = await pieces.fetch(offset);
    if (Buffer.isBuffer(piece)) return piece;
    if (piece === 'empty' && offset > 0) return nilBody;
    throw this.#cutShort(piece);
  }

  #cutShort(answer: PieceAnswer): Failure {
    const why =
      answer === 'empty'
        ? 'the server sent nothing at all.'
        : answer.kind === 'gone'
          ? 'it was removed meanwhile.'
          : answer.sentence;
    const mail = `A mail in folder "${quoteServerText(this.#folderName)}"`;
    return new Failure('mail', `${mail} could not be read to its end: ${why}`);
  }

  /** The piece of a mail from `offset` on. */
  async #fetchPiece(
    mail: MeasuredMail,
    offset: number,
    holding: StreamHolding,
  ): Promise<Buffer | PieceAnswer> {
    const intake = { largestBytes: pieceBytes, hold: () => holding, giveBack: () => {} };
    const request = {
      ...this.#fetchOf([mail], pieceBytes, intake),
      items: { flags: true, body: { start: offset, maxLength: pieceBytes } },
      answers: holdsBody,
    };
    let piece: Buffer | PieceAnswer | undefined;
    try {
      for await (const outcome of fetchByUid(this.#folder, request, () => {})) {
        piece ??= this.#pieceOf(mail, offset, outcome);
      }
    } catch (error) {
      throw this.#folder.connection.fail(error, 'a fetch');
    }
    return piece ?? { kind: 'gone', mail };
  }

  #pieceOf(mail: MeasuredMail, offset: number, outcome: FetchOutcome<MeasuredMail>): Buffer | PieceAnswer {
    if (outcome.kind === 'missing') return { kind: 'gone', mail };
    if (outcome.kind === 'refused') return this.#unavailable(mail, outcome.refusal);
    const { body = nilBody, flags } = outcome.data;
    if (offset === 0 && flags !== undefined) {
      const state = this.#stateOf(mail, outcome.data);
      if (state === 'gone') return { kind: 'gone', mail };
      if (state === 'marked') this.#peek = 'marks read';
    }
    if (body === unreadBody) {
      return this.#unavailable(mail, { status: 'NO', text: `more than the ${pieceBytes} bytes asked for` });
    }
    return body.length === 0 ? 'empty' : body;
  }

  /**
   * Servers send an empty body for a mail that they can't read, and for one that was expunged meanwhile; of
   * the second they then know nothing.
   */
  async *#explainEmpty(
    mails: readonly MeasuredMail[],
  ): AsyncGenerator<Exclude<FetchAnswer, { kind: 'mail' }>> {
    if (mails.length === 0) return;
    const request = {
      ...this.#fetchOf(mails, dataBytes, uncounted),
      items: { flags: true },
      answers: () => true,
    };
    for await (const { kind, mail } of fetchByUid(this.#folder, request, () => {})) {
      const refusal = { status: 'NO', text: `0 of ${mail.sizeBytes} bytes were sent` } as const;
      yield kind === 'missing' ? { kind: 'gone', mail } : this.#unavailable(mail, refusal);
    }
  }

  /** A fetch that is read to its end, as a command of its own. */
  async *#fetchInTurn<M extends MailRef>(
    request: UidFetch<M>,
    doing: string,
  ): AsyncGenerator<FetchOutcome<M>, void, undefined> {
    if (request.mails.length === 0) return;
    const release = await this.#folder.enter();
    try {
      yield* fetchByUid(this.#folder, request, () => {});
    } catch (error) {
      throw this.#folder.connection.fail(error, doing);
    } finally {
      release();
    }
  }

  #fetchOf<M extends MailRef>(
    mails: readonly M[],
    largestBytes: number,
    intake: LiteralIntake,
  ): Pick<UidFetch<M>, 'mails' | 'silenceMs' | 'largestBytes' | 'intake'> {
    return { mails, silenceMs: this.#options.timeouts.commandMs, largestBytes, intake };
  }

  #unavailable(mail: MeasuredMail, refusal: Refusal): FetchAnswer & { kind: 'unavailable' } {
    const words = quoteRefusal(refusal, this.#folder.connection.state.secrets).replace(/\.+$/, '');
    const sentence = `The mail with UID ${mail.id} in folder "${quoteServerText(this.#folderName)}" can't be fetched: the server answers ${words}. Look at it in a mail program.`;
    return { kind: 'unavailable', mail, sentence };
  }

  #requireMovable(): void {
    const { moveToFolder } = this.#options;
    if (moveToFolder === undefined) return;
    const isItself = [this.#folderName, moveToFolder].map((name) =>
      name.toUpperCase() === 'INBOX' ? 'INBOX' : name,
    );
    if (isItself[0] === isItself[1]) {
      throw new Failure(
        'config',
        `moveToFolder is the folder that is polled, "${quoteServerText(moveToFolder)}". Name another one.`,
      );
    }
    const { capabilities } = this.#folder.connection.client;
    if (capabilities.has('MOVE') || capabilities.has('UIDPLUS')) return;
    throw new Failure(
      'folder',
      `Mails can't be moved to folder "${quoteServerText(moveToFolder)}" at ${this.endpoint}: the server has neither MOVE nor UIDPLUS. Leave moveToFolder empty.`,
    );
  }

  #requireWritable({ readOnly, permanentFlags }: MailboxObject): void {
    const flag = this.#options.deleteMails ? '\\Deleted' : '\\Seen';
    const keeps = permanentFlags === undefined || permanentFlags.has('\\*') || permanentFlags.has(flag);
    if (readOnly !== true && keeps) return;
    throw new Failure(
      'folder',
      `Folder "${quoteServerText(this.#folderName)}" at ${this.endpoint} is read-only for this login, so its mails can't be marked as done. Give the login the right to change ${flag}.`,
    );
  }
}

/** Mails that one command brought no mail for, and that need another one. */
interface Again {
  /** Nothing was said about them. */
  readonly silent: MeasuredMail[];
  readonly empty: MeasuredMail[];
  readonly larger: MeasuredMail[];
  /** They came marked as read, and were unread when they were measured. */
  readonly marked: MeasuredMail[];
}

/** What a server may say to the request for a piece; `empty` is past the end, or no mail at all. */
type PieceAnswer = 'empty' | Exclude<FetchAnswer, { kind: 'mail' }>;

/** Mails in order: some that are fetched whole, by one command, and behind them one that is streamed. */
function* batchesOf(
  mails: readonly MeasuredMail[],
  wholeBytes: number,
): Generator<{ readonly whole: readonly MeasuredMail[]; readonly streamed?: MeasuredMail }> {
  let whole: MeasuredMail[] = [];
  for (const mail of mails) {
    if (mail.sizeBytes <= wholeBytes) {
      whole.push(mail);
      continue;
    }
    yield { whole, streamed: mail };
    whole = [];
  }
  yield { whole };
}

function intakeOf(held: FetchMemory, largestBytes: number): LiteralIntake {
  return {
    largestBytes,
    hold: () => held.hold(),
    giveBack: (holding: Holding) => held.giveBack(holding),
  };
}

/** What can be put into a command, and read. */
function isFolderName(name: string): boolean {
  return name !== '' && name.length <= 255 && !/\p{Cc}/u.test(name);
}

function isDone(flags: ReadonlySet<string> | undefined): boolean {
  return flags?.has('\\seen') === true || flags?.has('\\deleted') === true;
}

/** A response that holds the mail, whole or as the piece asked for; NIL counts, as the server's answer. */
function holdsBody(data: FetchData): boolean {
  return data.body !== undefined;
}

function measureOf({
  sizeBytes = 0,
  internalDate,
}: FetchData): Pick<MeasuredMail, 'sizeBytes' | 'receivedAt'> {
  const receivedAt = internalDate === undefined ? undefined : new Date(internalDate);
  const dated = receivedAt !== undefined && !Number.isNaN(receivedAt.getTime());
  return { sizeBytes, ...(dated ? { receivedAt } : {}) };
}

/** Not every type that imapflow declares is what a server sends. */
function uidValidityOf({ uidValidity }: Partial<MailboxObject>): bigint {
  if (uidValidity !== undefined) return uidValidity;
  throw new Failure(
    'protocol',
    'The IMAP server gives no UIDVALIDITY for the folder, so its mails could not be told apart. Poll it by POP3.',
  );
}

import type { MailboxObject } from 'imapflow';
import { Failure, toFailure } from '../../failure/failure.ts';
import type {
  FetchAnswer,
  LeftOutMail,
  MailboxOptions,
  MailboxSample,
  MailboxSession,
  MailMemory,
  MailRef,
  MeasuredMail,
} from '../mailbox.ts';
import { hostAndPort } from '../networkFailure.ts';
import { quoteServerText } from '../serverText.ts';
import { isStandIn, largestStandInBytes } from '../standIn.ts';
import { Candidates, filteredFields, mailRef } from './candidates.ts';
import type { FetchItems } from './fetchCommand.ts';
import { type FetchData, nilBody, unreadBody } from './fetchResponse.ts';
import { Folder, type OpenFolder } from './folder.ts';
import type { Refusal } from './imapFailure.ts';
import { describeUnavailable, MailFetch, standIn } from './mailFetch.ts';
import { SettleCommands } from './settleCommands.ts';
import { dataBytes, fetchByUid, type UidFetch } from './uidFetch.ts';

/** Not 0, which would let an empty answer pass for an empty mail. */
const unknownSizeBytes = 1;
/** The header fields of one mail. */
const maxHeaderBytes = 4 * 1024 * 1024;

/** UIDs that a sentence names. */
const maxNamed = 10;
/** What a person may choose from. */
const maxFolders = 500;
const listFoldersMs = 10_000;

/**
 * A logged-in session on one IMAP folder. Candidates are neither \Seen nor \Deleted: what is flagged \Deleted was
 * removed by someone, or was delivered and had to be left so on a server without UIDPLUS.
 */
export class ImapSession implements MailboxSession {
  readonly endpoint: string;
  readonly mailboxId: string;
  /** A SEARCH gives all there are. */
  readonly hasMore = false;
  readonly #options: MailboxOptions;
  readonly #folder: Folder;
  readonly #settleCommands: SettleCommands;
  readonly #candidates: Candidates;
  /** Why the header of a mail, which the filter needs, is not to be had; by UID. */
  readonly #withheld = new Map<number, string>();
  leftRead: Failure | undefined;
  /** Resolves when no settle is under way. */
  #settled: Promise<unknown> = Promise.resolve();

  /** Throws a `Failure` when the folder can't be polled as configured. `connect` makes the connection anew. */
  constructor(options: MailboxOptions, opened: OpenFolder, connect: () => Promise<OpenFolder>) {
    const { host, security, username, folder, timeouts } = options;
    this.#options = options;
    const name = canonicalName(folder);
    this.endpoint = `${security === 'tls' ? 'imaps' : 'imap'}://${hostAndPort(options)}/${name}`;
    const uidValidity = uidValidityOf(opened.mailbox);
    this.mailboxId = JSON.stringify(['imap', host.toLowerCase(), username, name, `${uidValidity}`]);
    this.#folder = new Folder(name, opened, connect, timeouts);
    this.#requireWritable(opened.mailbox);
    this.#settleCommands = new SettleCommands(this.#folder);
    this.#requireMovable();
    const commands = {
      search: () => this.#search(),
      readHeaders: this.#readHeaders.bind(this),
      markRead: async (uids: readonly number[]) => {
        await this.#settleCommands.mark(uids, 'read');
        for (const uid of uids) this.#folder.unread.delete(uid);
      },
    };
    this.#candidates = new Candidates(commands, this.mailboxId, options);
  }

  async list(limit: number, mayLook?: () => boolean): Promise<readonly MailRef[]> {
    return (await this.#candidates.next(limit, mayLook)).map(mailRef);
  }

  takeLeftOut(): readonly LeftOutMail[] {
    return this.#candidates.takeLeftOut();
  }

  get lookedAt(): string | undefined {
    return this.#candidates.lookedAt;
  }

  async sample(limit: number, maxBytes: number): Promise<MailboxSample> {
    const uids = await this.#search();
    const looked = uids.slice(0, limit);
    const mails = looked.map(mailRef);
    const heads = await this.readHeads(mails, maxBytes);
    // A server that marks what is looked at lists none of them any more.
    const listed = await this.#stillListed(mails);
    if (!looked.some((uid) => listed.has(uid))) await this.#settleCommands.mark(looked, 'unread');
    return { count: uids.length, heads: mails.flatMap((mail) => heads.get(mail) ?? []) };
  }

  async listFolders(): Promise<readonly string[]> {
    const names = await this.#folder.run(
      'listing the folders',
      (connection) => connection.deferred.listFolders(),
      listFoldersMs,
    );
    return [...new Set(names)].filter(isFolderName).sort().slice(0, maxFolders);
  }

  async listHalfSettled(): Promise<readonly MailRef[]> {
    const { deleteMails, moveToFolder, headerFilter } = this.#options;
    // The filter may have been another one when they were fetched.
    const left = headerFilter === undefined ? [] : await this.#search();
    const leaves = moveToFolder !== undefined || deleteMails;
    const done = leaves ? await this.#settleCommands.findReadOrDeleted() : [];
    return [...left, ...done].map(mailRef);
  }

  async readHeads(mails: readonly MailRef[], maxBytes: number): Promise<ReadonlyMap<MailRef, Buffer>> {
    const heads = new Map<MailRef, Buffer>();
    const items = { body: { start: 0, maxLength: maxBytes } };
    const request = { mails, items, largestBytes: Math.max(dataBytes, maxBytes) };
    for await (const { mail, data } of this.#fetchInTurn(request, 'reading the beginnings of mails')) {
      if (data) heads.set(mail, (data.body ?? nilBody).subarray(0, maxBytes));
    }
    return heads;
  }

  async measure(mails: readonly MailRef[]): Promise<readonly MeasuredMail[]> {
    const measured = new Map<number, MeasuredMail>();
    const request: UidFetch<MailRef> = { mails, items: { names: ['FLAGS', 'INTERNALDATE', 'RFC822.SIZE'] } };
    for await (const { mail, data } of this.#fetchInTurn(request, 'measuring mails')) {
      // Without data it is there all the same; that it can't be handed over is said by the fetch.
      const { flags, sizeBytes = unknownSizeBytes, internalDate = '' } = data ?? {};
      const receivedAt = new Date(internalDate);
      const isDated = !Number.isNaN(receivedAt.getTime());
      measured.set(mail.id, { ...mail, sizeBytes, ...(isDated ? { receivedAt } : {}) });
      const isDone = flags?.has('\\seen') || flags?.has('\\deleted');
      if (!isDone) this.#folder.unread.add(mail.id);
    }
    return mails.flatMap((mail) => measured.get(mail.id) ?? []);
  }

  async *fetch(
    mails: readonly MeasuredMail[],
    memory: MailMemory,
  ): AsyncGenerator<FetchAnswer, void, undefined> {
    const fetched: MeasuredMail[] = [];
    for (const mail of mails) {
      const sentence = this.#withheld.get(mail.id);
      if (sentence === undefined) fetched.push(mail);
      else yield { kind: 'unavailable', mail, sentence };
    }
    if (fetched.length > 0) yield* new MailFetch(this.#folder, this.#options, memory).answers(fetched);
  }

  settle(mails: readonly MailRef[], inPlace?: 'in place'): Promise<readonly MailRef[]> {
    const settled = this.#settle(mails, inPlace);
    this.#settled = Promise.allSettled([this.#settled, settled]);
    return settled;
  }

  async close(): Promise<boolean> {
    await this.#settled;
    await this.#leaveRestUnread();
    this.#folder.close();
    return true;
  }

  /** On a server that marks what is asked for, what was not settled must be found by the next session. */
  async #leaveRestUnread(): Promise<void> {
    const { peek, unread, connection } = this.#folder;
    if (peek !== 'marks read' || unread.size === 0) return;
    try {
      if (connection.failure !== undefined) await this.#folder.reconnect(connection.failure);
      await this.#settleCommands.mark([...unread], 'unread');
      unread.clear();
    } catch (error) {
      this.leftRead = describeLeftRead([...unread], toFailure(error, 'marking mails as unread'));
    }
  }

  async #settle(mails: readonly MailRef[], inPlace?: 'in place'): Promise<readonly MailRef[]> {
    const uids = mails.map((mail) => mail.id);
    const { deleteMails, moveToFolder } = this.#options;
    let stay: readonly number[] = [];
    if (moveToFolder !== undefined && !inPlace) stay = await this.#settleCommands.move(uids, moveToFolder);
    else if (deleteMails) stay = await this.#settleCommands.delete(uids);
    else await this.#settleCommands.mark(uids, 'read');
    this.#candidates.settled(uids);
    for (const uid of uids) this.#folder.unread.delete(uid);
    return mails.filter(({ id }) => stay.includes(id));
  }

  #search(): Promise<readonly number[]> {
    const unread = { seen: false, deleted: false };
    return this.#folder.search(unread, 'listing the unread mails');
  }

  /** Gives those whose header the server withholds. */
  async #readHeaders(
    uids: readonly number[],
    take: (uid: number, header: Buffer) => void,
  ): Promise<readonly number[]> {
    const items: FetchItems = { names: ['FLAGS'], header: filteredFields };
    const request = { mails: uids.map(mailRef), items, largestBytes: maxHeaderBytes };
    const withheld = new Map<MailRef, Refusal>();
    const marked: number[] = [];
    let isEachMarked = true;
    for await (const { mail, data, refusal } of this.#fetchInTurn(request, 'reading headers')) {
      const { header = nilBody } = data ?? {};
      const why = refusal ?? refusalOfHeader(header);
      if (why === undefined) take(mail.id, header);
      else withheld.set(mail, why);
      if (data?.flags?.has('\\seen')) marked.push(mail.id);
      else if (data?.flags) isEachMarked = false;
    }
    // Unread when they were found just now: where each is read now, that was this look.
    if (isEachMarked && this.#folder.peek !== 'leaves unread') {
      if (marked.length > 0) this.#folder.peek = 'marks read';
      for (const uid of marked) {
        this.#folder.unread.add(uid);
        this.#folder.markedHere.add(uid);
      }
    }
    // Whether it has a Received field, which nobody asked for and no stand-in has, its beginning tells.
    const doubtful = [...withheld.keys()].filter((mail) => withheld.get(mail) === standIn);
    for (const [mail, head] of await this.readHeads(doubtful, largestStandInBytes)) {
      if (isStandIn(head)) continue;
      withheld.delete(mail);
      take(mail.id, head);
    }
    // Dovecot gives no header of a mail that was removed just now.
    const listed = await this.#stillListed([...withheld.keys()]);
    for (const [mail, why] of withheld)
      if (listed.has(mail.id)) this.#withheld.set(mail.id, describeUnavailable(this.#folder, mail.id, why));
    return uids.filter((uid) => this.#withheld.has(uid));
  }

  #stillListed(mails: readonly MailRef[]): Promise<ReadonlySet<number>> {
    return this.#folder.run('looking for mails', () => this.#folder.stillListed(mails));
  }

  /** A fetch that is read to its end, as a command of its own: what the server says about each mail that is there. */
  async *#fetchInTurn(
    request: UidFetch<MailRef>,
    doing: string,
  ): AsyncGenerator<{ mail: MailRef; data?: FetchData; refusal?: Refusal }, void, undefined> {
    const release = await this.#folder.enter();
    try {
      for await (const outcome of fetchByUid(this.#folder, request)) {
        if (outcome.kind !== 'missing') yield outcome;
      }
    } catch (error) {
      throw this.#folder.connection.fail(error, doing);
    } finally {
      release();
    }
  }

  #requireMovable(): void {
    const { moveToFolder } = this.#options;
    if (moveToFolder === undefined) return;
    if (this.#folder.name === canonicalName(moveToFolder)) {
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
    const { deleteMails, moveToFolder } = this.#options;
    // Without MOVE they are copied, then removed: what can't be removed would be copied by every run.
    const copies = moveToFolder !== undefined && !this.#folder.connection.client.capabilities.has('MOVE');
    const flags = [...(deleteMails ? [] : ['\\Seen']), ...(deleteMails || copies ? ['\\Deleted'] : [])];
    const isKept = (flag: string) => permanentFlags?.has('\\*') !== false || permanentFlags.has(flag);
    const flag = readOnly === true ? flags[0] : flags.find((each) => !isKept(each));
    if (flag === undefined) return;
    throw new Failure(
      'folder',
      `Folder "${quoteServerText(this.#folder.name)}" at ${this.endpoint} is read-only for this login, so its mails can't be marked as done. Give the login the right to change ${flag}.`,
    );
  }
}

function describeLeftRead(uids: readonly number[], { reason, message }: Failure): Failure {
  const named = uids.slice(0, maxNamed).join(', ');
  const others = uids.length > maxNamed ? ` and ${uids.length - maxNamed} more` : '';
  return new Failure(
    reason,
    `The mail server marks as read what is fetched, and mails that were not brought away could not be marked as unread again: UID ${named}${others}. Mark them as unread, or they are not found again. ${message}`,
  );
}

/** INBOX is the same in any case (RFC 3501, 5.1). */
function canonicalName(folder: string): string {
  return folder.toUpperCase() === 'INBOX' ? 'INBOX' : folder;
}

/** What can be put into a command, and read. */
function isFolderName(name: string): boolean {
  return name !== '' && name.length <= 255 && !/\p{Cc}/u.test(name);
}

/** Why a header that came is none. */
function refusalOfHeader(header: Buffer): Refusal | undefined {
  if (header === unreadBody) return { status: 'OK', text: 'with an endless header' };
  if (header.length === 0) return { status: 'OK', text: 'without its header' };
  return isStandIn(header) ? standIn : undefined;
}

/** Not every type that imapflow declares is what a server sends. */
function uidValidityOf({ uidValidity }: Partial<MailboxObject>): bigint {
  if (uidValidity !== undefined) return uidValidity;
  throw new Failure(
    'protocol',
    'The IMAP server gives no UIDVALIDITY for the folder, so its mails could not be told apart. Poll it by POP3.',
  );
}

import { createHash } from 'node:crypto';
import { Failure } from '../../failure/failure.ts';
import type { HeaderFilter, LeftOutMail, MailboxOptions, MailRef } from '../mailbox.ts';

/** The header fields that a filter looks at, and those that a person looks for what became of a mail by. */
export const filteredFields: readonly string[] = [
  ...['From', 'To', 'Cc', 'Delivered-To', 'X-Original-To', 'Subject', 'Message-ID', 'Date'],
];

/**
 * How many mails' headers are asked for with one command, and how many are marked: their UIDs, at most ten digits each,
 * fit one command line, so that it is known of all of them whether they were.
 */
const headersAtOnce = 700;
const maxKeptHeaderBytes = 16 * 1024;
/** So many were left out since they were last taken: the next ones are given before any more are looked at. */
const maxLeftOut = 1_000;
/** Mails that stay though the filter takes them, and that a mark names; it ends before further ones. */
const maxNamed = 100;

export interface CandidateCommands {
  /** The UIDs of all unread mails, ascending. */
  search(): Promise<readonly number[]>;
  /**
   * Gives the header of each of these mails to `take`, in any order, those that are gone left out. Resolves to those
   * that are there and whose header is not to be had.
   */
  readHeaders(
    uids: readonly number[],
    take: (uid: number, header: Buffer) => void,
  ): Promise<readonly number[]>;
  markRead(uids: readonly number[]): Promise<void>;
}

export type CandidateOptions = Pick<MailboxOptions, 'headerFilter' | 'unmatchedMails' | 'lookedAt'>;

/**
 * The unread mails of a folder that the filter takes, page by page, after one SEARCH. What an earlier session looked
 * at and left is not looked at again, as long as those same mails are unread: kept as the highest UID that was looked
 * at, the UIDs up to it that are to be looked at again, and of the other unread ones the count and a hash.
 */
export class Candidates {
  readonly #commands: CandidateCommands;
  /** Its hash: UIDVALIDITY alone is the same in many a mailbox. */
  readonly #mailbox: string;
  readonly #filter: HeaderFilter | undefined;
  readonly #marksLeftOut: boolean;
  readonly #lookedAtBefore: string;
  /** To be looked at, ascending, from `#next` on; undefined before the SEARCH. */
  #ahead: readonly number[] | undefined;
  #next = 0;
  /** Taken by the filter and not listed yet. */
  readonly #taken: number[] = [];
  /** Listed or to be listed, and not settled; or such that could not be looked at. */
  readonly #open = new Set<number>();
  /** Looked at and left unread. */
  #left: number[] = [];
  readonly #leftOut: LeftOutMail[] = [];
  #lookedUpTo = 0;

  constructor(
    commands: CandidateCommands,
    mailboxId: string,
    { headerFilter, unmatchedMails, lookedAt = '' }: CandidateOptions,
  ) {
    this.#commands = commands;
    this.#mailbox = hashOf(mailboxId);
    this.#filter = headerFilter;
    this.#marksLeftOut = unmatchedMails === 'markRead';
    this.#lookedAtBefore = lookedAt;
  }

  /** The next ones, at most `limit`; none when there are no more, or when so many were left out that they are to be taken, or `mayLook` says no. */
  async next(limit: number, mayLook = () => true): Promise<readonly number[]> {
    const filter = this.#filter;
    this.#ahead ??= this.#leaveLookedAt(await this.#commands.search());
    if (filter === undefined) {
      const page = this.#ahead.slice(this.#next, this.#next + Math.max(0, limit));
      this.#next += page.length;
      return page;
    }
    const isDone = () => this.#taken.length >= limit || this.#leftOut.length >= maxLeftOut;
    while (this.#next < this.#ahead.length && !isDone() && mayLook()) {
      const uids = this.#ahead.slice(this.#next, this.#next + headersAtOnce);
      await this.#lookAt(uids, filter);
      this.#next += uids.length;
    }
    return this.#taken.splice(0, Math.max(0, limit));
  }

  takeLeftOut(): readonly LeftOutMail[] {
    return this.#leftOut.splice(0);
  }

  settled(uids: readonly number[]): void {
    for (const uid of uids) this.#open.delete(uid);
  }

  /** What a later session is to be given; undefined without a filter and before the SEARCH. */
  get lookedAt(): string | undefined {
    if (this.#filter === undefined || this.#ahead === undefined) return undefined;
    const open = [...this.#open].sort((one, other) => one - other);
    const uid = Math.min(this.#lookedUpTo, (open[maxNamed] ?? Number.POSITIVE_INFINITY) - 1);
    const named = open.slice(0, maxNamed).filter((one) => one <= uid);
    const left = this.#left.filter((one) => one <= uid);
    const parts = [this.#mailbox, [uid, ...named].join(','), left.length, hashOfUids(left)];
    return [...parts, this.#filter.fingerprint].join(':');
  }

  /** Gives what has to be looked at, of all that was found. */
  #leaveLookedAt(found: readonly number[]): readonly number[] {
    const [mailbox, uids = '', count, hash, ...fingerprint] = this.#lookedAtBefore.split(':');
    const isSame = mailbox === this.#mailbox && fingerprint.join(':') === this.#filter?.fingerprint;
    if (!isSame || this.#marksLeftOut) return found;
    const [last = 0, ...named] = uids.split(',').map(Number);
    const open = new Set(named);
    const left = found.filter((uid) => uid <= last && !open.has(uid));
    if (`${left.length}` !== count || hashOfUids(left) !== hash) return found;
    this.#left = left;
    for (const uid of found) if (open.has(uid)) this.#open.add(uid);
    this.#lookedUpTo = last;
    return found.filter((uid) => uid > last || open.has(uid));
  }

  async #lookAt(uids: readonly number[], filter: HeaderFilter): Promise<void> {
    const leftOut: LeftOutMail[] = [];
    const unseen = new Set(uids);
    const taken: number[] = [];
    const withheld = await this.#commands.readHeaders(uids, (uid, header) => {
      unseen.delete(uid);
      this.#open.delete(uid);
      if (filter.takes(header)) taken.push(uid);
      else if (this.#marksLeftOut) {
        leftOut.push({ mail: mailRef(uid), header: Buffer.from(header.subarray(0, maxKeptHeaderBytes)) });
      } else this.#left.push(uid);
    });
    // Gone, or to be looked at by the next session.
    for (const uid of unseen) this.#open.add(uid);
    // A candidate, so that the fetch says of it that it can't be had.
    taken.push(...withheld);
    taken.sort((one, other) => one - other);
    for (const uid of taken) this.#open.add(uid);
    this.#taken.push(...taken);
    this.#lookedUpTo = Math.max(this.#lookedUpTo, ...uids);
    if (leftOut.length === 0) return;
    try {
      await this.#commands.markRead(leftOut.map(({ mail }) => mail.id));
    } catch (error) {
      const isRefused = error instanceof Failure && /^(protocol|busy)$/.test(error.reason);
      // Without an answer they may be marked, and then no session finds them again.
      if (!isRefused) this.#leftOut.push(...leftOut);
      throw error;
    }
    this.#leftOut.push(...leftOut);
  }
}

export function mailRef(uid: number): MailRef {
  return { key: `${uid}`, id: uid };
}

function hashOfUids(uids: readonly number[]): string {
  return hashOf(Uint32Array.from(uids).sort());
}

function hashOf(content: string | Uint32Array): string {
  return createHash('sha256').update(content).digest('base64url').slice(0, 22);
}

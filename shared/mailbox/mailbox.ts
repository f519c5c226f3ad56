import { Failure } from '../failure/failure.ts';
import type { MailBuffers } from './mailBuffers.ts';

/** A mail that the server lists. */
export interface MailRef {
  /** The UID (IMAP) or UIDL (POP3), else `sha256:{hex}:{number among equal ones}`; unique within `mailboxId`. */
  readonly key: string;
  /** What this session calls it: the IMAP UID or the POP3 message number. */
  readonly id: number;
}

/** A mail whose size is known. */
export interface MeasuredMail extends MailRef {
  /** RFC822.SIZE or the size that LIST gives, in bytes; servers err, some by far. */
  readonly sizeBytes: number;
  /** INTERNALDATE; POP3 has none. */
  readonly receivedAt?: Date;
}

/** Memory that one mail holds of the process's budget; given back in one place, by its owner. */
export interface Holding {
  /** Waits until so many more bytes may be held. Rejects when the run is to end. */
  grow(sizeBytes: number): Promise<void>;
  /** Gives back all of it, what is still being waited for too. Idempotent. */
  release(): void;
}

export interface MailMemory {
  /** Opens a mail's account, which holds nothing yet. */
  hold(): Holding;
}

/** A mail that was handed over, whole or as a stream. */
export interface FetchedMail {
  readonly kind: 'mail';
  readonly mail: MeasuredMail;
  /** All bytes, as the server holds them (last CRLF kept); undefined for a streamed mail, and once they were freed. */
  readonly whole: Buffer | undefined;
  /**
   * The bytes from the start; a streamed mail, which can be opened until the next one is asked for, is fetched anew at
   * a second call. Rejects, or the iteration does, with a `Failure`; with `MailGone` where someone has removed the mail.
   */
  open(): Promise<AsyncIterable<Buffer>>;
  /** Nobody reads its bytes any more: their memory may serve the next mail. Idempotent. */
  freeBytes(): void;
  /**
   * To be called once the mail is done with: gives back what it holds of the budget. Bytes that were not freed are left
   * to garbage collection, since a message may still refer to them. Idempotent.
   */
  release(): void;
}

/** What was handed over as a stream was expunged before it was read to its end. */
export class MailGone extends Failure {}

/** What became of one mail that was asked for. */
export type FetchAnswer = FetchedMail | NoMail;

export type NoMail =
  /** Expunged, read or deleted since it was listed: another run or person has dealt with it. */
  | { readonly kind: 'gone'; readonly mail: MeasuredMail }
  /** The server lists it but can't hand it over; `sentence` says what it answered. */
  | { readonly kind: 'unavailable'; readonly mail: MeasuredMail; readonly sentence: string };

/** An unread mail that the filter leaves out and that was marked as read for it. */
export interface LeftOutMail {
  readonly mail: MailRef;
  /** The fields that the filter looks at, Message-ID and Date, as they stand; at most 16 KiB. */
  readonly header: Buffer;
}

/** A look at a mailbox, for a person. */
export interface MailboxSample {
  /** How many mails there are that are unread (IMAP), or all (POP3), whether or not the filter takes them. */
  readonly count: number;
  /** How the first of them begin. */
  readonly heads: readonly Buffer[];
}

/**
 * One logged-in session on one mailbox: the only way the rest of the app sees IMAP and POP3.
 *
 * Every method ends within its own deadline, and soon after `MailboxOptions.signal` has fired. It rejects with a
 * `Failure`, after which the session is of no more use and `close` must still be called. Methods may be called while
 * another one runs; they are queued (but `settle` must not be awaited from within the loop over `fetch`).
 */
export interface MailboxSession {
  /** `imaps://host:993/INBOX`, `imap://…`, `pop3s://host:995`, `pop3://…` */
  readonly endpoint: string;

  /** What every mail's identity begins with: protocol, host in lower case, user, and (IMAP) folder and UIDVALIDITY. */
  readonly mailboxId: string;

  /**
   * The next oldest candidates, at most `limit`, each once a session; none when there are no more. Candidates are the
   * mails that are neither read nor flagged \Deleted and that the filter takes, or can't judge (IMAP), or all (POP3,
   * one page a session, since its deletions take effect at QUIT). With `unmatchedMails` at `markRead` the others are
   * marked as read; there are no more candidates only when `takeLeftOut` then gives none either. `mayLook` is asked
   * before each page of headers that the filter needs: where it says no, only what was found by then is given.
   */
  list(limit: number, mayLook?: () => boolean): Promise<readonly MailRef[]>;

  /**
   * The mails that `list` has marked as read since the last call, since the filter leaves them out; or may have
   * marked, where the answer was lost.
   */
  takeLeftOut(): readonly LeftOutMail[];

  /**
   * How far this session and those before it have looked with this filter, to be given to the next one when this one
   * has ended. What the filter takes and was not settled is looked at again. Undefined without a filter or `list`.
   */
  readonly lookedAt?: string | undefined;

  /**
   * How many mails wait, and the first `maxBytes` of each of the first `limit`; marks and retrieves none. POP3 gives
   * headers by TOP (RFC 1939, 7), none where that may count as retrieval. Not to be mixed with `list` in one session.
   */
  sample(limit: number, maxBytes: number): Promise<MailboxSample>;

  /** The folders that can be polled, as people see them, in order, at most 500; none by POP3. Within ten seconds. */
  listFolders(): Promise<readonly string[]>;

  /** Candidates that this session can't reach any more, so that another one is needed. Known after `list`. */
  readonly hasMore: boolean;

  /**
   * Mails that a run can have left half settled: with `deleteMails` or `moveToFolder` those that are \Seen, maybe since
   * a person has read them, or \Deleted; with a filter also every unread one, which `list` may leave out.
   */
  listHalfSettled(): Promise<readonly MailRef[]>;

  /** The first `maxBytes` of each of these mails that is still there, whatever its flags, uncounted. By POP3 none. */
  readHeads(mails: readonly MailRef[], maxBytes: number): Promise<ReadonlyMap<MailRef, Buffer>>;

  /** The size of each of these, in order; those that are gone since are left out. */
  measure(mails: readonly MailRef[]): Promise<readonly MeasuredMail[]>;

  /**
   * Fetches these mails in order, pipelined on the wire; the consumer's pace holds the server back. A mail up to
   * `MailboxOptions.wholeBytes` comes whole, a larger one as a stream, which must be read (or abandoned by
   * `release`) before the next mail is asked for. Each of `mails` is answered exactly once. Looks again whether each
   * is still a candidate, at the moment of the fetch. Marks nothing.
   *
   * Takes memory from `memory` before a mail's bytes are read, by what the server announces, and of a stream as its
   * bytes arrive, at most `MailboxOptions.streamBytes`. A mail that was handed over owns what it holds; the rest
   * goes back however the fetch ends.
   */
  fetch(mails: readonly MeasuredMail[], memory: MailMemory): AsyncIterable<FetchAnswer>;

  /**
   * Settles delivered mails, half-settled ones too: IMAP marks them read, moves them, or deletes and expunges just
   * them; POP3 deletes them, which takes effect at `close`. Those that are gone already count as settled. With
   * `inPlace` nothing is moved. Resolves to those that stay on the server flagged \Deleted, since it can't expunge
   * just them (no UIDPLUS) and others are flagged too: a later run is to settle them again.
   */
  settle(mails: readonly MailRef[], inPlace?: 'in place'): Promise<readonly MailRef[]>;

  /**
   * Ends the session (QUIT, LOGOUT) after a settle that is under way; called in the same turn as that, it costs no
   * further round trip on a POP3 server that takes pipelining. Resolves to whether what `settle` did holds for good:
   * false after a POP3 QUIT that was not confirmed. Never rejects; safe to call twice and after a failure.
   */
  close(): Promise<boolean>;

  /** After `close`: the words with which the server refused QUIT, and so the deletions. */
  readonly quitRefusal?: string | undefined;

  /**
   * After `close`: that mails which were not settled stay marked as read, on a server that marks what is fetched, so
   * that nobody would look for them again.
   */
  readonly leftRead?: Failure | undefined;
}

/** How to reach and use a mailbox; made from a connection's config by `connection/`. */
export interface MailboxOptions {
  readonly protocol: 'imap' | 'pop3';
  readonly host: string;
  readonly port: number;
  /** `tls`: from the first byte; `starttls`: upgraded before login or failed; `plain`: never upgraded. */
  readonly security: 'tls' | 'starttls' | 'plain';
  /** PEM to trust besides the system's. */
  readonly caCertificate?: string;
  readonly username: string;
  readonly credential: MailCredential;
  /** IMAP only. */
  readonly folder: string;
  /** IMAP: delete instead of marking read. POP3 deletes always. */
  readonly deleteMails: boolean;
  /** IMAP only: which mails are candidates; absent: every unread one. */
  readonly headerFilter?: HeaderFilter;
  /** What becomes of unread mails that the filter leaves out; absent: `leave`. */
  readonly unmatchedMails?: 'leave' | 'markRead';
  /** What an earlier session gave as its `lookedAt`: what that one looked at and left is not looked at again. */
  readonly lookedAt?: string;
  /** IMAP only: settled mails are marked as read and moved there, by its name as people see it. */
  readonly moveToFolder?: string;
  /** To connect to, in this order, when `host` was resolved and checked already; TLS still verifies `host`. */
  readonly addresses?: readonly string[];
  readonly timeouts: MailboxTimeouts;
  /** A mail of more bytes is streamed. */
  readonly wholeBytes: number;
  /** Up to which, in bytes, the holding of a streamed mail grows as its bytes arrive. */
  readonly streamBytes: number;
  /** Where whole mails are read into; new memory when absent. */
  readonly buffers?: MailBuffers;
  /** When it fires, whatever is under way rejects soon, with its reason if that is a `Failure`; the connection goes. */
  readonly signal?: AbortSignal;
}

/** Which mails are candidates, by their header. */
export interface HeaderFilter {
  /** The same for the same filter: what was looked at under another one has to be looked at again. */
  readonly fingerprint: string;
  /** Given the fields From, To, Cc, Delivered-To, X-Original-To and Subject as they stand, and maybe others. */
  takes(header: Buffer): boolean;
}

export type MailCredential =
  | { readonly kind: 'password'; readonly password: string }
  /** Gives a token; `fresh` asks for one that is not from the cache, once, after a refusal. */
  | { readonly kind: 'oauth2'; readonly getToken: (fresh: boolean) => Promise<string> };

export interface MailboxTimeouts {
  /** One deadline for the whole of connect: DNS, TCP, TLS, greeting, STARTTLS, login. */
  readonly connectMs: number;
  /** For opening the mailbox and for listing it, each: SELECT and SEARCH (IMAP), LIST and UIDL (POP3). */
  readonly openMs: number;
  /** One deadline for each command, and for each silence while a mail is on the wire. */
  readonly commandMs: number;
}

export const defaultTimeouts: MailboxTimeouts = {
  connectMs: 30_000,
  openMs: 120_000,
  commandMs: 60_000,
};

/** Opens a session: connects, logs in and (IMAP) selects the folder. Rejects with a `Failure`. */
export type OpenMailbox = (options: MailboxOptions) => Promise<MailboxSession>;

import type { Readable } from 'node:stream';
import type { MailBuffers } from './mailBuffers.ts';

/** A mail that the server lists as a candidate: unread (IMAP), or there at all (POP3). */
export interface MailRef {
  /**
   * The mail's key, the same in every session: `imap:{UIDVALIDITY}:{UID}:{folder}`, `pop3:{UIDL}`, or
   * without UIDL support `pop3-sha256:{hex}:{number among equal ones}`.
   */
  readonly key: string;
  /** What this session calls it: the IMAP UID or the POP3 message number. */
  readonly id: number;
}

/** A candidate whose size is known, so that whoever fetches it can bound memory first. */
export interface MeasuredMail extends MailRef {
  /** RFC822.SIZE or the size that LIST gives, in bytes; servers err by a little. */
  readonly sizeBytes: number;
  /** INTERNALDATE; POP3 has none. */
  readonly receivedAt?: Date;
}

/** What became of one mail that was asked for. */
export type FetchedMail =
  /** `source` is the mail byte for byte, as the server holds it (dot-stuffing undone, last CRLF kept). */
  | { readonly kind: 'mail'; readonly mail: MeasuredMail; readonly source: Buffer }
  /** Expunged, or read, since it was listed: another run or person has dealt with it. */
  | { readonly kind: 'gone'; readonly mail: MeasuredMail }
  /** The server lists it but can't hand it over; `sentence` says what it answered. */
  | { readonly kind: 'unavailable'; readonly mail: MeasuredMail; readonly sentence: string };

/** As `FetchedMail`, for a mail too large to hold: its bytes come as a stream. */
export type StreamedMail =
  | { readonly kind: 'mail'; readonly mail: MeasuredMail; readonly stream: Readable }
  | Exclude<FetchedMail, { kind: 'mail' }>;

/**
 * One logged-in session on one mailbox: the only way the rest of the app sees IMAP and POP3.
 *
 * Every method ends within its own deadline. It rejects with a `Failure`, after which the session is
 * of no more use and `close` must still be called. Methods may be called while another one runs; they
 * are queued (but `settle` must not be awaited from within the loop over `fetch`).
 */
export interface MailboxSession {
  /** `imaps://host:993/INBOX`, `imap://…`, `pop3s://host:995`, `pop3://…` */
  readonly endpoint: string;

  /** All candidates, oldest first, or the oldest `limit` of them. */
  list(limit: number): Promise<readonly MailRef[]>;

  /** The size of each of these, in order; those that are gone since are left out. */
  measure(mails: readonly MailRef[]): Promise<readonly MeasuredMail[]>;

  /**
   * Fetches these mails whole, in order, pipelined on the wire; the consumer's pace holds the server
   * back. Each of `mails` is answered exactly once. Looks again whether each is still a candidate, at the
   * moment of the fetch (IMAP: not \Seen, not expunged). Marks nothing.
   */
  fetch(mails: readonly MeasuredMail[]): AsyncIterable<FetchedMail>;

  /** Fetches one mail as a stream, holding no more than a few pieces of it. */
  openStream(mail: MeasuredMail): Promise<StreamedMail>;

  /**
   * Settles delivered mails: IMAP marks them read or deletes and expunges just them; POP3 deletes them,
   * which takes effect at `close`. Those that are gone already count as settled.
   */
  settle(mails: readonly MailRef[]): Promise<void>;

  /**
   * Ends the session: POP3 QUIT, IMAP LOGOUT, after a settle that is under way. (Called in the same turn as
   * the settle, it costs no further round trip on a POP3 server that takes pipelining.) Resolves to true when
   * what `settle` did holds for good; a POP3 session whose QUIT was not confirmed has deleted nothing that
   * one can rely on, and gives false. Never rejects; safe to call twice and after a failure.
   */
  close(): Promise<boolean>;
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
  /** The address to connect to, when `host` was resolved and checked already; TLS still verifies `host`. */
  readonly address?: string;
  readonly timeouts: MailboxTimeouts;
  /** Where whole mails are read into; new memory when absent. */
  readonly buffers?: MailBuffers;
}

export type MailCredential =
  | { readonly kind: 'password'; readonly password: string }
  /** Gives a token; `fresh` asks for one that is not from the cache, once, after a refusal. */
  | { readonly kind: 'oauth2'; readonly getToken: (fresh: boolean) => Promise<string> };

export interface MailboxTimeouts {
  /** One deadline for the whole of connect: DNS, TCP, TLS, greeting, STARTTLS, login, select. */
  readonly connectMs: number;
  /** One deadline for each command, and for each silence while a mail is on the wire. */
  readonly commandMs: number;
}

export const defaultTimeouts: MailboxTimeouts = { connectMs: 30_000, commandMs: 60_000 };

/** Opens a session: connects, logs in and (IMAP) selects the folder. Rejects with a `Failure`. */
export type OpenMailbox = (options: MailboxOptions) => Promise<MailboxSession>;

import type { MailboxObject, SearchObject } from 'imapflow';
import type { Failure } from '../../failure/failure.ts';
import { withDeadline } from '../../wait/deadline.ts';
import { Limit } from '../../wait/parallel.ts';
import type { MailboxTimeouts, MailRef } from '../mailbox.ts';
import { describeTimeout } from '../networkFailure.ts';
import type { ImapConnection } from './imapConnection.ts';
import { compactUids } from './sequenceSet.ts';

/** Twice for each mail that makes the server drop the connection. */
const maxReconnects = 20;

/** A connection that is logged in and has selected the folder. */
export interface OpenFolder {
  readonly connection: ImapConnection;
  readonly mailbox: MailboxObject;
}

/**
 * The selected folder of one session: used by one command at a time, over a connection that is made anew where a fetch
 * may go on over another one. What fails on it fails for good: every later use rejects with the same `Failure`.
 */
export class Folder {
  /** As it is configured; INBOX in capitals. */
  readonly name: string;
  readonly #connect: () => Promise<OpenFolder>;
  /** How long a command may take, and a fetch be silent. */
  readonly commandMs: number;
  /** How long a command may take that goes through all of the folder. */
  readonly openMs: number;
  readonly #uidValidity: bigint;
  readonly #lock = new Limit(1);
  /** Whether BODY.PEEK[] leaves a mail unread, as it must; some servers mark it, and say so in the same response. */
  peek: 'unknown' | 'leaves unread' | 'marks read' = 'unknown';
  /** UIDs of mails that were unread when this session measured them, and that it has not settled. */
  readonly unread = new Set<number>();
  /** UIDs of mails that were marked as this session read their header: of them the flag says nothing about a person. */
  readonly markedHere = new Set<number>();
  /** Valid until the next `reconnect`. */
  connection: ImapConnection;
  #reconnects = 0;
  #closed = false;

  constructor(
    name: string,
    { connection, mailbox }: OpenFolder,
    connect: () => Promise<OpenFolder>,
    { commandMs, openMs }: MailboxTimeouts,
  ) {
    this.name = name;
    this.connection = connection;
    this.#uidValidity = mailbox.uidValidity;
    this.#connect = connect;
    this.commandMs = commandMs;
    this.openMs = openMs;
  }

  /** Waits for its turn; resolves with the release, which must be called once. */
  async enter(): Promise<() => void> {
    const release = await this.#lock.enter();
    if (this.connection.failure === undefined) return release;
    release();
    throw this.connection.failure;
  }

  /** Gives `command` its turn and its deadline; `doing` as in "listing the mails". */
  async run<T>(
    doing: string,
    command: (connection: ImapConnection) => Promise<T>,
    timeoutMs: number = this.commandMs,
  ): Promise<T> {
    const release = await this.enter();
    try {
      return await this.inTime(command(this.connection), timeoutMs);
    } catch (error) {
      throw this.connection.fail(error, doing);
    } finally {
      release();
    }
  }

  /** The UIDs found in all of the folder, ascending: of a large one it takes a server as long as opening it. */
  search(query: SearchObject, doing: string): Promise<readonly number[]> {
    return this.run(doing, (connection) => connection.search(query, doing), this.openMs);
  }

  /** Settles as `work` does, as it does when the connection fails, or rejects when `timeoutMs` are over. Takes no turn. */
  async inTime<T>(work: Promise<T>, timeoutMs: number = this.commandMs): Promise<T> {
    const late = () => describeTimeout(this.connection.state, timeoutMs);
    return await withDeadline(work, timeoutMs, late);
  }

  /** Which of these mails, about which the server has said nothing, are candidates all the same. Takes no turn. */
  async stillListed(mails: readonly MailRef[]): Promise<ReadonlySet<number>> {
    const listed = new Set<number>();
    for (const uid of compactUids(mails.map(({ id }) => id))) {
      const query = { uid, seen: false, deleted: false };
      const found = await this.inTime(this.connection.search(query, 'looking for mails'));
      for (const id of found) listed.add(id);
    }
    return listed;
  }

  /** Connects anew; rejects with `lost` after too often, or when the folder's UIDs mean other mails now. */
  async reconnect(lost: Failure): Promise<void> {
    this.#reconnects += 1;
    if (this.#closed || this.#reconnects > maxReconnects) throw lost;
    const { connection, mailbox } = await this.#connect();
    if (this.#closed || mailbox.uidValidity !== this.#uidValidity) {
      connection.logout();
      throw lost;
    }
    this.connection = connection;
  }

  /** Never rejects, and waits for nobody. */
  close(): void {
    this.#closed = true;
    this.connection.logout();
  }
}

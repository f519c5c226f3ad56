import type { MailboxObject } from 'imapflow';
import { Failure } from '../../failure/failure.ts';
import type {
  FetchedMail,
  MailboxOptions,
  MailboxSession,
  MailRef,
  MeasuredMail,
  StreamedMail,
} from '../mailbox.ts';
import { quoteServerText } from '../serverText.ts';
import { nilSource, type Row } from './fetchResponse.ts';
import { FolderConnection, type OpenFolder } from './folderConnection.ts';
import { quoteRefusal, type Refusal } from './imapFailure.ts';
import { streamPieces } from './pieceStream.ts';
import { Settling } from './settling.ts';
import { fetchByUid } from './uidFetch.ts';

/** A piece of a streamed mail: a round trip each, and about three of them in memory. */
const pieceBytes = 4 * 1024 * 1024;
/** Not 0, which would let an empty answer pass for an empty mail. */
const unknownSizeBytes = 1;
/** A row without a body takes no more than this on the wire. */
const rowBytes = 1024 * 1024;

/**
 * A logged-in session on one IMAP folder.
 *
 * Candidates are the mails that are neither \Seen nor \Deleted: a mail flagged \Deleted is one that someone
 * removed already, or that this app delivered and had to leave flagged on a server without UIDPLUS.
 */
export class ImapSession implements MailboxSession {
  readonly endpoint: string;
  readonly #folder: FolderConnection;
  readonly #settling: Settling;
  readonly #commandMs: number;
  readonly #deleteMails: boolean;
  readonly #folderName: string;
  readonly #uidValidity: bigint;
  /** Resolves when no settle is under way. */
  #settled: Promise<unknown> = Promise.resolve();

  /** Throws a `Failure` when the folder can't be polled as configured. `connect` makes the connection anew. */
  constructor(options: MailboxOptions, opened: OpenFolder, connect: () => Promise<OpenFolder>) {
    const { host, port, security, folder, timeouts, deleteMails } = options;
    this.#commandMs = timeouts.commandMs;
    this.#deleteMails = deleteMails;
    this.#folderName = folder.toUpperCase() === 'INBOX' ? 'INBOX' : folder;
    this.endpoint = `${security === 'tls' ? 'imaps' : 'imap'}://${host}:${port}/${this.#folderName}`;
    this.#uidValidity = uidValidityOf(opened.mailbox);
    this.#requireWritable(opened.mailbox);
    this.#folder = new FolderConnection(opened, connect, timeouts.commandMs);
    this.#settling = new Settling(this.#folder);
  }

  async list(limit: number): Promise<readonly MailRef[]> {
    const uids = await this.#folder.run('listing the unread mails', async (connection) => {
      const found = await connection.client.search({ seen: false, deleted: false }, { uid: true });
      if (!Array.isArray(found)) throw connection.describeFalse('listing the unread mails');
      return found;
    });
    return uids.slice(0, limit).map((uid) => ({ key: this.#keyOf(uid), id: uid }));
  }

  async measure(mails: readonly MailRef[]): Promise<readonly MeasuredMail[]> {
    const measured = new Map<number, MeasuredMail>();
    await this.#folder.run('measuring mails', async () => {
      const request = {
        mails,
        query: { size: true, internalDate: true },
        answers: (row: Row) => row.sizeBytes !== undefined,
        ...{ silenceMs: this.#commandMs, largestBytes: rowBytes },
      };
      for await (const answer of fetchByUid(this.#folder, request, () => {})) {
        const { mail } = answer;
        if (answer.kind === 'row') measured.set(mail.id, { ...mail, ...measureOf(answer.row) });
        // It is there; that it can't be handed over is said by the fetch.
        if (answer.kind === 'refused') measured.set(mail.id, { ...mail, sizeBytes: unknownSizeBytes });
      }
    });
    return mails.flatMap((mail) => measured.get(mail.id) ?? []);
  }

  async *fetch(mails: readonly MeasuredMail[]): AsyncGenerator<FetchedMail, void, undefined> {
    if (mails.length === 0) return;
    const release = await this.#folder.enter();
    let abandoned = Promise.resolve();
    try {
      const request = {
        mails,
        query: { flags: true, source: true },
        answers: isWhole,
        silenceMs: this.#commandMs,
        largestBytes: mails.reduce((largest, { sizeBytes }) => Math.max(largest, sizeBytes), 0),
      };
      const answers = fetchByUid(this.#folder, request, (ended) => {
        abandoned = ended;
      });
      const empty: MeasuredMail[] = [];
      for await (const answer of answers) {
        const { mail } = answer;
        if (answer.kind === 'missing') yield { kind: 'gone', mail };
        else if (answer.kind === 'refused') yield this.#unavailable(mail, answer.refusal);
        else {
          const fetched = fetchedMail(mail, answer.row);
          if (fetched === undefined) empty.push(mail);
          else yield fetched;
        }
      }
      yield* this.#explainEmpty(empty);
    } catch (error) {
      throw this.#folder.connection.fail(error, 'a fetch');
    } finally {
      abandoned.then(release);
    }
  }

  async openStream(mail: MeasuredMail): Promise<StreamedMail> {
    const first = await this.#fetchPiece(mail, 0);
    if (first.kind !== 'mail') return first;
    const stream = streamPieces(first.source, mail.sizeBytes, pieceBytes, async (offset) => {
      const piece = await this.#fetchPiece(mail, offset);
      if (piece.kind === 'mail') return piece.source;
      throw new Failure(
        'mail',
        `A mail in folder "${quoteServerText(this.#folderName)}" could not be read to its end: ${
          piece.kind === 'gone' ? 'it was removed meanwhile.' : piece.sentence
        }`,
      );
    });
    return { kind: 'mail', mail, stream };
  }

  settle(mails: readonly MailRef[]): Promise<void> {
    const settled = this.#settle(mails);
    this.#settled = Promise.allSettled([this.#settled, settled]);
    return settled;
  }

  async #settle(mails: readonly MailRef[]): Promise<void> {
    if (mails.length === 0) return;
    const uids = mails.map((mail) => mail.id);
    await (this.#deleteMails ? this.#settling.delete(uids) : this.#settling.markRead(uids));
  }

  async close(): Promise<boolean> {
    await this.#settled;
    this.#folder.close();
    return true;
  }

  /** A whole mail or, from `offset` on, one piece of it; an empty piece is past the end. */
  async #fetchPiece(mail: MeasuredMail, offset: number): Promise<FetchedMail> {
    const release = await this.#folder.enter();
    let abandoned = Promise.resolve();
    let isEmpty = false;
    try {
      const request = {
        mails: [mail],
        query: { flags: true, source: { start: offset, maxLength: pieceBytes } },
        answers: isWhole,
        ...{ silenceMs: this.#commandMs, largestBytes: pieceBytes },
      };
      const answers = fetchByUid(this.#folder, request, (ended) => {
        abandoned = ended;
      });
      for await (const answer of answers) {
        if (answer.kind === 'missing') return { kind: 'gone', mail };
        if (answer.kind === 'refused') return this.#unavailable(mail, answer.refusal);
        if (offset === 0) {
          const fetched = fetchedMail(mail, answer.row);
          if (fetched !== undefined) return fetched;
          isEmpty = true;
          break;
        }
        return { kind: 'mail', mail, source: answer.row.source ?? nilSource };
      }
      if (!isEmpty) return { kind: 'gone', mail };
      await abandoned;
      for await (const explained of this.#explainEmpty([mail])) return explained;
      return { kind: 'gone', mail };
    } catch (error) {
      throw this.#folder.connection.fail(error, 'a fetch');
    } finally {
      abandoned.then(release);
    }
  }

  /**
   * Servers send an empty body for a mail that they can't read, and for one that was expunged meanwhile; of
   * the second they then know nothing.
   */
  async *#explainEmpty(
    mails: readonly MeasuredMail[],
  ): AsyncGenerator<Exclude<FetchedMail, { kind: 'mail' }>> {
    if (mails.length === 0) return;
    const request = {
      mails,
      query: { flags: true },
      answers: () => true,
      ...{ silenceMs: this.#commandMs, largestBytes: rowBytes },
    };
    for await (const { kind, mail } of fetchByUid(this.#folder, request, () => {})) {
      const refusal = { status: 'NO', text: `0 of ${mail.sizeBytes} bytes were sent` } as const;
      yield kind === 'missing' ? { kind: 'gone', mail } : this.#unavailable(mail, refusal);
    }
  }

  #unavailable(mail: MeasuredMail, refusal: Refusal): FetchedMail & { kind: 'unavailable' } {
    const words = quoteRefusal(refusal, this.#folder.connection.state.secrets).replace(/\.+$/, '');
    const sentence = `The mail with UID ${mail.id} in folder "${quoteServerText(this.#folderName)}" can't be fetched: the server answers ${words}. Look at it in a mail program.`;
    return { kind: 'unavailable', mail, sentence };
  }

  #requireWritable({ readOnly, permanentFlags }: MailboxObject): void {
    const flag = this.#deleteMails ? '\\Deleted' : '\\Seen';
    const keeps = permanentFlags === undefined || permanentFlags.has('\\*') || permanentFlags.has(flag);
    if (readOnly !== true && keeps) return;
    throw new Failure(
      'folder',
      `Folder "${quoteServerText(this.#folderName)}" at ${this.endpoint} is read-only for this login, so its mails can't be marked as done. Give the login the right to change ${flag}.`,
    );
  }

  #keyOf(uid: number): string {
    return `imap:${this.#uidValidity}:${uid}:${this.#folderName}`;
  }
}

/** The mail as it was fetched; undefined for an empty body where there should be one. */
function fetchedMail(
  mail: MeasuredMail,
  { flags, source }: Row,
): Exclude<FetchedMail, { kind: 'unavailable' }> | undefined {
  if (flags?.has('\\Seen') || flags?.has('\\Deleted')) return { kind: 'gone', mail };
  const isEmptyMail = mail.sizeBytes === 0 && source !== nilSource;
  if (source !== undefined && (source.length > 0 || isEmptyMail)) return { kind: 'mail', mail, source };
  return undefined;
}

/** A row that holds the mail, whole or as the piece asked for; NIL counts, as the server's answer. */
function isWhole(row: Row): boolean {
  return row.source !== undefined;
}

function measureOf({ sizeBytes = 0, internalDate }: Row): Pick<MeasuredMail, 'sizeBytes' | 'receivedAt'> {
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

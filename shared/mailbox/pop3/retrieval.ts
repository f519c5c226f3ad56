import { Failure } from '../../failure/failure.ts';
import type { MailBuffers } from '../mailBuffers.ts';
import type { Holding, MeasuredMail } from '../mailbox.ts';
import { isStandIn, standInWords } from '../standIn.ts';
import { Pop3Body } from './multiLine.ts';
import { ask, type Pop3Reply, readReply } from './reply.ts';
import { Deadline, type Pop3Wire } from './wire.ts';

const windowMails = 256;
/** Half of it is asked for in advance: what 1 Gbit/s carries in 60 ms. What is not read yet stays with the server. */
const windowBytes = 16 * 1024 * 1024;
/** What is read of a mail beyond twice its listed size, which some servers have wrong: a reply must end. */
const endlessBytes = 1024 * 1024 * 1024;

/** What is needed of a mail to retrieve it. */
export type Retrievable = Pick<MeasuredMail, 'id' | 'sizeBytes'>;

/** What a server answered to one RETR. A `body` must be read to its end before the next answer. */
export interface Retrieved {
  readonly reply: Pop3Reply;
  readonly body: Pop3Body | undefined;
}

/**
 * RETR of many mails, in order. With `asksAhead`, which needs a server that takes pipelining, up to 256 of them or
 * 16 MiB (by the listed sizes) are on the wire; filled up again at half of that.
 */
export class Retrieval {
  readonly #wire: Pop3Wire;
  readonly #mails: readonly Retrievable[];
  readonly #maxMails: number;
  readonly #wholeBytes: number;
  #asked = 0;
  #answered = 0;
  #outstandingBytes = 0;
  #body: Pop3Body | undefined;

  /** A mail of more than `wholeBytes` is asked for alone: it may have to be asked for again. */
  constructor(
    wire: Pop3Wire,
    mails: readonly Retrievable[],
    wholeBytes: number = Number.POSITIVE_INFINITY,
    asksAhead: boolean = wire.pipelining,
  ) {
    this.#wire = wire;
    this.#mails = mails;
    this.#maxMails = asksAhead ? windowMails : 1;
    this.#wholeBytes = wholeBytes;
  }

  /** The answer about each of the mails, in order. Rejects with a `Failure` when the connection fails. */
  async next(mail: Retrievable): Promise<Retrieved> {
    this.#ask();
    const retrieved = await this.#readAnswer(mail);
    // One mail is on its way always: no round trip is waited for between two.
    if (this.#maxMails > 1 && !this.#isAlone(mail)) this.#ask();
    return retrieved;
  }

  /** Asks once more for the mail that was answered last, from its first byte. */
  async again(mail: Retrievable): Promise<Retrieved> {
    await this.abandon();
    this.#answered -= 1;
    // What was on its way behind it has been read away, and is asked for in its turn.
    this.#asked = this.#answered;
    this.#wire.expectSilence();
    this.#send([mail]);
    return await this.#readAnswer(mail);
  }

  /** Reads the answers that are still due and forgets them, so that the connection can be used for something else. */
  async abandon(): Promise<void> {
    await this.discardBody();
    const due = this.#mails.slice(this.#answered, this.#asked);
    for (const mail of due) await (await this.#readAnswer(mail)).body?.discard();
    this.#answered -= due.length;
  }

  /** Reads the mail that was answered last to its end; who still reads it gets a rejection. */
  async discardBody(): Promise<void> {
    await this.#body?.discard();
  }

  async #readAnswer(mail: Retrievable): Promise<Retrieved> {
    const reply = await readReply(this.#wire);
    this.#answered += 1;
    this.#outstandingBytes -= mail.sizeBytes;
    this.#body = reply.ok ? mailBody(this.#wire, mail) : undefined;
    return { reply, body: this.#body };
  }

  #ask(): void {
    const outstanding = this.#asked - this.#answered;
    if (outstanding > this.#maxMails / 2 || (outstanding > 0 && this.#outstandingBytes > windowBytes / 2))
      return;
    if (outstanding === 0 && this.#body?.ended !== false) this.#wire.expectSilence();
    const mails: Retrievable[] = [];
    let bytes = this.#outstandingBytes;
    for (const mail of this.#mails.slice(this.#asked, this.#answered + this.#maxMails)) {
      const isFirst = outstanding + mails.length === 0;
      if (!isFirst && (bytes + mail.sizeBytes > windowBytes || this.#isAlone(mail))) break;
      mails.push(mail);
      bytes += mail.sizeBytes;
      if (this.#isAlone(mail)) break;
    }
    if (mails.length > 0) this.#send(mails);
  }

  #isAlone({ sizeBytes }: Retrievable): boolean {
    return sizeBytes > this.#wholeBytes;
  }

  #send(mails: readonly Retrievable[]): void {
    this.#asked += mails.length;
    for (const { sizeBytes } of mails) this.#outstandingBytes += sizeBytes;
    this.#wire.write(mails.map(({ id }) => `RETR ${id}\r\n`).join(''));
  }
}

function mailBody(wire: Pop3Wire, { id, sizeBytes }: Retrievable): Pop3Body {
  const endlessMail = () =>
    new Failure(
      'protocol',
      `${wire.server} sent far more for its mail ${id} than the ${sizeBytes} bytes it had listed. Check that mail on the server.`,
    );
  const { commandMs } = wire.timeouts;
  // For a mail of any size: so much for each silence, and an end even for a server that trickles for ever.
  const deadline = new Deadline(2 * commandMs, commandMs);
  return new Pop3Body(wire, deadline, 2 * sizeBytes + endlessBytes, endlessMail);
}

/** Reads a mail into memory of its own; one of more than `mostBytes` is given back as the pieces that were read. */
export async function readBeginning(
  body: Pop3Body,
  sizeBytes: number,
  mostBytes: number,
  holding: Holding,
  buffers: MailBuffers,
): Promise<Buffer | readonly Buffer[]> {
  let mail = buffers.take(sizeBytes);
  let filledBytes = 0;
  for (let pieces = await body.next(); pieces !== undefined; pieces = await body.next()) {
    for (const [index, piece] of pieces.entries()) {
      const neededBytes = filledBytes + piece.length;
      if (neededBytes > mostBytes) return [mail.subarray(0, filledBytes), ...pieces.slice(index)];
      if (neededBytes > mail.length) {
        const largerBytes = Math.max(Math.ceil(mail.length * 1.25), neededBytes);
        await holding.grow(largerBytes - mail.length);
        const larger = buffers.take(largerBytes);
        mail.copy(larger, 0, 0, filledBytes);
        buffers.giveBack(mail);
        mail = larger;
      }
      filledBytes += piece.copy(mail, filledBytes);
    }
  }
  const filled = mail.subarray(0, filledBytes);
  return filledBytes * 2 < mail.length ? Buffer.from(filled) : filled;
}

/** The header of a mail by TOP (RFC 1939, section 7), at most `maxBytes` of it; undefined where it is refused. */
export async function readHeader(
  wire: Pop3Wire,
  mail: Retrievable,
  maxBytes: number,
): Promise<Buffer | undefined> {
  const reply = await ask(wire, `TOP ${mail.id} 0`);
  if (!reply.ok) return undefined;
  const body = mailBody(wire, mail);
  const kept: Buffer[] = [];
  let leftBytes = maxBytes;
  for (let pieces = await body.next(); pieces !== undefined; pieces = await body.next()) {
    for (const piece of pieces) {
      if (leftBytes > 0) kept.push(piece.subarray(0, leftBytes));
      leftBytes -= piece.length;
    }
  }
  return Buffer.concat(kept);
}

/** Why a mail was not handed over, for a person. */
export function describeUnavailable(wire: Pop3Wire, { id }: Retrievable, reply: Pop3Reply): string {
  const answer = wire.quote(reply.text) || 'no reason given';
  return `${wire.server} would not hand over its mail ${id}: ${answer}`;
}

/** Why what came in a mail's place is none. */
export function describeNone(wire: Pop3Wire, mail: Retrievable, bytes: Buffer): string | undefined {
  if (bytes.length === 0 && mail.sizeBytes > 0) return describeNothing(wire, mail);
  if (!isStandIn(bytes)) return undefined;
  return `${wire.server} answers for its mail ${mail.id} ${standInWords}. Look at it in a mail program.`;
}

/** As servers do that can't read a mail: taken for an empty one it would be deleted. */
export function describeNothing(wire: Pop3Wire, { id, sizeBytes }: Retrievable): string {
  return `${wire.server} sent nothing of its mail ${id}, which it lists with ${sizeBytes} bytes. Look at it in a mail program.`;
}

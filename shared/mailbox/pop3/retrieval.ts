import { Failure } from '../../failure/failure.ts';
import { ContentHash } from './contentHash.ts';
import { commandDeadline, mailDeadline } from './deadline.ts';
import type { Content } from './listing.ts';
import { Pop3Body } from './multiLine.ts';
import { ask, type Pop3Reply, readReply, saysGone } from './reply.ts';
import type { Pop3Wire } from './wire.ts';

const windowMails = 256;
/** Half of it is asked for in advance: what 1 Gbit/s carries in 60 ms. What is not read yet stays with the server. */
const windowBytes = 16 * 1024 * 1024;
/** What is read of a mail beyond twice its listed size, which some servers have wrong: a reply must end. */
const endlessBytes = 1024 * 1024 * 1024;

/** What a server answered to one RETR. A `body` must be read to its end before the next answer. */
export interface Retrieved<Mail> {
  readonly mail: Mail;
  readonly reply: Pop3Reply;
  readonly body: Pop3Body | undefined;
}

/** What is needed of a mail to retrieve it. */
export interface Retrievable {
  readonly id: number;
  readonly sizeBytes: number;
}

/** How RETR is sent to this server. */
export interface RetrievalManner {
  readonly pipelining: boolean;
  readonly commandMs: number;
  /** A larger mail is asked for alone: it may have to be asked for again. Absent: none is. */
  readonly wholeBytes?: number;
}

/**
 * RETR of many mails, in order. Where the server takes pipelining, up to 256 of them or 16 MiB (by the listed
 * sizes) are on the wire at once, and the window is filled up again when half of it is free.
 */
export class Retrieval<Mail extends Retrievable> {
  readonly #wire: Pop3Wire;
  readonly #mails: readonly Mail[];
  readonly #commandMs: number;
  readonly #maxMails: number;
  readonly #wholeBytes: number;
  readonly #everAsked = new Set<Mail>();
  #asked = 0;
  #answered = 0;
  #outstandingBytes = 0;
  #body: Pop3Body | undefined;

  constructor(wire: Pop3Wire, mails: readonly Mail[], manner: RetrievalManner) {
    const { pipelining, commandMs, wholeBytes = Number.POSITIVE_INFINITY } = manner;
    this.#wire = wire;
    this.#mails = mails;
    this.#commandMs = commandMs;
    this.#maxMails = pipelining ? windowMails : 1;
    this.#wholeBytes = wholeBytes;
  }

  /** The mails for which RETR was sent, whether anybody read the answer or not. */
  get asked(): ReadonlySet<Mail> {
    return this.#everAsked;
  }

  /** The answer about the next mail; undefined after the last. Rejects with a `Failure` when the connection fails. */
  async next(): Promise<Retrieved<Mail> | undefined> {
    const mail = this.#mails[this.#answered];
    if (mail === undefined) return undefined;
    this.#ask();
    const retrieved = await this.#readAnswer(mail);
    // One mail is on its way always: no round trip is waited for between two.
    if (this.#maxMails > 1 && !this.#isAlone(mail)) this.#ask();
    return retrieved;
  }

  /** Asks once more for the mail that was answered last, from its first byte. */
  async again(): Promise<Retrieved<Mail> | undefined> {
    await this.abandon();
    this.#answered -= 1;
    // What was on its way behind it has been read away, and is asked for in its turn.
    this.#asked = this.#answered;
    this.#outstandingBytes = 0;
    const mail = this.#mails[this.#answered];
    if (mail === undefined) return undefined;
    this.#wire.expectSilence();
    this.#send([mail]);
    return await this.#readAnswer(mail);
  }

  /** Reads the answers that are still due and forgets them, so that the connection can be used for something else. */
  async abandon(): Promise<void> {
    const last = this.#answered;
    await this.#body?.discard();
    while (this.#answered < this.#asked) {
      const mail = this.#mails[this.#answered];
      if (mail === undefined) break;
      await (await this.#readAnswer(mail)).body?.discard();
    }
    this.#answered = last;
  }

  async #readAnswer(mail: Mail): Promise<Retrieved<Mail>> {
    const reply = await readReply(this.#wire, commandDeadline(this.#commandMs));
    this.#answered += 1;
    this.#outstandingBytes -= mail.sizeBytes;
    this.#body = reply.ok ? mailBody(this.#wire, mail, this.#commandMs) : undefined;
    return { mail, reply, body: this.#body };
  }

  #ask(): void {
    const outstanding = this.#asked - this.#answered;
    if (outstanding > this.#maxMails / 2 || (outstanding > 0 && this.#outstandingBytes > windowBytes / 2))
      return;
    if (outstanding === 0 && this.#body?.ended !== false) this.#wire.expectSilence();
    const mails: Mail[] = [];
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

  #isAlone({ sizeBytes }: Mail): boolean {
    return sizeBytes > this.#wholeBytes;
  }

  #send(mails: readonly Mail[]): void {
    this.#asked += mails.length;
    for (const mail of mails) {
      this.#everAsked.add(mail);
      this.#outstandingBytes += mail.sizeBytes;
    }
    this.#wire.write(mails.map(({ id }) => `RETR ${id}\r\n`).join(''));
  }
}

function mailBody(wire: Pop3Wire, mail: Retrievable, commandMs: number): Pop3Body {
  const maxBytes = 2 * mail.sizeBytes + endlessBytes;
  return new Pop3Body(wire, mailDeadline(commandMs), maxBytes, () => endlessMail(wire, mail));
}

/** The header of a mail by TOP (RFC 1939, section 7), at most `maxBytes` of it; undefined where it is refused. */
export async function readHeader(
  wire: Pop3Wire,
  mail: Retrievable,
  commandMs: number,
  maxBytes: number,
): Promise<Buffer | undefined> {
  const reply = await ask(wire, `TOP ${mail.id} 0`, commandDeadline(commandMs));
  if (!reply.ok) return undefined;
  const body = mailBody(wire, mail, commandMs);
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
export function describeUnavailable(wire: Pop3Wire, mail: Retrievable, reply: Pop3Reply): string {
  const answer = wire.quote(reply.text) || 'no reason given';
  return `${wire.server} would not hand over its mail ${mail.id}: ${answer}`;
}

/** Whether what was answered to a RETR means that the mail is there no more. */
export function isGone(reply: Pop3Reply): boolean {
  return !reply.ok && reply.code === undefined && saysGone(reply);
}

function endlessMail(wire: Pop3Wire, { id, sizeBytes }: Retrievable): Failure {
  return new Failure(
    'protocol',
    `${wire.server} sent far more for its mail ${id} than the ${sizeBytes} bytes it had listed. Check that mail on the server.`,
  );
}

/** Learns the SHA-256, in hex, of each of these mails as the server holds it, holding none of them. */
export async function hashMails(
  wire: Pop3Wire,
  mails: readonly Retrievable[],
  manner: { readonly pipelining: boolean; readonly commandMs: number },
): Promise<ReadonlyMap<number, Content>> {
  const contents = new Map<number, Content>();
  const retrieval = new Retrieval(wire, mails, manner);
  for (let answer = await retrieval.next(); answer !== undefined; answer = await retrieval.next()) {
    const { mail, reply, body } = answer;
    if (body === undefined) {
      contents.set(
        mail.id,
        isGone(reply) ? { gone: true } : { unavailable: describeUnavailable(wire, mail, reply) },
      );
      continue;
    }
    const hash = new ContentHash();
    for (let pieces = await body.next(); pieces !== undefined; pieces = await body.next()) {
      for (const piece of pieces) hash.update(piece);
    }
    contents.set(mail.id, { sha256: hash.digest() });
  }
  return contents;
}

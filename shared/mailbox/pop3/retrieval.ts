import { createHash } from 'node:crypto';
import { Failure } from '../../failure/failure.ts';
import { quoteServerText } from '../serverText.ts';
import { commandDeadline, mailDeadline } from './deadline.ts';
import type { Content } from './keys.ts';
import { Pop3Body } from './multiLine.ts';
import { type Pop3Reply, readReply, saysGone } from './reply.ts';
import type { Pop3Wire } from './wire.ts';

const windowMails = 256;
/** Half of it is asked for in advance: what 1 Gbit/s carries in 60 ms. What is not read yet stays with the server. */
const windowBytes = 16 * 1024 * 1024;
const spareBytes = 1024 * 1024;
const largestMailBytes = 4 * 1024 * 1024 * 1024;

/** The most that a mail may turn out to have: servers err in LIST, but a reply must end. */
export function maxMailBytes(sizeBytes: number): number {
  return Math.min(Math.max(2 * sizeBytes, sizeBytes + spareBytes), largestMailBytes);
}

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

/**
 * RETR of many mails, in order. Where the server takes pipelining, up to 256 of them or 16 MiB (by the listed
 * sizes) are on the wire at once, and the window is filled up again when half of it is free.
 */
export class Retrieval<Mail extends Retrievable> {
  readonly #wire: Pop3Wire;
  readonly #mails: readonly Mail[];
  readonly #commandMs: number;
  readonly #maxMails: number;
  #asked = 0;
  #answered = 0;
  #outstandingBytes = 0;
  #body: Pop3Body | undefined;

  constructor(
    wire: Pop3Wire,
    mails: readonly Mail[],
    { pipelining, commandMs }: { readonly pipelining: boolean; readonly commandMs: number },
  ) {
    this.#wire = wire;
    this.#mails = mails;
    this.#commandMs = commandMs;
    this.#maxMails = pipelining ? windowMails : 1;
  }

  /** The mails for which RETR was sent, whether anybody read the answer or not. */
  get asked(): readonly Mail[] {
    return this.#mails.slice(0, this.#asked);
  }

  /** The answer about the next mail; undefined after the last. Rejects with a `Failure` when the connection fails. */
  async next(): Promise<Retrieved<Mail> | undefined> {
    const mail = this.#mails[this.#answered];
    if (mail === undefined) return undefined;
    this.#ask();
    const reply = await readReply(this.#wire, commandDeadline(this.#commandMs));
    this.#answered += 1;
    this.#outstandingBytes -= mail.sizeBytes;
    this.#body = reply.ok ? mailBody(this.#wire, mail, this.#commandMs) : undefined;
    // One mail is on its way always, also behind a large one: no round trip is waited for between two.
    if (this.#maxMails > 1) this.#ask();
    return { mail, reply, body: this.#body };
  }

  /** Reads the answers that are still due and forgets them, so that the connection can be used for something else. */
  async abandon(): Promise<void> {
    await this.#body?.discard();
    while (this.#answered < this.#asked) {
      const reply = await readReply(this.#wire, commandDeadline(this.#commandMs));
      const mail = this.#mails[this.#answered];
      this.#answered += 1;
      if (reply.ok && mail !== undefined) await mailBody(this.#wire, mail, this.#commandMs).discard();
    }
  }

  #ask(): void {
    const outstanding = this.#asked - this.#answered;
    if (outstanding > this.#maxMails / 2 || (outstanding > 0 && this.#outstandingBytes > windowBytes / 2))
      return;
    if (outstanding === 0 && this.#body?.ended !== false) this.#wire.expectSilence();
    let commands = '';
    for (;;) {
      const mail = this.#mails[this.#asked];
      const inFlight = this.#asked - this.#answered;
      if (mail === undefined || inFlight >= this.#maxMails) break;
      if (inFlight > 0 && this.#outstandingBytes + mail.sizeBytes > windowBytes) break;
      commands += `RETR ${mail.id}\r\n`;
      this.#asked += 1;
      this.#outstandingBytes += mail.sizeBytes;
    }
    if (commands !== '') this.#wire.write(commands);
  }
}

function mailBody(wire: Pop3Wire, mail: Retrievable, commandMs: number): Pop3Body {
  const maxBytes = maxMailBytes(mail.sizeBytes);
  return new Pop3Body(wire, mailDeadline(commandMs, maxBytes), maxBytes, () => endlessMail(wire, mail));
}

/** Why a mail was not handed over, for a person. */
export function describeUnavailable(wire: Pop3Wire, mail: Retrievable, reply: Pop3Reply): string {
  const answer = quoteServerText(reply.text) || 'no reason given';
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
    const hash = createHash('sha256');
    for (let pieces = await body.next(); pieces !== undefined; pieces = await body.next()) {
      for (const piece of pieces) hash.update(piece);
    }
    contents.set(mail.id, { sha256: hash.digest('hex') });
  }
  return contents;
}

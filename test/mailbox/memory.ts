import type {
  FetchAnswer,
  Holding,
  MailboxSession,
  MailMemory,
  MeasuredMail,
} from '../../shared/mailbox/mailbox.ts';

/** Memory that counts what is held of it; without end, or of so many bytes: who wants more waits. */
export class CountedMemory implements MailMemory {
  readonly #totalBytes: number;
  readonly #waiting: (() => void)[] = [];
  heldBytes = 0;
  mostBytes = 0;
  opened = 0;

  constructor(totalBytes: number = Number.POSITIVE_INFINITY) {
    this.#totalBytes = totalBytes;
  }

  hold(): Holding {
    this.opened += 1;
    let bytes = 0;
    let released = false;
    return {
      grow: async (sizeBytes) => {
        while (!released && this.heldBytes > 0 && this.heldBytes + sizeBytes > this.#totalBytes) {
          await new Promise<void>((wake) => this.#waiting.push(wake));
        }
        if (released) return;
        bytes += sizeBytes;
        this.heldBytes += sizeBytes;
        this.mostBytes = Math.max(this.mostBytes, this.heldBytes);
      },
      release: () => {
        released = true;
        this.heldBytes -= bytes;
        bytes = 0;
        for (const wake of this.#waiting.splice(0)) wake();
      },
    };
  }
}

/** A mail with its bytes, read to their end, or what else was answered. */
export type Fetched =
  | { readonly kind: 'mail'; readonly mail: MeasuredMail; readonly source: Buffer; readonly isWhole: boolean }
  | Exclude<FetchAnswer, { kind: 'mail' }>;

/** Reads a mail, gives all that it holds back, and keeps a copy of its bytes. */
export async function keep(answer: FetchAnswer): Promise<Fetched> {
  if (answer.kind !== 'mail') return answer;
  const isWhole = answer.whole !== undefined;
  try {
    return { kind: 'mail', mail: answer.mail, source: await bytesOf(await answer.open()), isWhole };
  } finally {
    answer.freeBytes();
    answer.release();
  }
}

export async function bytesOf(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const copies: Buffer[] = [];
  for await (const piece of pieces) copies.push(Buffer.from(piece));
  return Buffer.concat(copies);
}

/** The fetch, mail by mail, as a consumer that is done with one before it asks for the next. */
export async function* fetched(
  session: MailboxSession,
  mails: readonly MeasuredMail[],
  memory: MailMemory = new CountedMemory(),
): AsyncGenerator<Fetched, void, undefined> {
  for await (const answer of session.fetch(mails, memory)) yield await keep(answer);
}

export async function fetchAll(
  session: MailboxSession,
  mails: readonly MeasuredMail[],
  memory?: MailMemory,
): Promise<Fetched[]> {
  const all: Fetched[] = [];
  for await (const one of fetched(session, mails, memory)) all.push(one);
  return all;
}

import type { ImapFlow } from 'imapflow';
import type { FetchMemory } from '../fetchedMail.ts';
import type { Holding } from '../mailbox.ts';
import type { FetchData } from './fetchResponse.ts';
import { type ImapToken, runCommand } from './imapflowInside.ts';

/** What to ask for about each mail, besides its UID. */
export interface FetchItems {
  readonly names?: readonly ('FLAGS' | 'INTERNALDATE' | 'RFC822.SIZE')[];
  /** BODY.PEEK[], whole or a piece of it: PEEK leaves \Seen alone. */
  readonly body?: 'whole' | { readonly start: number; readonly maxLength: number };
  /** BODY.PEEK[HEADER.FIELDS (…)]: names of header fields. */
  readonly header?: readonly string[];
}

/** Where the memory for literals comes from. */
export type LiteralMemory = Pick<FetchMemory, 'hold' | 'giveBack'>;

/** What is read ahead, in bytes. With 1 MiB a drain takes 6 % longer: a mail that waits leaves the cache. */
const aheadBytes = 192 * 1024;

/**
 * The responses of one UID FETCH. Sent in place of imapflow's own command, which makes up an MD5 id for each response
 * and compiles each name anew. A server's wish to slow down is a refusal.
 */
export class FetchCommand {
  readonly #memory: LiteralMemory;
  readonly #largestBytes: number;
  #waiting: FetchData[] = [];
  #bytes = 0;
  #ended: { readonly error?: unknown } | undefined;
  #isAbandoned = false;
  #heldBack = 0;
  #wake: () => void = () => undefined;
  #resume: () => void = () => undefined;

  /** Literals of more than `largestBytes` are not taken. */
  constructor(
    client: ImapFlow,
    tap: { attach(sink: FetchCommand): () => void },
    uids: string,
    items: FetchItems,
    memory: LiteralMemory,
    largestBytes: number,
  ) {
    this.#memory = memory;
    this.#largestBytes = largestBytes;
    const detach = tap.attach(this);
    const args = [{ type: 'SEQUENCE', value: uids } as const, tokensOf(items)];
    runCommand(client, 'UID FETCH', args)
      .then(
        () => this.#end({}),
        (error: unknown) => this.fail(error),
      )
      .finally(detach);
  }

  get isFull(): boolean {
    return this.#bytes >= aheadBytes;
  }

  /** Whether the wire waits for memory. */
  get isHeldBack(): boolean {
    return this.#heldBack > 0;
  }

  /** Those that came since the last call, at least one; none at the end. Rejects as the command does. */
  async take(): Promise<readonly FetchData[]> {
    if (this.#waiting.length === 0 && this.#ended === undefined) {
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
    }
    const taken = this.#takeWaiting();
    if (taken.length === 0 && this.#ended !== undefined && 'error' in this.#ended) throw this.#ended.error;
    return taken;
  }

  /** Nobody wants what is still to come: its literals are read away, and whoever lent memory takes back what is held. */
  abandon(): void {
    this.#isAbandoned = true;
    this.#takeWaiting();
  }

  /** `sizeBytes` is what the response took on the wire. */
  add(data: FetchData, sizeBytes: number): void {
    this.#waiting.push(data);
    this.#bytes += sizeBytes;
    this.#wake();
  }

  /** Calls once there is room again. */
  whenRoom(resume: () => void): void {
    this.#resume = resume;
  }

  /** Takes memory for a literal before it is read, on top of `before`; undefined for one that is to be read away. */
  async holdLiteral(sizeBytes: number, before: Holding | undefined): Promise<Holding | undefined> {
    if (this.#isAbandoned || sizeBytes > this.#largestBytes) return undefined;
    const holding = before ?? this.#memory.hold();
    this.#heldBack += 1;
    try {
      await holding.grow(sizeBytes);
    } finally {
      this.#heldBack -= 1;
    }
    return this.#isAbandoned ? undefined : holding;
  }

  giveBack(holding: Holding): void {
    this.#memory.giveBack(holding);
  }

  /** The command has come to its end here, whatever the server still sends. */
  fail(error: unknown): void {
    this.#end({ error });
  }

  #takeWaiting(): readonly FetchData[] {
    const taken = this.#waiting;
    this.#waiting = [];
    this.#bytes = 0;
    const resume = this.#resume;
    this.#resume = () => undefined;
    resume();
    return taken;
  }

  #end(ended: { readonly error?: unknown }): void {
    this.#ended ??= ended;
    this.#wake();
  }
}

function tokensOf({ names = [], body, header }: FetchItems): readonly ImapToken[] {
  const atom = (value: string) => ({ type: 'ATOM', value }) as const;
  const peek = { type: 'ATOM', value: 'BODY.PEEK' } as const;
  return [
    ...['UID', ...names].map(atom),
    ...(body === 'whole' ? [{ ...peek, section: [] }] : []),
    ...(typeof body === 'object' ? [{ ...peek, section: [], partial: [body.start, body.maxLength] }] : []),
    ...(header ? [{ ...peek, section: [atom('HEADER.FIELDS'), header.map(atom)] }] : []),
  ];
}

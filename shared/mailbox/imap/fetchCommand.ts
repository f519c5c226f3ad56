import type { ImapFlow } from 'imapflow';
import type { Holding } from '../mailbox.ts';
import { type FetchData, nilBody, unreadBody } from './fetchResponse.ts';
import type { FetchSink, FetchTap } from './fetchTap.ts';
import { fetchItemsOf, type ImapToken, memberOf, runCommand } from './imapflowInside.ts';

/** What to ask for about each mail, besides its UID. */
export interface FetchItems {
  readonly flags?: boolean;
  readonly size?: boolean;
  readonly internalDate?: boolean;
  /** BODY.PEEK[], whole or a piece of it: PEEK leaves \Seen alone. */
  readonly body?: boolean | { readonly start: number; readonly maxLength: number };
  /** BODY.PEEK[HEADER.FIELDS (…)]: names of header fields. */
  readonly header?: readonly string[];
}

/** What the memory for literals comes from, and which are too large to be taken. */
export interface LiteralIntake {
  readonly largestBytes: number;
  hold(): Holding;
  giveBack(holding: Holding): void;
}

/**
 * What is read from the wire ahead of who takes the responses, in bytes; a larger mail alone may be more. With 1 MiB a
 * drain takes 6 % longer: a mail that waits is no longer in the cache when it is taken apart.
 */
const aheadBytes = 192 * 1024;
/** What a response takes on the wire beside its mail, about. */
const responseBytes = 512;

/**
 * The responses of one UID FETCH, as they come: sent in place of imapflow's own, which makes up an MD5 id for each
 * response and compiles each attribute's name anew. They come by the tap; those that it leaves to imapflow come from
 * there. A server's wish to slow down is a refusal.
 */
export class FetchCommand implements FetchSink {
  readonly #intake: LiteralIntake;
  #waiting: FetchData[] = [];
  #bytes = 0;
  #ended: { readonly error?: unknown } | undefined;
  #isAbandoned = false;
  #heldBack = 0;
  #wake: () => void = () => undefined;
  #resume: () => void = () => undefined;
  #abandon: () => void = () => undefined;
  readonly #abandoned = new Promise<void>((resolve) => {
    this.#abandon = resolve;
  });

  constructor(client: ImapFlow, tap: FetchTap, uids: string, items: FetchItems, intake: LiteralIntake) {
    this.#intake = intake;
    const detach = tap.attach(this);
    this.#run(client, uids, items)
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

  /** Nobody wants what is still to come: literals are read away from here on, and take no memory. */
  abandon(): void {
    this.#isAbandoned = true;
    for (const { holding } of this.#waiting) if (holding !== undefined) this.#intake.giveBack(holding);
    this.#abandon();
    this.#takeWaiting();
  }

  add(data: FetchData, sizeBytes: number): void {
    if (this.#isAbandoned && data.holding !== undefined) this.#intake.giveBack(data.holding);
    this.#waiting.push(this.#isAbandoned ? { sequence: data.sequence, uid: data.uid } : data);
    this.#bytes += sizeBytes;
    this.#wake();
  }

  whenRoom(resume: () => void): void {
    this.#resume = resume;
  }

  async holdLiteral(sizeBytes: number, before: Holding | undefined): Promise<Holding | undefined> {
    if (this.#isAbandoned || sizeBytes > this.#intake.largestBytes) return undefined;
    const holding = before ?? this.#intake.hold();
    this.#heldBack += 1;
    try {
      await Promise.race([holding.grow(sizeBytes), this.#abandoned]);
    } finally {
      this.#heldBack -= 1;
    }
    if (!this.#isAbandoned) return holding;
    this.#intake.giveBack(holding);
    return undefined;
  }

  giveBack(holding: Holding): void {
    this.#intake.giveBack(holding);
  }

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

  async #run(client: ImapFlow, uids: string, items: FetchItems): Promise<void> {
    const onUntagged = async (response: unknown): Promise<void> => {
      const data = await this.#takeParsed(fetchDataOf(response));
      this.add(data, responseBytes + (data.body?.length ?? 0));
      if (this.isFull) await new Promise<void>((resume) => this.whenRoom(resume));
    };
    const args = [{ type: 'SEQUENCE', value: uids } as const, tokensOf(items)];
    await runCommand(client, 'UID FETCH', args, { name: 'FETCH', onUntagged });
  }

  /** One that imapflow read: its bytes are here already, within imapflow's own limits, and are counted now. */
  async #takeParsed(data: FetchData): Promise<FetchData> {
    if (data.body === undefined || data.body.length === 0) return data;
    const holding = await this.holdLiteral(data.body.length, undefined);
    return holding === undefined ? { ...data, body: unreadBody } : { ...data, holding };
  }
}

function tokensOf({ flags, size, internalDate, body, header }: FetchItems): readonly ImapToken[] {
  const named = (value: string, wanted: unknown): readonly ImapToken[] =>
    wanted ? [{ type: 'ATOM', value }] : [];
  return [
    ...named('UID', true),
    ...named('FLAGS', flags),
    ...named('INTERNALDATE', internalDate),
    ...named('RFC822.SIZE', size),
    ...(body ? [bodyToken(body)] : []),
    ...(header ? [headerToken(header)] : []),
  ];
}

function bodyToken(body: NonNullable<FetchItems['body']>): ImapToken {
  const whole = { type: 'ATOM', value: 'BODY.PEEK', section: [] } as const;
  return typeof body === 'object' ? { ...whole, partial: [body.start, body.maxLength] } : whole;
}

function headerToken(names: readonly string[]): ImapToken {
  const fields = names.map((value) => ({ type: 'ATOM', value }) as const);
  return { type: 'ATOM', value: 'BODY.PEEK', section: [{ type: 'ATOM', value: 'HEADER.FIELDS' }, fields] };
}

/** A FETCH response as imapflow parsed it. */
function fetchDataOf(response: unknown): FetchData {
  let data: FetchData = { sequence: numberIn(memberOf(response, 'command')), uid: 0 };
  for (const { name, value } of fetchItemsOf(response)) {
    const key = memberOf(name, 'value');
    if (typeof key === 'string') data = { ...data, ...itemOf(key.toUpperCase(), name, value) };
  }
  return data;
}

function itemOf(key: string, name: unknown, value: unknown): Partial<FetchData> {
  const content = memberOf(value, 'value');
  if (key === 'UID') return { uid: numberIn(content) };
  if (key === 'FLAGS') return { flags: new Set(namesIn(value).map((flag) => flag.toLowerCase())) };
  if (key === 'RFC822.SIZE') return { sizeBytes: numberIn(content) };
  if (key === 'INTERNALDATE' && typeof content === 'string') return { internalDate: content };
  const section = memberOf(name, 'section');
  if (key === 'BODY' && isEmpty(section)) return { body: bytesIn(content) };
  const part = memberOf(memberOf(section, 0), 'value');
  if (key === 'BODY' && typeof part === 'string' && /^HEADER\.FIELDS/i.test(part)) {
    return { header: bytesIn(content) };
  }
  return {};
}

function bytesIn(content: unknown): Buffer {
  if (Buffer.isBuffer(content)) return content;
  return typeof content === 'string' ? Buffer.from(content) : nilBody;
}

function namesIn(list: unknown): readonly string[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((one) => {
    const name = memberOf(one, 'value');
    return typeof name === 'string' ? [name] : [];
  });
}

function numberIn(content: unknown): number {
  const text = Buffer.isBuffer(content) ? content.toString('latin1') : content;
  return typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : 0;
}

function isEmpty(section: unknown): boolean {
  return Array.isArray(section) && section.length === 0;
}

import { Failure } from '../failure/failure.ts';
import { isObject, parseObject } from '../json/json.ts';
import type { MailRef } from '../mailbox/mailbox.ts';
import { shortHash } from '../message/identity.ts';

/** A mail that fails in this many runs in a row is left on the server. */
export const maxTries = 3;
/** A mail that brought the process down so often is sent as it is, not taken apart. */
export const maxRisks = 2;
/**
 * A mail that was left is tried again after five minutes, then after twice as long each time, up to an hour: the network
 * may have been at fault, or its server may be mended.
 */
const retryLeftMs = (tries: number): number => Math.min(60, 5 * 2 ** (tries - maxTries)) * 60_000;
const maxRemembered = 100;

/** What the server may do to end a session while it hands over one certain mail. */
const suspicious: ReadonlySet<Failure['reason']> = new Set(['timeout', 'connection-lost', 'protocol']);

/** Whether a mail that was being handed over may be what ended the session. */
export function isSuspicious(error: unknown): error is Failure {
  return error instanceof Failure && suspicious.has(error.reason);
}

interface Try {
  readonly tries: number;
  readonly lastTriedAt: number;
}

/** What to do with a listed mail: fetch it with the others, in a session of its own, or not in this run. */
export type FetchChoice = 'fetch' | 'fetch alone' | 'leave';

/**
 * The mails of one mailbox that the server lists but can't hand over, or that end the session whenever they
 * are asked for. Kept from run to run in the state column `unfetchable`.
 */
export class FetchTries {
  readonly #known: ReadonlyMap<string, Try>;
  readonly #now: number;
  readonly #next = new Map<string, Try>();
  /** Known and not tried yet: a run that does not get to them must not make them look new to the next. */
  readonly #untried: Map<string, Try>;
  /** Left by an earlier run, due to be tried again, and not tried yet. */
  readonly #dueAgain = new Map<string, { readonly mail: MailRef; readonly known: Try }>();
  /** Of those known. */
  readonly #listed = new Set<string>();
  #mailboxId = '';
  #sentence: string | undefined;
  #reported = 0;

  constructor(column: unknown, now: Date) {
    this.#known = parse(column);
    this.#untried = new Map(this.#known);
    this.#now = now.getTime();
  }

  /** Which mailbox the keys are of from now on: another's mails of the same keys are others. */
  inMailbox(mailboxId: string): void {
    this.#mailboxId = mailboxId;
  }

  /** To be asked for each candidate that the server lists. */
  choose(mail: MailRef): FetchChoice {
    if (this.#known.size === 0) return 'fetch';
    const id = this.#idOf(mail.key);
    const known = this.#known.get(id);
    if (!known) return 'fetch';
    this.#listed.add(id);
    const isLeft = known.tries >= maxTries;
    if (!isLeft || this.#now - known.lastTriedAt >= retryLeftMs(known.tries)) {
      if (isLeft) this.#dueAgain.set(id, { mail, known });
      return isLeft ? 'fetch alone' : 'fetch';
    }
    if (this.#remember(id, known)) this.#report(describeLeft(mail, known));
    return 'leave';
  }

  /** All candidates were listed: the others are gone, and are forgotten. */
  noteAllListed(): void {
    for (const id of this.#untried.keys()) if (!this.#listed.has(id)) this.#untried.delete(id);
  }

  /** The mail with this key is tried, whatever comes of it. */
  noteTried(key: string): void {
    if (this.#untried.size === 0) return;
    const id = this.#idOf(key);
    this.#untried.delete(id);
    this.#dueAgain.delete(id);
  }

  /** Counts one more failed try of this mail; `why` is a sentence. */
  add(mail: MailRef, why: string): void {
    const tries = this.#count(mail);
    if (tries === undefined) return;
    const then = tries < maxTries ? 'it is tried again in the next run' : 'it was left on the server';
    this.#report(`Mail ${mail.id} could not be fetched (try ${tries} of ${maxTries}; ${then}): ${why}`);
  }

  /**
   * Notes that the server says of a listed mail that it is gone. Once that is nothing: someone has removed
   * it. A server that lists it in the next run again can't hand it over (Dovecot's POP3 says so of a mail
   * that it can't read).
   */
  addGone(mail: MailRef): void {
    if (this.#known.has(this.#idOf(mail.key))) {
      this.add(mail, 'the server lists it, and says that it is gone.');
    } else {
      this.#count(mail);
    }
  }

  /** What to report of this run, undefined where every mail could be had. */
  get sentence(): string | undefined {
    const [left] = this.#dueAgain.values();
    const sentence = this.#sentence ?? (left && describeLeft(left.mail, left.known));
    const more = this.#reported + this.#dueAgain.size - 1;
    return more > 0 && sentence !== undefined ? `${sentence} (${more} more such mails)` : sentence;
  }

  /** The state column for the next run. */
  toColumn(): string {
    const next = [...new Map([...this.#untried, ...this.#next])].slice(-maxRemembered);
    return next.length === 0 ? '' : JSON.stringify(Object.fromEntries(next));
  }

  /** Gives which try this was; undefined where it was counted already in this run, or there are too many. */
  #count(mail: MailRef): number | undefined {
    const id = this.#idOf(mail.key);
    const tries = (this.#known.get(id)?.tries ?? 0) + 1;
    return this.#remember(id, { tries, lastTriedAt: this.#now }) ? tries : undefined;
  }

  #idOf(key: string): string {
    return shortHash(JSON.stringify([this.#mailboxId, key]));
  }

  #remember(id: string, one: Try): boolean {
    if (this.#next.has(id) || this.#next.size >= maxRemembered) return false;
    this.#next.set(id, one);
    return true;
  }

  #report(sentence: string): void {
    this.#sentence ??= sentence;
    this.#reported += 1;
  }
}

function describeLeft({ id }: MailRef, { tries }: Try): string {
  return `Mail ${id} could not be fetched in ${tries} runs in a row and was left on the server; look at it with a mail client, then move or remove it.`;
}

/**
 * The mails that may bring the process down, counted before they are taken apart. Kept in the state column
 * `riskyMails`, which is written at once: a process that dies has no other time for it.
 */
export class RiskTries {
  /** As the run found them: how often each mail brought the process down. */
  readonly #deaths: ReadonlyMap<string, number>;
  /** What the next run is to find, should this one end now. */
  readonly #counts: Map<string, number>;
  readonly #write: (column: string) => Promise<void>;
  readonly #begun = new Set<string>();
  /** What stands in the row. */
  #written: string;

  constructor(column: unknown, write: (column: string) => Promise<void>) {
    this.#written = typeof column === 'string' ? column : '';
    this.#deaths = new Map(
      entriesOf(column).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
    );
    this.#counts = new Map(this.#deaths);
    this.#write = write;
  }

  /** In how many runs before this one the process went down while this mail was taken apart. */
  countOf(identityId: string): number {
    return this.#deaths.get(identityId.slice(0, 32)) ?? 0;
  }

  /** Resolves when the try is counted where a dead process can't take it back; a second time in a run it counts no more. */
  async begin(identityId: string): Promise<void> {
    if (this.#begun.has(identityId)) return;
    this.#begun.add(identityId);
    this.#counts.set(identityId.slice(0, 32), this.countOf(identityId) + 1);
    // Before its answer: a write that fails may have been done.
    this.#written = this.toColumn();
    await this.#write(this.#written);
  }

  /** It did not bring anything down. */
  end(identityId: string): void {
    this.#counts.delete(identityId.slice(0, 32));
  }

  /** The state column for the next run, where it is not what the row has already. */
  get changedColumn(): string | undefined {
    const next = this.toColumn();
    return next === this.#written ? undefined : next;
  }

  toColumn(): string {
    const last = [...this.#counts].slice(-maxRemembered);
    return last.length === 0 ? '' : JSON.stringify(Object.fromEntries(last));
  }
}

function parse(column: unknown): Map<string, Try> {
  const known = new Map<string, Try>();
  for (const [id, one] of entriesOf(column)) {
    const { tries, lastTriedAt } = isObject(one) ? one : {};
    if (typeof tries === 'number' && typeof lastTriedAt === 'number') known.set(id, { tries, lastTriedAt });
  }
  return known;
}

/** A column that someone has edited counts as empty: the counting begins anew. */
function entriesOf(column: unknown): readonly (readonly [id: string, value: unknown])[] {
  return Object.entries((typeof column === 'string' && parseObject(column)) || {});
}

import { hash } from 'node:crypto';
import type { MailRef } from '../mailbox/mailbox.ts';

/** A mail that fails in this many runs in a row is left on the server. */
export const maxTries = 3;
/** A mail that was left is tried again after this long: its server may have been mended. */
const retryLeftAfterMs = 3_600_000;
const maxRemembered = 100;

interface Trouble {
  readonly tries: number;
  readonly lastTriedAt: number;
}

/**
 * The mails of one mailbox that the server lists but can't hand over, or that end the session whenever they
 * are asked for. Kept from run to run in the state column `unfetchable`.
 */
export class Troubles {
  readonly #known: ReadonlyMap<string, Trouble>;
  readonly #now: number;
  readonly #next = new Map<string, Trouble>();
  #sentence: string | undefined;
  #reported = 0;

  constructor(column: unknown, now: Date) {
    this.#known = parse(column);
    this.#now = now.getTime();
  }

  /** Whether to pass this mail over; to be asked for each candidate, so that those that are gone are forgotten. */
  isLeft(mail: MailRef): boolean {
    if (this.#known.size === 0) return false;
    const id = idOf(mail);
    const trouble = this.#known.get(id);
    if (!trouble || trouble.tries < maxTries || this.#now - trouble.lastTriedAt >= retryLeftAfterMs)
      return false;
    if (this.#remember(id, trouble))
      this.#report(
        `Mail ${mail.id} could not be fetched in ${trouble.tries} runs in a row and was left on the server; look at it with a mail client, then move or remove it.`,
      );
    return true;
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
    if (this.#known.has(idOf(mail))) this.add(mail, 'the server lists it, and says that it is gone.');
    else this.#count(mail);
  }

  /** What to report of this run, undefined where every mail could be had. */
  get sentence(): string | undefined {
    const more = this.#reported - 1;
    return more > 0 && this.#sentence !== undefined
      ? `${this.#sentence} (${more} more such mails)`
      : this.#sentence;
  }

  /** The state column for the next run. */
  toColumn(): string {
    return this.#next.size === 0 ? '' : JSON.stringify(Object.fromEntries(this.#next));
  }

  /** Gives which try this was; undefined where it was counted already in this run, or there are too many. */
  #count(mail: MailRef): number | undefined {
    const id = idOf(mail);
    const tries = (this.#known.get(id)?.tries ?? 0) + 1;
    return this.#remember(id, { tries, lastTriedAt: this.#now }) ? tries : undefined;
  }

  #remember(id: string, trouble: Trouble): boolean {
    if (this.#next.has(id) || this.#next.size >= maxRemembered) return false;
    this.#next.set(id, trouble);
    return true;
  }

  #report(sentence: string): void {
    this.#sentence ??= sentence;
    this.#reported += 1;
  }
}

function idOf(mail: MailRef): string {
  return hash('sha256', mail.key, 'hex').slice(0, 32);
}

function parse(column: unknown): Map<string, Trouble> {
  const known = new Map<string, Trouble>();
  if (typeof column !== 'string' || column === '') return known;
  try {
    for (const [id, trouble] of Object.entries(JSON.parse(column) as Record<string, Partial<Trouble>>)) {
      const { tries, lastTriedAt } = trouble;
      if (typeof tries === 'number' && typeof lastTriedAt === 'number') known.set(id, { tries, lastTriedAt });
    }
  } catch {
    // A column that someone has edited: the counting begins anew.
  }
  return known;
}

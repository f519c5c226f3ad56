import type { MailIdentity } from '../message/identity.ts';

const maxRemembered = 100;
const hashCharacters = 16;
const lastOfEach = /^([0-9a-f]{16})(?::(\d{1,6}))?$/;

/**
 * The mails of one mailbox that were settled last, for a server that keeps what it was told to remove or mark: the
 * last hundred, in the state column `settledMails`, each with how often in a row it was listed again.
 */
export class SettledMails {
  readonly #before: ReadonlyMap<string, number>;
  readonly #now = new Map<string, number>();
  #sentence: string | undefined;

  constructor(column: unknown) {
    const entries = typeof column === 'string' ? column.split(',') : [];
    this.#before = new Map(
      entries.flatMap((entry) => {
        const [, hash, count] = lastOfEach.exec(entry) ?? [];
        return hash === undefined ? [] : [[hash, Number(count ?? 0)] as const];
      }),
    );
  }

  /** Whether the mail was settled before and is here again. */
  has(identity: MailIdentity): boolean {
    return this.#before.has(hashOf(identity));
  }

  /** Notes that the mail is being settled; `name` is what the server calls it. */
  add(identity: MailIdentity, name: string): void {
    const hash = hashOf(identity);
    const before = this.#before.get(hash);
    const count = before === undefined ? 0 : before + 1;
    this.#now.set(hash, count);
    if (count >= 2) {
      this.#sentence ??= `The server lists mail ${name} again, which was settled in ${count} runs before: it keeps what it is told to mark or delete. Look at the mailbox's rights and quota.`;
    }
  }

  /** There from the second time in a row that a settled mail is listed again. */
  get sentence(): string | undefined {
    return this.#sentence;
  }

  /** The state column for the next run; undefined where nothing was settled. */
  toColumn(): string | undefined {
    if (this.#now.size === 0) return undefined;
    const all = new Map([...this.#before].filter(([hash]) => !this.#now.has(hash)));
    for (const [hash, count] of this.#now) all.set(hash, count);
    return [...all]
      .slice(-maxRemembered)
      .map(([hash, count]) => (count === 0 ? hash : `${hash}:${count}`))
      .join(',');
  }
}

function hashOf({ id }: MailIdentity): string {
  return id.slice(0, hashCharacters);
}

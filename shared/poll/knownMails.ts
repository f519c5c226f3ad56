import timers from 'node:timers/promises';
import { DeliveredMails, type DeliveredMailsOptions } from '../delivered/deliveredMails.ts';
import { type MailIdentity, shortHash } from '../message/identity.ts';
import type { UndeliveredStore } from '../undelivered/undeliveredStore.ts';
import { GroupCommit } from '../wait/groupCommit.ts';

export interface KnownMailsOptions extends DeliveredMailsOptions {
  readonly openUndelivered: () => Promise<UndeliveredStore>;
}

/** Why a mail is to be settled and not sent. */
export interface Known {
  readonly kind: 'delivered' | 'stored';
  /** When that was recorded. */
  readonly at: Date;
}

const maxGroup = 500;
/** A run that dies leaves so much of what was pushed unrecorded; a repeat of it is dropped by its messageId. */
const recordEveryMs = 100;
const longestMs = 7 * 86_400_000;

/**
 * The mails of one mailbox that are safe elsewhere and may not be settled yet: delivered ones by their record,
 * stored ones by their mark. Read only after a run that did not end cleanly; written by every run.
 */
export class KnownMails {
  readonly #options: KnownMailsOptions;
  readonly #delivered: DeliveredMails;
  readonly #records: GroupCommit<MailIdentity>;
  /** By identity id. */
  readonly #marks = new Map<string, { readonly keyHash: string; readonly storedAt: Date }>();

  /** By identity id: delivered, neither recorded nor settled. */
  readonly #unrecorded = new Map<string, MailIdentity>();
  #landed = new AbortController();
  #recordingAgain: Promise<void> | undefined;
  #isInDoubt = false;

  constructor(options: KnownMailsOptions) {
    this.#options = options;
    const delivered = new DeliveredMails(options);
    this.#delivered = delivered;
    this.#records = new GroupCommit(maxGroup, recordEveryMs, (identities) => delivered.record(identities));
  }

  /** Whether nothing is left that this or an earlier run brought away and did not settle. */
  get isEmpty(): boolean {
    return !this.#isInDoubt && this.#delivered.isEmpty && this.#marks.size === 0;
  }

  /** Reads what earlier runs have left; marks that are too old go. Rejects with a `Failure`. */
  async read(): Promise<void> {
    const { customer, connection, mailboxId, openUndelivered, now } = this.#options;
    const [store] = await Promise.all([openUndelivered(), this.#delivered.read()]);
    const mailbox = shortHash(mailboxId);
    const tooOld: string[] = [];
    for (const mark of await store.readMarks(customer, connection)) {
      if (now().getTime() - mark.storedAt.getTime() > longestMs) tooOld.push(mark.identityId);
      // One of another mailbox waits until the connection points there again.
      else if (mark.mailbox === mailbox) this.#marks.set(mark.identityId, mark);
    }
    await store.removeMarks(customer, connection, tooOld);
  }

  /** The hashes of the keys of all that is known: what a mail's own may be told by before it is fetched. */
  keyHashes(): ReadonlySet<string> {
    const marked = [...this.#marks.values()].map(({ keyHash }) => keyHash);
    return new Set([...this.#delivered.keyHashes(), ...marked]);
  }

  find(identity: MailIdentity): Known | undefined {
    const recordedAt = this.#delivered.recordedAt(identity);
    if (recordedAt) return { kind: 'delivered', at: recordedAt };
    const mark = this.#marks.get(identity.id);
    return mark && { kind: 'stored', at: mark.storedAt };
  }

  /**
   * Resolves when it is recorded that the mail was delivered; many are recorded together. Rejects with a `Failure`; it
   * is tried again behind the caller's back then, for as long as the mail is not settled: a run that dies meanwhile, or
   * whose server does not carry out the settle, leaves a mail that is to be settled, and neither sent nor overlooked.
   */
  async record(identity: MailIdentity): Promise<void> {
    try {
      await this.#orInDoubt(this.#records.add(identity));
    } catch (error) {
      this.#unrecorded.set(identity.id, identity);
      this.#recordingAgain ??= this.#recordAgain();
      throw error;
    }
  }

  async #recordAgain(): Promise<void> {
    const { signal } = this.#landed;
    for (let isLast = false; !isLast && this.#unrecorded.size > 0; ) {
      await timers.setTimeout(recordEveryMs, undefined, { signal, ref: false }).catch(() => undefined);
      isLast = signal.aborted;
      const recording = [...this.#unrecorded.values()].map(async (identity) => {
        await this.#records.add(identity);
        this.#unrecorded.delete(identity.id);
      });
      await Promise.allSettled(recording);
    }
    this.#recordingAgain = undefined;
  }

  /** Nothing more is settled in this session: what is not recorded then is tried once more. */
  async land(): Promise<void> {
    this.#landed.abort();
    await this.#recordingAgain;
    this.#landed = new AbortController();
  }

  /** The store has marked this mail. */
  noteStored({ id, keyHash }: MailIdentity, storedAt: Date): void {
    this.#marks.set(id, { keyHash, storedAt });
  }

  /** What was cut or failed may have been done all the same, or not: the next run has to look. */
  noteDoubt(): void {
    this.#isInDoubt = true;
  }

  /** What is recorded from now on has someone waiting for it. */
  hurry(): void {
    this.#records.hurry();
  }

  /** These mails are settled, or gone. Rejects with a `Failure`. */
  async forget(identityIds: readonly string[]): Promise<void> {
    for (const id of identityIds) this.#unrecorded.delete(id);
    await this.#orInDoubt(this.#delivered.forget(identityIds));
    await this.#removeMarks(identityIds.filter((id) => this.#marks.has(id)));
  }

  /** Forgets the mails that a complete list no longer has. Rejects with a `Failure`. */
  async keepOnly(keyHashes: ReadonlySet<string>): Promise<void> {
    await this.#orInDoubt(this.#delivered.keepOnly(keyHashes));
    await this.#removeMarks(
      [...this.#marks].flatMap(([id, { keyHash }]) => (keyHashes.has(keyHash) ? [] : [id])),
    );
  }

  async #orInDoubt(work: Promise<void>): Promise<void> {
    await work.catch((error: unknown) => {
      this.noteDoubt();
      throw error;
    });
  }

  async #removeMarks(identityIds: readonly string[]): Promise<void> {
    if (identityIds.length === 0) return;
    const { customer, connection, openUndelivered } = this.#options;
    await (await openUndelivered()).removeMarks(customer, connection, identityIds);
    for (const id of identityIds) this.#marks.delete(id);
  }
}

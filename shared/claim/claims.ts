import type { TableClient, TransactionAction } from '@azure/data-tables';
import type { MailRef } from '../mailbox/mailbox.ts';
import { storageFailure } from '../storage/storageFailure.ts';
import { withTable } from '../storage/tables.ts';
import {
  type ClaimStatus,
  type ClaimsRow,
  claimId,
  claimsPartition,
  groupColumns,
  groupRowKey,
  maxGroupMails,
  readClaims,
  runRowKey,
  turnRowKey,
} from './claimTable.ts';
import { type Group, MailboxClaims } from './mailboxClaims.ts';
import { runActions, runTransaction } from './transaction.ts';

/**
 * What a claim says of a mail: `mine`, to be delivered by this run; `orphaned`, likewise, but a run that
 * died may have stored its parts before; `delivered` already, to be settled only; `taken` by another live
 * run, to be left to it.
 */
export type ClaimVerdict = 'mine' | 'orphaned' | 'delivered' | 'taken';

/**
 * One run's claims on the mails of one mailbox, in table `EmailClaims`. They keep two runs from pushing the
 * same mail, and tell a later run which mails of a dead one have been pushed.
 *
 * A run claims many mails with one row, so no key of the table keeps two runs from claiming the same mail:
 * the row `turn` does. Whoever claims writes it too, in the same transaction, on the condition that it is as
 * it was when the others' claims were read.
 *
 * Why tombstones: a run that has listed a mail before another run settled it must still find a claim when
 * it comes to it. So a claim is only removed while this run holds the lease (nobody newer has started)
 * and no other run has a row here; otherwise it stays as `settled` until that is so. A run whose lease
 * has ended before its row was written takes its list anew.
 *
 * Every method rejects with a `Failure` of reason `storage` when the table can't be had.
 */
export interface Claims {
  /**
   * Writes this run's row and reads what others left; to be called before the first `take`. `listed` is
   * the complete list of candidates, so that claims on mails that are gone can be removed; undefined where
   * the list was cut.
   */
  begin(listed: readonly MailRef[] | undefined): Promise<void>;
  /** Claims these mails. */
  take(mails: readonly MailRef[]): Promise<ReadonlyMap<MailRef, ClaimVerdict>>;
  /** Records that every part of these mails is safe elsewhere. */
  markDelivered(mails: readonly MailRef[]): Promise<void>;
  /** Gives up the claims of mails that are settled, or gone from the server. */
  drop(mails: readonly MailRef[]): Promise<void>;
  /** Gives up the claims of mails that were not pushed: any run may deliver them. */
  free(mails: readonly MailRef[]): Promise<void>;
  /** Says that the run is alive. */
  beat(): Promise<void>;
  /** As `drop` for these mails; then frees what this run had claimed and not delivered, and removes its row. */
  end(settled?: readonly MailRef[]): Promise<void>;
}

export interface ClaimsOptions {
  readonly table: TableClient;
  readonly customer: string;
  readonly connection: string;
  readonly runId: string;
  /** Whether this run still holds the mailbox's lease. */
  readonly holdsLease: () => boolean;
  readonly now: () => Date;
}

export function openClaims(options: ClaimsOptions): Claims {
  return new TableClaims(options);
}

/** How often a run tries to claim while others claim on the same mailbox. */
const maxTurns = 5;

class TableClaims implements Claims {
  readonly #options: ClaimsOptions;
  readonly #partitionKey: string;
  readonly #known: MailboxClaims;
  readonly #ids = new Map<string, string>();
  #hasBegun = false;
  #groups = 0;
  /** Own groups that could not be written, to be tried once more at the end: they may say what was pushed. */
  readonly #unwritten = new Set<Group>();
  /** One after the other: each writes whole rows, of which the last one counts. */
  #lastWork: Promise<unknown> = Promise.resolve();

  constructor(options: ClaimsOptions) {
    this.#options = options;
    this.#partitionKey = claimsPartition(options.customer, options.connection);
    this.#known = new MailboxClaims(options.runId);
  }

  begin(listed: readonly MailRef[] | undefined): Promise<void> {
    return this.#inTurn(async () => {
      const { table, now, runId } = this.#options;
      const row = { ...this.#runRow, runId, heartbeatAt: now().toISOString() };
      await withTable(table, () => table.upsertEntity(row, 'Replace')).catch((error: unknown) => {
        throw storageFailure(error, 'writing the table EmailClaims');
      });
      this.#hasBegun = true;
      await this.#readAll();
      if (this.#known.hasCompany || !this.#options.holdsLease()) return;
      const onList = listed && new Set(this.#idsOf(listed));
      const isStale = (id: string, status: ClaimStatus) =>
        status === 'settled' || (onList !== undefined && !onList.has(id));
      await this.#write(this.#known.removeStale(isStale));
    });
  }

  take(mails: readonly MailRef[]): Promise<ReadonlyMap<MailRef, ClaimVerdict>> {
    return this.#inTurn(async () => {
      for (let turn = 1; ; turn += 1) {
        const verdicts = new Map(mails.map((mail) => [mail, this.#judge(this.#idOf(mail))]));
        const unclaimed = mails.filter((mail) => this.#isToBeWritten(mail, verdicts));
        if (unclaimed.length === 0 || (await this.#claim(unclaimed))) return verdicts;
        if (turn === maxTurns) {
          for (const mail of unclaimed) verdicts.set(mail, 'taken');
          return verdicts;
        }
        await this.#readAll();
      }
    });
  }

  markDelivered(mails: readonly MailRef[]): Promise<void> {
    return this.#inTurn(() => this.#write(this.#known.mark(this.#idsOf(mails), 'delivered')));
  }

  drop(mails: readonly MailRef[]): Promise<void> {
    return this.#inTurn(async () => {
      if (mails.length > 0) await this.#write(this.#giveUp(mails, await this.#isAlone()));
    });
  }

  free(mails: readonly MailRef[]): Promise<void> {
    return this.#inTurn(() => this.#write(this.#known.remove(this.#idsOf(mails), 'mine')));
  }

  async beat(): Promise<void> {
    if (!this.#hasBegun) return;
    const { table, now } = this.#options;
    const row = { ...this.#runRow, heartbeatAt: now().toISOString() };
    await table.updateEntity(row, 'Merge', { etag: '*' }).catch((error: unknown) => {
      throw storageFailure(error, 'writing the table EmailClaims');
    });
  }

  end(settled: readonly MailRef[] = []): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#hasBegun) return;
      this.#hasBegun = false;
      const isAlone = await this.#isAlone();
      const changed = new Set([...this.#giveUp(settled, isAlone), ...this.#unwritten]);
      const claimed = this.#known.mine.flatMap(({ claims }) =>
        [...claims].filter(([, status]) => status === 'claimed').map(([id]) => id),
      );
      for (const group of this.#known.remove(claimed, 'mine')) changed.add(group);
      const actions = [...this.#actionsFor(changed), this.#deletion(this.#runRow.rowKey)];
      const isLast = isAlone && this.#known.mine.length + this.#known.others.length === 0;
      if (isLast && this.#known.turnEtag !== undefined) actions.push(this.#deletion(turnRowKey));
      await runActions(this.#options.table, actions);
    });
  }

  /** Changes the claims of mails that are settled; gives the groups that are to be written. */
  #giveUp(mails: readonly MailRef[], mayForget: boolean): Set<Group> {
    const ids = this.#idsOf(mails);
    return mayForget ? this.#known.remove(ids, 'everywhere') : this.#known.mark(ids, 'settled');
  }

  get #runRow() {
    return { partitionKey: this.#partitionKey, rowKey: runRowKey(this.#options.runId) };
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#lastWork.then(work);
    this.#lastWork = done.catch(() => undefined);
    return done;
  }

  #judge(id: string): ClaimVerdict {
    const status = this.#known.statusOf(id);
    if (status !== undefined) return status === 'claimed' ? 'mine' : 'delivered';
    const foreign = this.#known.foreignClaim(id);
    if (foreign === 'none') return 'mine';
    return foreign === 'live' ? 'taken' : foreign;
  }

  #isToBeWritten(mail: MailRef, verdicts: ReadonlyMap<MailRef, ClaimVerdict>): boolean {
    const verdict = verdicts.get(mail);
    return (
      (verdict === 'mine' || verdict === 'orphaned') && this.#known.statusOf(this.#idOf(mail)) === undefined
    );
  }

  /** False when another run has claimed since the claims were read, or may have. */
  async #claim(mails: readonly MailRef[]): Promise<boolean> {
    const { table, runId } = this.#options;
    const groups: Group[] = [];
    for (let from = 0; from < mails.length; from += maxGroupMails) {
      const ids = this.#idsOf(mails.slice(from, from + maxGroupMails));
      this.#groups += 1;
      const claims = new Map(ids.map((id): [string, ClaimStatus] => [id, 'claimed']));
      groups.push({ rowKey: groupRowKey(runId, this.#groups), runId, claims });
    }
    const turn = { partitionKey: this.#partitionKey, rowKey: turnRowKey, runId };
    const etag = this.#known.turnEtag;
    const takenOver = this.#known.takenOverFrom(this.#idsOf(mails));
    // The turn comes last: who should see half of this, as with Azurite, sees the claims before the new turn.
    const outcome = await runTransaction(table, [
      ...groups.map((group): TransactionAction => ['create', this.#entityOf(group)]),
      ...takenOver.map((group) => this.#writing(group)),
      etag === undefined ? ['create', turn] : ['update', turn, 'Replace', { etag }],
    ]);
    if ('index' in outcome) return false;
    for (const group of groups) this.#known.addMine(group);
    this.#known.replaceOthers(takenOver);
    this.#known.turnEtag = outcome.subResponses.at(-1)?.etag;
    // Without the new version the next claim could not be made on condition of it.
    if (this.#known.turnEtag === undefined) await this.#readAll();
    return true;
  }

  async #readAll(): Promise<void> {
    this.#known.readAll(await this.#read('mailbox'), this.#options.now());
    await this.#removeDeadRuns();
  }

  /** Whether nobody can have a mail on a list that this run has dealt with. */
  async #isAlone(): Promise<boolean> {
    if (!this.#options.holdsLease()) return false;
    this.#known.readRuns(await this.#read('runs'), this.#options.now());
    await this.#removeDeadRuns();
    return this.#options.holdsLease() && !this.#known.hasCompany;
  }

  async #read(kind: 'mailbox' | 'runs'): Promise<readonly ClaimsRow[]> {
    const rows: ClaimsRow[] = [];
    const scope = { kind, partitionKey: this.#partitionKey };
    for await (const row of readClaims(this.#options.table, scope)) rows.push(row);
    return rows;
  }

  async #removeDeadRuns(): Promise<void> {
    const deletions = this.#known.deadRunRows.map((rowKey) => this.#deletion(rowKey));
    await runActions(this.#options.table, deletions);
  }

  async #write(groups: ReadonlySet<Group>): Promise<void> {
    for (const group of groups) if (group.runId === this.#options.runId) this.#unwritten.add(group);
    await runActions(this.#options.table, this.#actionsFor(groups));
    for (const group of groups) this.#unwritten.delete(group);
  }

  #actionsFor(groups: ReadonlySet<Group>): TransactionAction[] {
    const actions = [...groups].map((group) => this.#writing(group));
    this.#known.forgetEmpty();
    return actions;
  }

  #writing(group: Group): TransactionAction {
    if (group.claims.size === 0) return this.#deletion(group.rowKey);
    return ['upsert', this.#entityOf(group), 'Replace'];
  }

  #entityOf({ rowKey, runId, claims }: Group) {
    return { partitionKey: this.#partitionKey, rowKey, ...groupColumns(runId, claims) };
  }

  #deletion(rowKey: string): TransactionAction {
    return ['delete', { partitionKey: this.#partitionKey, rowKey }];
  }

  #idsOf(mails: readonly MailRef[]): string[] {
    return mails.map((mail) => this.#idOf(mail));
  }

  /** Hashed once a mail and run: each mail is asked after five times. */
  #idOf({ key }: MailRef): string {
    const id = this.#ids.get(key) ?? claimId(key);
    this.#ids.set(key, id);
    return id;
  }
}

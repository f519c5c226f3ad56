import type { TableClient, TransactionAction } from '@azure/data-tables';
import type { MailRef } from '../mailbox/mailbox.ts';
import { storageFailure } from '../storage/storageFailure.ts';
import { withTable } from '../storage/tables.ts';
import {
  type ClaimRow,
  type ClaimStatus,
  claimRowKey,
  claimsPartition,
  deadAfterMs,
  readClaims,
  runActions,
  runRowKey,
} from './claimTable.ts';

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
 * Why tombstones: a run that has listed a mail before another run settled it must still find a claim when
 * it comes to it. So a claim is only removed while this run holds the lease (nobody newer has started)
 * and no other run has a row here; otherwise it stays as `settled` until that is so. A run whose lease
 * has ended before its row was written takes its list anew.
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
  /** Frees what this run had claimed and not delivered, and removes its row. */
  end(): Promise<void>;
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
  const { table, runId, now } = options;
  const partitionKey = claimsPartition(options.customer, options.connection);
  const row = { partitionKey, rowKey: runRowKey(runId) };
  /** What this run has in the table, by row key. */
  const mine = new Map<string, ClaimStatus>();
  let others = new Map<string, ClaimRow>();
  let liveRuns = new Set<string>();
  let begun = false;

  const readOthers = async (kind: 'mailbox' | 'runs'): Promise<void> => {
    const claims = new Map<string, ClaimRow>();
    const live = new Set<string>();
    const dead: string[] = [];
    for await (const found of readClaims(table, { kind, partitionKey })) {
      if (found.kind === 'run') {
        if (found.runId === runId) continue;
        if (now().getTime() - found.heartbeatAt.getTime() < deadAfterMs) live.add(found.runId);
        else dead.push(found.rowKey);
      } else if (found.runId !== runId) {
        claims.set(found.rowKey, found);
      } else if (!mine.has(found.rowKey)) {
        // Written by this run though the answer was lost.
        mine.set(found.rowKey, found.status);
      }
    }
    if (kind === 'mailbox') others = claims;
    liveRuns = live;
    await remove(dead);
  };

  const remove = async (rowKeys: readonly string[]): Promise<void> => {
    const actions = rowKeys.map((rowKey): TransactionAction => ['delete', { partitionKey, rowKey }]);
    await runActions(table, actions, 'skip');
  };

  const mark = async (rowKeys: readonly string[], status: ClaimStatus): Promise<void> => {
    const actions = rowKeys.map(
      (rowKey): TransactionAction => ['upsert', { partitionKey, rowKey, runId, status }, 'Replace'],
    );
    await runActions(table, actions, 'skip');
  };

  const mayForget = async (): Promise<boolean> => {
    if (!options.holdsLease()) return false;
    await readOthers('runs');
    return options.holdsLease() && liveRuns.size === 0;
  };

  /** The verdict and the action that it takes, if any. */
  const planTake = (rowKey: string): { verdict: ClaimVerdict; action?: TransactionAction } => {
    const status = mine.get(rowKey);
    if (status !== undefined) return { verdict: status === 'claimed' ? 'mine' : 'delivered' };
    const claim = others.get(rowKey);
    const entity = { partitionKey, rowKey, runId, status: 'claimed' satisfies ClaimStatus };
    if (!claim) return { verdict: 'mine', action: ['create', entity] };
    if (claim.status !== 'claimed') return { verdict: 'delivered' };
    if (liveRuns.has(claim.runId)) return { verdict: 'taken' };
    return { verdict: 'orphaned', action: ['update', entity, 'Replace', { etag: claim.etag }] };
  };

  /** Takes what can be taken at once and gives the mails that another run came in between for. */
  const takeOnce = async (
    mails: readonly MailRef[],
    verdicts: Map<MailRef, ClaimVerdict>,
    onRefusal: 'stop' | 'skip',
  ): Promise<MailRef[]> => {
    const actions: TransactionAction[] = [];
    const asked: { mail: MailRef; rowKey: string; verdict: ClaimVerdict }[] = [];
    for (const mail of mails) {
      const rowKey = claimRowKey(mail.key);
      const { verdict, action } = planTake(rowKey);
      if (action) {
        actions.push(action);
        asked.push({ mail, rowKey, verdict });
      } else {
        verdicts.set(mail, verdict);
      }
    }
    const refused = await runActions(table, actions, onRefusal);
    for (const [index, { mail, rowKey, verdict }] of asked.entries()) {
      if (refused.has(index)) continue;
      mine.set(rowKey, 'claimed');
      verdicts.set(mail, verdict);
    }
    return asked.filter((_, index) => refused.has(index)).map(({ mail }) => mail);
  };

  return {
    async begin(listed) {
      try {
        await withTable(table, () =>
          table.upsertEntity({ ...row, runId, heartbeatAt: now().toISOString() }, 'Replace'),
        );
      } catch (error) {
        throw storageFailure(error, 'writing the table EmailClaims');
      }
      begun = true;
      await readOthers('mailbox');
      if (liveRuns.size > 0 || !options.holdsLease()) return;
      const onList = listed && new Set(listed.map((mail) => claimRowKey(mail.key)));
      const isStale = (claim: ClaimRow): boolean =>
        claim.status === 'settled' || (onList !== undefined && !onList.has(claim.rowKey));
      const stale = [...others.values()].filter(isStale).map((claim) => claim.rowKey);
      await remove(stale);
      for (const rowKey of stale) others.delete(rowKey);
    },

    async take(mails) {
      const verdicts = new Map<MailRef, ClaimVerdict>();
      let contested = await takeOnce(mails, verdicts, 'stop');
      for (const onRefusal of ['stop', 'skip'] as const) {
        if (contested.length === 0) break;
        await readOthers('mailbox');
        contested = await takeOnce(contested, verdicts, onRefusal);
      }
      for (const mail of contested) verdicts.set(mail, 'taken');
      return verdicts;
    },

    async markDelivered(mails) {
      const rowKeys = rowKeysOf(mails);
      await mark(rowKeys, 'delivered');
      for (const rowKey of rowKeys) mine.set(rowKey, 'delivered');
    },

    async drop(mails) {
      if (mails.length === 0) return;
      const rowKeys = rowKeysOf(mails);
      await ((await mayForget()) ? remove(rowKeys) : mark(rowKeys, 'settled'));
      for (const rowKey of rowKeys) mine.delete(rowKey);
    },

    async free(mails) {
      const rowKeys = rowKeysOf(mails);
      await remove(rowKeys);
      for (const rowKey of rowKeys) mine.delete(rowKey);
    },

    async beat() {
      if (!begun) return;
      await table
        .updateEntity({ ...row, heartbeatAt: now().toISOString() }, 'Merge', { etag: '*' })
        .catch((error: unknown) => {
          throw storageFailure(error, 'writing the table EmailClaims');
        });
    },

    async end() {
      if (!begun) return;
      begun = false;
      const unsent = [...mine].filter(([, status]) => status === 'claimed').map(([rowKey]) => rowKey);
      await remove([...unsent, row.rowKey]);
    },
  };
}

function rowKeysOf(mails: readonly MailRef[]): string[] {
  return mails.map((mail) => claimRowKey(mail.key));
}

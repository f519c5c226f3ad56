import type { TableClient, TableTransactionResponse, TransactionAction } from '@azure/data-tables';
import { isMissing, statusOf, storageFailure } from '../storage/storageFailure.ts';
import { withTable } from '../storage/tables.ts';

const maxActions = 100;

/** The action for whose sake the service has refused a transaction: a row exists already, has changed or is gone. */
export interface Refusal {
  readonly index: number;
}

/**
 * Runs at most 100 actions of one partition, all or none. Rejects with a `Failure` when storage can't be
 * had.
 */
export async function runTransaction(
  table: TableClient,
  actions: readonly TransactionAction[],
): Promise<TableTransactionResponse | Refusal> {
  try {
    return await withTable(table, () => table.submitTransaction([...actions]));
  } catch (error) {
    const index = culpritOf(error);
    if (index === undefined) throw storageFailure(error, 'writing the table EmailClaims');
    return { index };
  }
}

/** Runs the actions, all of one partition, in transactions; those that are refused are left out. */
export async function runActions(table: TableClient, actions: readonly TransactionAction[]): Promise<void> {
  for (let from = 0; from < actions.length; from += maxActions) {
    let left = actions.slice(from, from + maxActions);
    while (left.length > 0) {
      const outcome = await runTransaction(table, left);
      if (!('index' in outcome)) break;
      left = left.toSpliced(outcome.index, 1);
    }
  }
}

/** Table Storage begins the message of a failed transaction with the index of the action at fault. */
function culpritOf(error: unknown): number | undefined {
  const status = statusOf(error);
  if (status !== 409 && status !== 412 && !isMissing(error)) return undefined;
  const index = error instanceof Error ? /^(\d+):/.exec(error.message)?.[1] : undefined;
  return index === undefined ? undefined : Number(index);
}

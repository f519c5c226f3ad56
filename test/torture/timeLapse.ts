import type { TableClient } from '@azure/data-tables';
import type { Fleet } from './fleet.ts';
import { mailboxes, type Rig } from './rig.ts';

type Row = Record<string, unknown> & {
  readonly partitionKey: string;
  readonly rowKey: string;
  readonly etag: string;
};

export type LetTimePass = (
  fleet: Pick<Fleet, 'isOfDead' | 'kills'>,
  when: 'runs are at work' | 'no run is at work',
) => Promise<{ readonly undelivered: number }>;

/**
 * Makes time pass for what killed instances have left, by editing the tables: their heartbeats are two minutes
 * old, their leases have lapsed, the records that they had taken are free. Stored mails are due at once. When all
 * is quiet, mails that were cut off in three runs in a row are tried anew. Nothing of a live instance is touched.
 */
export function timeLapse(rig: Rig): LetTimePass {
  /** Mailboxes that were leased at the last look though no live run said that it was at work. */
  let suspect = new Set<string>();

  /** Nobody can tell who holds a lease: a killed run may have taken it and not have said so yet. */
  const lapseLeases = async (
    fleet: Pick<Fleet, 'isOfDead' | 'kills'>,
    old: string,
    isQuiet: boolean,
  ): Promise<void> => {
    const suspectNow = new Set<string>();
    for await (const row of rowsOf(rig.table('EmailConnections'))) {
      const mailbox = mailboxes.find(({ name }) => name === row.rowKey);
      if (!mailbox) continue;
      const isRunning = row.lastStatus === 'running';
      const isDead = isRunning && fleet.isOfDead(row.runId);
      if (isDead && String(row.heartbeatAt) > old)
        await merge(rig.table('EmailConnections'), row, { heartbeatAt: old });
      else if (isQuiet && row.unfetchable)
        await merge(rig.table('EmailConnections'), row, { unfetchable: '' });
      if (isDead || isQuiet || (!isRunning && suspect.has(mailbox.name))) await rig.breakLease(mailbox);
      else if (!isRunning && fleet.kills > 0 && (await rig.isLeased(mailbox))) suspectNow.add(mailbox.name);
    }
    suspect = suspectNow;
  };

  return async (fleet, when) => {
    const isQuiet = when === 'no run is at work';
    const old = new Date(Date.now() - 180_000).toISOString();
    await lapseLeases(fleet, old, isQuiet);
    const undelivered = await makeDue(rig, fleet, old, isQuiet);
    return { undelivered };
  };
}

async function makeDue(
  rig: Rig,
  fleet: Pick<Fleet, 'isOfDead' | 'kills'>,
  old: string,
  isQuiet: boolean,
): Promise<number> {
  const table = rig.table('EmailUndelivered');
  let records = 0;
  for await (const row of rowsOf(table)) {
    // A mark goes when its mail is settled.
    if (row.rowKey.startsWith('mark')) continue;
    records += 1;
    const isTaken = typeof row.takenUntil === 'string' && row.takenUntil > old;
    if (isTaken && fleet.isOfDead(row.taker)) await merge(table, row, { nextTryAt: old, takenUntil: '' });
    // One that is being stored is its run's, and is cleared an hour after that run has died.
    else if (!isTaken && (row.status === 'waiting' || isQuiet) && String(row.nextTryAt) > old)
      await merge(table, row, { nextTryAt: old });
  }
  return records;
}

async function* rowsOf(table: TableClient): AsyncIterable<Row> {
  for await (const row of table.listEntities<Record<string, unknown>>()) {
    const { partitionKey, rowKey, etag } = row;
    if (partitionKey !== undefined && rowKey !== undefined) yield { ...row, partitionKey, rowKey, etag };
  }
}

/** Only if it is as it was read: a live instance may have taken it meanwhile. */
async function merge(table: TableClient, row: Row, change: Record<string, string>): Promise<void> {
  const { partitionKey, rowKey, etag } = row;
  await table.updateEntity({ partitionKey, rowKey, ...change }, 'Merge', { etag }).catch(() => undefined);
}

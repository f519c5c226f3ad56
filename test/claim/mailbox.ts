import { randomUUID } from 'node:crypto';
import { RestError, TableClient } from '@azure/data-tables';
import { type Claims, type ClaimVerdict, openClaims } from '../../shared/claim/claims.ts';
import { claimId, readClaims } from '../../shared/claim/claimTable.ts';
import type { MailRef } from '../../shared/mailbox/mailbox.ts';
import type { Azurite } from '../testbed/azurite.ts';

/** A clock that a test sets forward. */
export interface Clock {
  minutes: number;
}

/** One mailbox's part of a table `EmailClaims` of its own. */
export interface ClaimedMailbox {
  readonly clock: Clock;
  /** Requests that were sent, over all runs. */
  readonly requests: { count: number };
  /** While true, the table refuses every request of a run. */
  readonly table: { isAway: boolean };
  /** A run of this mailbox that reads the common clock; `lease` tells whether it holds the lease. */
  run(runId: string, lease?: { held: boolean }): Claims;
  /** `{status} of {runId}` of each claim, and `run {runId}`, sorted. */
  rows(): Promise<string[]>;
  /** The status of this mail's claim, undefined where there is none. */
  statusOf(mail: MailRef): Promise<string | undefined>;
}

export async function openClaimedMailbox(
  azurite: Pick<Azurite, 'connectionString'>,
): Promise<ClaimedMailbox> {
  const clock = { minutes: 0 };
  const requests = { count: 0 };
  const state = { isAway: false };
  const startedMs = Date.now();
  const name = `Claims${randomUUID().replaceAll('-', '').slice(0, 12)}`;
  const table = TableClient.fromConnectionString(azurite.connectionString, name, {
    allowInsecureConnection: true,
    additionalPolicies: [
      {
        position: 'perRetry',
        policy: {
          name: 'count',
          sendRequest: (request, next) => {
            requests.count += 1;
            if (state.isAway) throw new RestError('No access.', { statusCode: 403 });
            return next(request);
          },
        },
      },
    ],
  });
  await table.createTable();
  const now = () => new Date(startedMs + clock.minutes * 60_000);
  return {
    clock,
    requests,
    table: state,
    run: (runId, lease = { held: true }) =>
      openClaims({
        table,
        customer: 'acme',
        connection: 'orders',
        runId,
        holdsLease: () => lease.held,
        now,
      }),
    rows: async () => {
      const rows: string[] = [];
      for await (const row of readClaims(table, { kind: 'all' })) {
        if (row.kind === 'run') rows.push(`run ${row.runId}`);
        if (row.kind === 'group') {
          for (const status of row.claims.values()) rows.push(`${status} of ${row.runId}`);
        }
      }
      return rows.sort();
    },
    statusOf: async (mail) => {
      for await (const row of readClaims(table, { kind: 'all' })) {
        const status = row.kind === 'group' ? row.claims.get(claimId(mail.key)) : undefined;
        if (status !== undefined) return status;
      }
      return undefined;
    },
  };
}

export function mailsOf(count: number): MailRef[] {
  return Array.from({ length: count }, (_, index) => ({ key: `imap:7:${index + 1}:INBOX`, id: index + 1 }));
}

/** The verdicts in the order of the mails. */
export async function take(claims: Claims, mails: readonly MailRef[]): Promise<(ClaimVerdict | undefined)[]> {
  const verdicts = await claims.take(mails);
  return mails.map((mail) => verdicts.get(mail));
}

import { randomUUID } from 'node:crypto';
import { openClaims } from '../claim/claims.ts';
import { decodeConnection } from '../connection/decode.ts';
import { leasesIn } from '../lease/blobLease.ts';
import { drainMailbox } from '../poll/drainMailbox.ts';
import { MemoryBudget } from '../poll/memoryBudget.ts';
import { type PollDependencies, pollMailbox } from '../poll/pollMailbox.ts';
import type { Run } from '../poll/run.ts';
import type { Env, Settings } from '../settings/settings.ts';
import type { Log } from '../telemetry/log.ts';
import { createOutlets } from './outlets.ts';
import { createSessions } from './sessions.ts';
import type { Storage } from './storage.ts';

const mebibyte = 1_048_576;

/** The bytes of mail that all runs of this process hold at a time. */
const mailMemoryBytes = 24 * mebibyte;

const sessionLimits = {
  imapSessionMails: 2_000,
  pop3SessionMails: 500,
  measureMails: 1_000,
  batchMails: 256,
  batchBytes: 32 * mebibyte,
  wholeMailBytes: 2 * mebibyte,
} as const;

/** What `pollMailbox` works with, made once a process. */
export async function createPolling(
  settings: Settings,
  storage: Storage,
  env: Env,
): Promise<{ poll(order: unknown, log: Log): Promise<void> }> {
  const [connections, claimsTable, leases] = await Promise.all([
    storage.connections(),
    storage.claims(),
    storage.container('email-leases'),
  ]);
  const takeLease = leasesIn(leases);
  const memory = new MemoryBudget(mailMemoryBytes);
  const openSession = createSessions(settings, storage);
  const openOutlet = createOutlets(settings, storage);
  const now = () => new Date();

  return {
    poll(order, log) {
      const openRunClaims = (run: Run) =>
        openClaims({
          table: claimsTable,
          customer: run.config.customer,
          connection: run.config.connection,
          runId: run.runId,
          holdsLease: () => run.lease.state === 'held',
          now,
        });
      const dependencies: PollDependencies = {
        connections,
        takeLease,
        decode: async ({ key, columns }) =>
          decodeConnection(
            { ...columns, PartitionKey: key.customer, RowKey: key.connection },
            (name) => env[name],
          ),
        drain: (run) =>
          drainMailbox(run, {
            openSession: ({ config }) => openSession(config, log),
            openOutlet,
            openClaims: openRunClaims,
            memory,
            limits: sessionLimits,
            warn: (sentence) => log.warn(sentence, nameOf(run)),
          }),
        log,
        now,
        newRunId: randomUUID,
        pollTimeBudgetMs: settings.pollTimeBudgetMs,
        heartbeatMs: 20_000,
      };
      return pollMailbox(order, dependencies);
    },
  };
}

function nameOf({ config }: Run): { customer: string; connection: string } {
  return { customer: config.customer, connection: config.connection };
}

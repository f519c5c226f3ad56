import { randomUUID } from 'node:crypto';
import { openClaims } from '../claim/claims.ts';
import { decodeConnection } from '../connection/decode.ts';
import { leasesIn } from '../lease/blobLease.ts';
import { createMailBuffers } from '../mailbox/mailBuffers.ts';
import { drainMailbox } from '../poll/drainMailbox.ts';
import { MemoryBudget } from '../poll/memoryBudget.ts';
import { type PollDependencies, pollMailbox } from '../poll/pollMailbox.ts';
import type { Run } from '../poll/run.ts';
import type { Env, Settings } from '../settings/settings.ts';
import { boundedWarnings } from '../telemetry/boundedLog.ts';
import type { LogFields } from '../telemetry/log.ts';
import type { Invocation } from '../telemetry/telemetry.ts';
import { createOutlets } from './outlets.ts';
import { secretSources } from './secrets.ts';
import { createSessions } from './sessions.ts';
import type { Storage } from './storage.ts';

const mebibyte = 1_048_576;

/** The bytes of mail that all runs of this process hold at a time. */
const mailMemoryBytes = 24 * mebibyte;

/** Of memory that mails were read into, kept for the next ones. */
const idleBufferBytes = 4 * mebibyte;

/** Lines about single mails that one run leaves in the log. */
const maxMailLines = 10;

const sessionLimits = {
  imapSessionMails: 2_000,
  pop3SessionMails: 500,
  measureMails: 2_000,
  batchMails: 500,
  batchBytes: 64 * mebibyte,
  wholeMailBytes: 2 * mebibyte,
} as const;

/** What `pollMailbox` works with, made once a process. */
export async function createPolling(
  settings: Settings,
  storage: Storage,
  env: Env,
): Promise<{ poll(order: unknown, invocation: Invocation): Promise<void> }> {
  const [connections, claimsTable, leases] = await Promise.all([
    storage.connections(),
    storage.claims(),
    storage.container('email-leases'),
  ]);
  const takeLease = leasesIn(leases);
  const memory = new MemoryBudget(mailMemoryBytes);
  const buffers = createMailBuffers(idleBufferBytes);
  const openSession = createSessions(settings, storage, buffers);
  const openOutlet = createOutlets(settings, storage);
  const sources = secretSources(settings, env);
  const now = () => new Date();

  return {
    poll(order, invocation) {
      const { log } = invocation;
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
          decodeConnection({ ...columns, PartitionKey: key.customer, RowKey: key.connection }, sources),
        drain: (run) =>
          drainMailbox(run, {
            openSession: ({ config }) => openSession(config, log),
            openOutlet,
            openClaims: openRunClaims,
            memory,
            buffers,
            limits: sessionLimits,
            warn: boundedWarnings(log, maxMailLines, fieldsOf(run)),
          }),
        invocation,
        now,
        newRunId: randomUUID,
        pollTimeBudgetMs: settings.pollTimeBudgetMs,
        heartbeatMs: 20_000,
      };
      return pollMailbox(order, dependencies);
    },
  };
}

function fieldsOf({ config, runId }: Run): LogFields {
  return { customer: config.customer, connection: config.connection, runId };
}

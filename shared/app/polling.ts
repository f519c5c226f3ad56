import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeConnection } from '../connection/decode.ts';
import { openTemporaryFolder } from '../destination/spillFolder.ts';
import { openJournal } from '../journal/journal.ts';
import { defaultLeaseTimes, type LeaseTimes, leasesIn } from '../lease/lease.ts';
import { createMailBuffers } from '../mailbox/mailBuffers.ts';
import { KnownMails } from '../poll/knownMails.ts';
import { ProcessMemory, TextTurns } from '../poll/memory.ts';
import { type PollDependencies, pollMailbox } from '../poll/pollMailbox.ts';
import { type RunResult, runMailbox } from '../poll/run.ts';
import type { Run, RunStart } from '../poll/runStart.ts';
import { boundedWarnings } from '../telemetry/log.ts';
import type { Invocation } from '../telemetry/telemetry.ts';
import type { Process } from './process.ts';
import { secretSources } from './secrets.ts';
import { createSessions } from './sessions.ts';

const mebibyte = 1_048_576;

/** The bytes of mail that all runs of this process hold at a time. */
const mailMemoryBytes = 32 * mebibyte;

/** As long as a mail server may be silent. */
const textTurnMs = 60_000;

/** Of memory that mails were read into, kept for the next ones. */
const idleBufferBytes = 4 * mebibyte;

/** Lines about single mails that one run leaves in the log. */
const maxMailLines = 10;
const furtherMails = 'Further warnings about mails of this run are left out.';

/** `pollMailbox` with what it works with, made once a process. */
export async function createPolling(
  process: Process,
  leaseTimes: LeaseTimes = defaultLeaseTimes,
): Promise<(order: unknown, invocation: Invocation) => Promise<void>> {
  const { settings, storage, env, destinations, told } = process;
  const [connections, table, leases, temporaryFolder] = await Promise.all([
    storage.connections(),
    storage.delivered(),
    storage.container('email-leases'),
    openTemporaryFolder(join(tmpdir(), 'email-inbound-adapter')),
  ]);
  const takeLease = leasesIn(leases, leaseTimes);
  const memory = new ProcessMemory(mailMemoryBytes);
  const texts = new TextTurns(textTurnMs);
  const openSession = createSessions(settings, storage, createMailBuffers(idleBufferBytes));
  const openUndelivered = storage.undelivered;
  const sources = secretSources(settings, env);
  const now = () => new Date();

  const run = async (start: RunStart): Promise<RunResult> => {
    const { config, limits, runId, log } = start;
    const { customer, connection } = config;
    const queueName = config.queueName ?? settings.queueName;
    const share = { mailbox: `${customer}/${connection}`, queueName, signal: limits.signal };
    const openKnown: Run['openKnown'] = (mailboxId) =>
      new KnownMails({ table, customer, connection, mailboxId, runId, now, openUndelivered });
    return await runMailbox({
      ...start,
      ...{ queueName, openKnown, openUndelivered, temporaryFolder },
      memory: memory.of(share),
      streamMemory: () => memory.hold(share, 'stream'),
      takeTextTurn: () => texts.take(share),
      maxMailBytes: settings.maxMailBytes,
      openSender: () => destinations.open(queueName),
      openPayloads: () => storage.container('email-payloads'),
      openSession: (lookedAt) => openSession(config, log, { signal: limits.signal, lookedAt }),
      warn: boundedWarnings(log, maxMailLines, furtherMails, { customer, connection, runId }),
    });
  };

  const dependencies: Omit<PollDependencies, 'invocation'> = {
    connections,
    takeLease,
    decode: ({ key, columns }) =>
      decodeConnection({ ...columns, PartitionKey: key.customer, RowKey: key.connection }, sources),
    run,
    openJournal: (key, runId) =>
      openJournal({
        ...{ ...key, runId, mode: settings.journal },
        container: () => storage.container('email-journal'),
      }),
    pollTimeBudgetMs: settings.pollTimeBudgetMs,
    told,
  };
  return (order, invocation) => pollMailbox(order, { ...dependencies, invocation });
}

import { setTimeout as delay } from 'node:timers/promises';
import { hostOptions, mailboxColumns, queueName, startMailParts } from '../app/testbed.ts';
import { twoPartMails } from '../reliability/mails.ts';
import { startIngestion } from '../telemetry/ingestion.ts';
import { freePorts } from '../testbed/child.ts';
import type { Dovecot } from '../testbed/dovecot.ts';
import { startHostProcess } from '../testbed/host/hostProcess.ts';
import type { Usage } from '../testbed/host/ipc.ts';
import { seedMaildir } from '../testbed/seed.ts';
import { pollOrder } from '../testbed/storage.ts';

export interface SoakOptions {
  readonly durationMs: number;
  /** Whether the app sends telemetry, to an endpoint on this machine. */
  readonly telemetry: boolean;
  readonly report: (line: string) => void;
}

export interface SoakFigures {
  readonly begin: Usage;
  readonly end: Usage;
  readonly polls: number;
  readonly mails: number;
  readonly messages: number;
  /** What did not come back, or did not go as it should; a sentence each. */
  readonly problems: readonly string[];
}

interface Mailbox {
  readonly name: string;
  readonly hostType: 'IMAP' | 'POP3';
  readonly tls?: boolean;
  readonly columns?: Readonly<Record<string, unknown>>;
  /** Put in before each round. */
  readonly mails?: readonly Buffer[];
  /** Whether its polls fail. */
  readonly fails?: boolean;
}

const throttledQueue = 'throttled';
const mebibyte = 1_048_576;
/** What may be kept for good: caches, pools, compiled code. */
const leeway = { heapShare: 0.2, heapBytes: 6 * mebibyte, sockets: 8, openFiles: 4 };
/** Rounds that fill pools and caches before anything is measured. */
const warmUpRounds = 8;
const pauseMs = 250;

const small = twoPartMails('small', 10, 4_000);
const deletes = { deleteMessages: true };

const [closedPort = 0] = await freePorts(1);

const mailboxes: readonly Mailbox[] = [
  { name: 'idle-imap', hostType: 'IMAP' },
  { name: 'idle-pop3', hostType: 'POP3' },
  { name: 'tls-imap', hostType: 'IMAP', tls: true, columns: deletes, mails: small.slice(0, 1) },
  { name: 'tls-pop3', hostType: 'POP3', tls: true, mails: small.slice(0, 1) },
  { name: 'mail-imap', hostType: 'IMAP', columns: deletes, mails: small },
  { name: 'mail-pop3', hostType: 'POP3', mails: small },
  { name: 'large', hostType: 'IMAP', columns: deletes, mails: twoPartMails('large', 1, 3 * mebibyte) },
  { name: 'refused', hostType: 'IMAP', columns: { port: closedPort }, fails: true },
  { name: 'wrong-password', hostType: 'POP3', columns: { password: 'wrong' }, fails: true },
  {
    name: 'throttled',
    hostType: 'IMAP',
    columns: { ...deletes, queueName: throttledQueue },
    mails: small.slice(0, 3),
  },
];

function columnsOf(dovecot: Dovecot, { name, hostType, tls, columns }: Mailbox): Record<string, unknown> {
  const { caCertificate, imapsPort, pop3sPort } = dovecot;
  const port = hostType === 'IMAP' ? imapsPort : pop3sPort;
  const overTls = { port, useSsl: true, host: 'localhost', caCertificate };
  return { ...mailboxColumns(dovecot, hostType, name), ...(tls ? overTls : {}), ...columns };
}

/** Polls all mailboxes round after round, in one process, and measures that process at the begin and the end. */
export async function soak({ durationMs, telemetry, report }: SoakOptions): Promise<SoakFigures> {
  const [parts, ingestion] = await Promise.all([
    startMailParts({ users: mailboxes.map(({ name }) => name) }),
    startIngestion(),
  ]);
  const { broker, dovecot, orders } = parts;
  broker.createQueue({
    name: throttledQueue,
    maxMessageSizeBytes: mebibyte,
    duplicateDetectionWindowMs: 600_000,
  });
  const settings: Record<string, string> = telemetry
    ? { APPLICATIONINSIGHTS_CONNECTION_STRING: ingestion.connectionString }
    : {};
  const host = await startHostProcess({ ...hostOptions(parts, settings), execArgv: ['--expose-gc'] });
  let messages = 0;
  let mails = 0;
  let rounds = 0;

  const round = async (): Promise<void> => {
    rounds += 1;
    for (const { name, mails: some = [] } of mailboxes) {
      await seedMaildir(dovecot.maildir(name), some);
      mails += some.length;
      await orders.sendMessage(pollOrder('acme', name));
    }
    Object.assign(broker.faults, { onlyQueue: throttledQueue, serverBusyTransfers: 2 });
    await host.drainQueue();
    for (const name of [queueName, throttledQueue]) {
      messages += broker.queue(name).count;
      broker.queue(name).clear();
    }
    await host.fireTimer('retryDeliveries');
    ingestion.forget();
    await delay(pauseMs);
  };

  try {
    for (const mailbox of mailboxes) await parts.addConnection(mailbox.name, columnsOf(dovecot, mailbox));
    const endsAtMs = performance.now() + durationMs;
    while (rounds < warmUpRounds) await round();
    const begin = await host.usage();
    let reportAtMs = performance.now() + 60_000;
    do {
      await round();
      if (performance.now() < reportAtMs) continue;
      reportAtMs += 60_000;
      const { heapUsedBytes, sockets, openFiles } = await host.usage();
      const heap = (heapUsedBytes / mebibyte).toFixed(1);
      report(`  round ${rounds}: heap ${heap} MiB, ${sockets} sockets, ${openFiles} open files`);
    } while (performance.now() < endsAtMs);
    const end = await host.usage();

    const problems = leaks(begin, end, telemetry);
    for (const { name, fails } of mailboxes) {
      const { lastStatus, lastError } = await parts.state(name);
      if (lastStatus !== (fails ? 'failed' : 'ok'))
        problems.push(`The last poll of ${name} was ${lastStatus}: ${lastError}`);
    }
    if (messages !== 2 * mails) problems.push(`${mails} mails of two parts came as ${messages} messages.`);
    if (telemetry && ingestion.authorizations.length === 0) problems.push('No telemetry came.');
    return { begin, end, polls: rounds * mailboxes.length, mails, messages, problems };
  } finally {
    await host.stop();
    await Promise.all([parts.stop(), ingestion.stop()]);
  }
}

function leaks(begin: Usage, end: Usage, telemetry: boolean): string[] {
  const how = telemetry ? 'with' : 'without';
  const problems: string[] = [];
  const check = (what: string, before: number, after: number, most: number) => {
    if (after > most)
      problems.push(`${what} went from ${before} to ${after} ${how} telemetry; ${most} is allowed.`);
  };
  const { heapUsedBytes: heap, sockets, openFiles } = begin;
  check('The heap', heap, end.heapUsedBytes, Math.round(heap * (1 + leeway.heapShare) + leeway.heapBytes));
  check('Sockets', sockets, end.sockets, sockets + leeway.sockets);
  check('Open files', openFiles, end.openFiles, openFiles + leeway.openFiles);
  return problems;
}

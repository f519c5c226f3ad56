import { type Azurite, startAzurite } from '../testbed/azurite.ts';
import { type Broker, startBroker } from '../testbed/broker/broker.ts';
import { type Dovecot, startDovecot } from '../testbed/dovecot.ts';
import { type Host, startHost } from '../testbed/host/host.ts';
import type { LogEntry } from '../testbed/host/invoke.ts';
import { programs, requirePrograms } from '../testbed/programs.ts';
import { openTable } from '../testbed/storage.ts';
import { DemoError } from './arguments.ts';
import { ensureBundle, mainFile } from './bundle.ts';
import { type Consumer, noConsumer, startConsumer } from './consumer.ts';
import { messageFolder } from './messageFolder.ts';
import { messageTable } from './messageTable.ts';
import { printable, type Terminal } from './terminal.ts';

/** The row of `EmailConnections` after a poll. */
export type ConnectionRow = Readonly<Record<string, unknown>>;

/** The app, and everything that it works with except mail servers, running on this machine. */
export interface Stage {
  readonly host: Host;
  readonly consumer: Consumer;
  /** What a consumer of one's own connects with. */
  readonly connectionStrings: { readonly serviceBus: string; readonly storage: string };
  addConnection(
    customer: string,
    connection: string,
    columns: Readonly<Record<string, unknown>>,
  ): Promise<void>;
  row(customer: string, connection: string): Promise<ConnectionRow>;
  /** Makes the connection due whatever its schedule, as an operator would. */
  makeDue(customer: string, connection: string): Promise<void>;
  /** Whether the queue is full, and refuses every message. */
  setQueueFull(isFull: boolean): void;
  /** One tick of the schedule and the polls it orders. */
  tick(): Promise<void>;
  /** At most `graceMs` for what still runs. */
  stop(graceMs?: number): Promise<void>;
}

export interface StageOptions {
  readonly terminal: Terminal;
  readonly queueName: string;
  /** Default true. False leaves the messages on the queue. */
  readonly consumes?: boolean;
  /** Where each message goes as a file, too. */
  readonly outFolder?: string | undefined;
  /** Timers fire by these schedules (six fields), as in Azure. Absent: only `tick` fires them. */
  readonly schedules?: { readonly poll: string; readonly retry: string };
  readonly onLog?: (entry: LogEntry) => void;
}

/** What one message may have on a queue of the Standard tier. */
const maxMessageSizeBytes = 262_144;
const duplicateDetectionWindowMs = 600_000;

export async function startStage(options: StageOptions): Promise<Stage> {
  const { terminal, queueName, outFolder } = options;
  const save = outFolder === undefined ? undefined : messageFolder(outFolder);
  const [, azurite, broker] = await Promise.all([
    started(terminal, 'Bundle', ensureBundle, (state) => `dist/main.cjs, ${state}`),
    started(terminal, 'Storage', startAzurite, describeAzurite),
    started(
      terminal,
      'Service Bus',
      () => startBroker({ queues: [{ name: queueName, maxMessageSizeBytes, duplicateDetectionWindowMs }] }),
      ({ port }) => `development broker, 127.0.0.1:${port}, queue ${queueName} with duplicate detection`,
    ),
  ]);
  const host = await started(
    terminal,
    'Functions',
    () => startApp(azurite, broker, options),
    ({ functions }) => Object.keys(functions).join(', '),
  );
  const connections = openTable(azurite.connectionString, 'EmailConnections');
  await connections.createTable();
  const connectionStrings = { serviceBus: broker.connectionString, storage: azurite.connectionString };
  const show = messageTable(terminal);
  const consumer =
    options.consumes === false
      ? noConsumer
      : startConsumer({
          serviceBusConnectionString: connectionStrings.serviceBus,
          storageConnectionString: connectionStrings.storage,
          queueName,
          onMessage: (message) => {
            show(message);
            save?.(message);
          },
          onError: (sentence) => terminal.line(terminal.paint(printable(sentence), 'red')),
        });
  return {
    host,
    consumer,
    connectionStrings,
    addConnection: async (customer, connection, columns) => {
      await connections.createEntity({ partitionKey: customer, rowKey: connection, ...columns });
    },
    row: (customer, connection) => connections.getEntity(customer, connection),
    makeDue: async (customer, connection) => {
      await connections.updateEntity({ partitionKey: customer, rowKey: connection, nextRunAt: '' }, 'Merge');
    },
    setQueueFull: (isFull) => {
      broker.faults.quotaExceeded = isFull;
    },
    tick: async () => {
      await host.fireTimer('schedulePolls');
      await host.drainQueue();
    },
    stop: async (graceMs) => {
      await host.stop(graceMs);
      await consumer.stop();
      await Promise.all([azurite.stop(), broker.stop()]);
    },
  };
}

/** Throws a `DemoError` that says what to install when there is no mail server and it can't be installed. */
export function requireMailServer(): void {
  try {
    requirePrograms([programs.dovecot]);
  } catch (error) {
    throw new DemoError(
      `The demo's mail server is Dovecot. ${error instanceof Error ? error.message : error}`,
    );
  }
}

export function startMailServer(
  terminal: Terminal,
  users: readonly { user: string; password: string }[],
): Promise<Dovecot> {
  return started(
    terminal,
    'Mail server',
    () => startDovecot({ users }),
    ({ imapsPort, pop3sPort }) =>
      `Dovecot, IMAP with TLS on 127.0.0.1:${imapsPort}, POP3 with TLS on :${pop3sPort}`,
  );
}

/** Each is set, so that none of this shell's own has a say. */
const settingsByDefault = [
  'EMAIL_MAX_MESSAGE_BYTES',
  'EMAIL_MAX_MAIL_BYTES',
  'POLL_TIME_BUDGET_SECONDS',
  'RETRY_MAX_AGE_HOURS',
  'JOURNAL',
  'MAIL_HOSTS_ALLOWED',
  'MAIL_DENY_PRIVATE_NETWORKS',
  'MANAGED_IDENTITY_HOSTS',
  'APPLICATIONINSIGHTS_CONNECTION_STRING',
  'APPLICATIONINSIGHTS_AUTHENTICATION_STRING',
];

function startApp(
  azurite: Azurite,
  broker: Broker,
  { queueName, schedules, onLog }: StageOptions,
): Promise<Host> {
  return startHost({
    main: mainFile,
    storageConnectionString: azurite.connectionString,
    timers: schedules === undefined ? 'manual' : 'schedule',
    env: {
      AzureWebJobsStorage: azurite.connectionString,
      ServiceBusConnection: broker.connectionString,
      EMAIL_QUEUE_NAME: queueName,
      POLL_SCHEDULE: schedules?.poll ?? '0 * * * * *',
      RETRY_SCHEDULE: schedules?.retry ?? '30 * * * * *',
      ...Object.fromEntries(settingsByDefault.map((name) => [name, ''])),
    },
    ...(onLog === undefined ? {} : { onLog }),
  });
}

function describeAzurite({ blobPort, queuePort, tablePort }: Azurite): string {
  return `Azurite, 127.0.0.1: blobs :${blobPort}, queues :${queuePort}, tables :${tablePort}`;
}

/** Starts a part and says so in one line, with the time it took. */
async function started<T>(
  terminal: Terminal,
  name: string,
  start: () => Promise<T>,
  describe: (part: T) => string,
): Promise<T> {
  const beganMs = performance.now();
  const part = await start();
  const seconds = ((performance.now() - beganMs) / 1000).toFixed(1);
  terminal.line(`${name.padEnd(12)} ${describe(part)} ${terminal.paint(`(${seconds} s)`, 'dim')}`);
  return part;
}

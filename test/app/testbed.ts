import { join } from 'node:path';
import { TableClient, TableServiceClient } from '@azure/data-tables';
import { QueueClient } from '@azure/storage-queue';
import { type Azurite, startAzurite } from '../testbed/azurite.ts';
import { type Broker, startBroker } from '../testbed/broker/broker.ts';
import { type Dovecot, type DovecotOptions, startDovecot } from '../testbed/dovecot.ts';
import { type Host, startHost } from '../testbed/host/host.ts';

export const mainFile = join(import.meta.dirname, '..', '..', 'dist', 'main.cjs');
export const queueName = 'email-inbound';
export const password = 'correct horse 7 Battery';

/** The app as it is published, and all that it works with but for mail servers, as real parts on this machine. */
export interface RunningApp {
  readonly azurite: Azurite;
  readonly broker: Broker;
  readonly host: Host;
  readonly connections: TableClient;
  table(name: string): TableClient;
  /** Writes a connection of customer `acme`; a mailbox is `{user}` on the given protocol's plain port. */
  addConnection(name: string, columns: Record<string, unknown>): Promise<void>;
  /** Orders a poll and waits until it is done. */
  poll(name: string): Promise<Record<string, unknown>>;
  /** Orders these polls at once; the same name twice makes two runs. */
  pollTogether(names: readonly string[]): Promise<void>;
  /** One tick of the schedule, and all the polls that it orders. */
  tick(): Promise<void>;
  state(name: string): Promise<Record<string, unknown>>;
  stop(): Promise<void>;
}

export interface AppTestbed extends RunningApp {
  readonly dovecot: Dovecot;
}

export interface AppOptions {
  readonly settings?: Readonly<Record<string, string>>;
  readonly maxMessageSizeBytes?: number;
}

export interface AppTestbedOptions extends AppOptions {
  readonly users: readonly string[];
  readonly dovecot?: Omit<DovecotOptions, 'users'>;
}

export async function startAppTestbed(options: AppTestbedOptions): Promise<AppTestbed> {
  const [app, dovecot] = await Promise.all([
    startApp(options),
    startDovecot({ ...options.dovecot, users: options.users.map((user) => ({ user, password })) }),
  ]);
  return {
    ...app,
    dovecot,
    async stop() {
      await app.stop();
      await dovecot.stop();
    },
  };
}

export async function startApp(options: AppOptions = {}): Promise<RunningApp> {
  const maxMessageSizeBytes = options.maxMessageSizeBytes ?? 1_048_576;
  const [azurite, broker] = await Promise.all([
    startAzurite(),
    startBroker({ queues: [{ name: queueName, maxMessageSizeBytes, duplicateDetectionWindowMs: 600_000 }] }),
  ]);
  const host = await startHost({
    main: mainFile,
    storageConnectionString: azurite.connectionString,
    env: {
      AzureWebJobsStorage: azurite.connectionString,
      ServiceBusConnection: broker.connectionString,
      POLL_SCHEDULE: '0 * * * * *',
      RETRY_SCHEDULE: '30 * * * * *',
      ...options.settings,
    },
  });
  const insecure = { allowInsecureConnection: true };
  const table = (name: string) => TableClient.fromConnectionString(azurite.connectionString, name, insecure);
  const connections = table('EmailConnections');
  await TableServiceClient.fromConnectionString(azurite.connectionString, insecure).createTable(
    'EmailConnections',
  );
  const orders = new QueueClient(azurite.connectionString, 'email-polls');
  await orders.createIfNotExists();

  const state = async (name: string) => await connections.getEntity<Record<string, unknown>>('acme', name);
  const pollTogether = async (names: readonly string[]): Promise<void> => {
    for (const connection of names) {
      await orders.sendMessage(
        Buffer.from(JSON.stringify({ customer: 'acme', connection })).toString('base64'),
      );
    }
    await host.drainQueue();
  };
  return {
    azurite,
    broker,
    host,
    connections,
    table,
    state,
    async addConnection(name, columns) {
      await connections.upsertEntity({ partitionKey: 'acme', rowKey: name, ...columns }, 'Replace');
    },
    async poll(name) {
      await pollTogether([name]);
      return await state(name);
    },
    pollTogether,
    async tick() {
      await host.fireTimer('schedulePolls');
      await host.drainQueue();
    },
    async stop() {
      await host.stop();
      await Promise.all([azurite.stop(), broker.stop()]);
    },
  };
}

/** The columns of a connection to a mailbox of the testbed's server, on the plain port of `hostType`. */
export function mailboxColumns(
  { imapPort, pop3Port }: Pick<Dovecot, 'imapPort' | 'pop3Port'>,
  hostType: 'IMAP' | 'POP3',
  user: string,
): Record<string, unknown> {
  const port = hostType === 'IMAP' ? imapPort : pop3Port;
  return { host: '127.0.0.1', hostType, port, useSsl: false, username: user, password };
}

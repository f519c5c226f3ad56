import { join } from 'node:path';
import type { TableClient } from '@azure/data-tables';
import { type BlobLeaseClient, BlobServiceClient, type ContainerClient } from '@azure/storage-blob';
import { QueueClient } from '@azure/storage-queue';
import type { ImapFlow } from 'imapflow';
import { inMailProgram } from '../servers/mailServers.ts';
import { type Azurite, startAzurite } from '../testbed/azurite.ts';
import { type Broker, startBroker } from '../testbed/broker/broker.ts';
import { type Dovecot, type DovecotOptions, startDovecot } from '../testbed/dovecot.ts';
import { type Host, startHost } from '../testbed/host/host.ts';
import { seedMaildir } from '../testbed/seed.ts';
import { openTable, pollOrder } from '../testbed/storage.ts';

export const mainFile = join(import.meta.dirname, '..', '..', 'dist', 'main.cjs');
export const queueName = 'email-inbound';
export const password = 'correct horse 7 Battery';
export const schedules = { POLL_SCHEDULE: '0 * * * * *', RETRY_SCHEDULE: '30 * * * * *' };
export const protocols = ['IMAP', 'POP3'] as const;
export type Protocol = (typeof protocols)[number];

type Columns = Readonly<Record<string, unknown>>;

/** What the app works with, as real parts on this machine; its connections are of customer `acme`. */
export interface Parts {
  readonly azurite: Azurite;
  readonly broker: Broker;
  readonly connections: TableClient;
  readonly orders: QueueClient;
  table(name: string): TableClient;
  container(name: string): ContainerClient;
  /** Writes a connection; what was there of that name is gone. */
  addConnection(name: string, columns: Columns): Promise<void>;
  /** Writes these columns of a connection. */
  setColumns(name: string, columns: Columns): Promise<void>;
  state(name: string): Promise<Record<string, unknown>>;
  lease(name: string): BlobLeaseClient;
  /** All lines of the connection's journal. */
  journal(name: string): Promise<Record<string, unknown>[]>;
  stop(): Promise<void>;
}

/** With a mail server. */
export interface MailParts extends Parts {
  readonly dovecot: Dovecot;
  /** Writes a connection to the mailbox of the user of that name, and puts these mails in. */
  addMailbox(name: string, protocol: Protocol, mails: readonly Buffer[], columns?: Columns): Promise<void>;
}

/** The app as it is published, in a host. */
interface Hosted {
  readonly host: Host;
  /** Orders a poll and waits until it, and whatever else is ordered, is done. */
  poll(name: string): Promise<Record<string, unknown>>;
  order(name: string): Promise<void>;
  /** Orders these polls at once; the same name twice makes two runs. */
  pollTogether(names: readonly string[]): Promise<void>;
  /** One tick of the schedule, and all the polls that it orders. */
  tick(): Promise<void>;
  /** Makes what waits for the catastrophic retry due, as if the time had passed, and runs the retry. */
  retryDeliveries(): Promise<void>;
}

export type RunningApp = Parts & Hosted;
export type AppTestbed = MailParts & Hosted;

export interface PartsOptions {
  readonly maxMessageSizeBytes?: number;
}

export interface MailPartsOptions extends PartsOptions {
  /** Who has a mailbox; nobody when absent. */
  readonly users?: readonly string[];
  readonly dovecot?: Omit<DovecotOptions, 'users'>;
}

type Settings = Readonly<Record<string, string>>;
export type AppTestbedOptions = MailPartsOptions & { readonly settings?: Settings };

export async function startAppTestbed(options: AppTestbedOptions): Promise<AppTestbed> {
  return await withHost(await startMailParts(options), options.settings);
}

export async function startApp(
  options: PartsOptions & { readonly settings?: Settings } = {},
): Promise<RunningApp> {
  return await withHost(await startParts(options), options.settings);
}

export async function startParts({ maxMessageSizeBytes = 1_048_576 }: PartsOptions = {}): Promise<Parts> {
  const [azurite, broker] = await Promise.all([
    startAzurite(),
    startBroker({ queues: [{ name: queueName, maxMessageSizeBytes, duplicateDetectionWindowMs: 600_000 }] }),
  ]);
  const table = (name: string) => openTable(azurite.connectionString, name);
  const blobs = BlobServiceClient.fromConnectionString(azurite.connectionString);
  const container = (name: string) => blobs.getContainerClient(name);
  const connections = table('EmailConnections');
  const orders = new QueueClient(azurite.connectionString, 'email-polls');
  await Promise.all([connections.createTable(), orders.createIfNotExists()]);
  const write = (mode: 'Merge' | 'Replace') => async (name: string, columns: Columns) => {
    await connections.upsertEntity({ partitionKey: 'acme', rowKey: name, ...columns }, mode);
  };
  return {
    ...{ azurite, broker, connections, orders, table, container },
    addConnection: write('Replace'),
    setColumns: write('Merge'),
    state: async (name) => await connections.getEntity<Record<string, unknown>>('acme', name),
    lease: (name) => container('email-leases').getBlobClient(`acme/${name}`).getBlobLeaseClient(),
    async journal(name) {
      const lines: Record<string, unknown>[] = [];
      const journal = container('email-journal');
      for await (const blob of journal.listBlobsFlat()) {
        if (!blob.name.endsWith(`/acme/${name}.jsonl`)) continue;
        const text = (await journal.getBlobClient(blob.name).downloadToBuffer()).toString();
        for (const line of text.split('\n').filter(Boolean)) lines.push(JSON.parse(line));
      }
      return lines;
    },
    async stop() {
      await Promise.all([azurite.stop(), broker.stop()]);
    },
  };
}

export async function startMailParts({ users = [], ...options }: MailPartsOptions): Promise<MailParts> {
  const [parts, dovecot] = await Promise.all([
    startParts(options),
    startDovecot({ ...options.dovecot, users: users.map((user) => ({ user, password })) }),
  ]);
  return {
    ...parts,
    dovecot,
    async addMailbox(name, protocol, mails, columns) {
      await parts.addConnection(name, { ...mailboxColumns(dovecot, protocol, name), ...columns });
      await seedMaildir(dovecot.maildir(name), mails);
    },
    async stop() {
      await Promise.all([parts.stop(), dovecot.stop()]);
    },
  };
}

/** What a host of the app on these parts is started with. */
export function hostOptions(
  { azurite, broker }: Readonly<Record<'azurite' | 'broker', { readonly connectionString: string }>>,
  settings: Settings = {},
) {
  const env = {
    AzureWebJobsStorage: azurite.connectionString,
    ServiceBusConnection: broker.connectionString,
    ...schedules,
    ...settings,
  };
  return { main: mainFile, storageConnectionString: azurite.connectionString, env };
}

export async function withHost<P extends Parts>(parts: P, settings?: Settings): Promise<P & Hosted> {
  const host = await startHost(hostOptions(parts, settings));
  const order = async (connection: string): Promise<void> => {
    await parts.orders.sendMessage(pollOrder('acme', connection));
  };
  const pollTogether = async (names: readonly string[]): Promise<void> => {
    for (const name of names) await order(name);
    await host.drainQueue();
  };
  return {
    ...{ ...parts, host, order, pollTogether },
    async poll(name: string) {
      await pollTogether([name]);
      return await parts.state(name);
    },
    async tick() {
      await host.fireTimer('schedulePolls');
      await host.drainQueue();
    },
    async retryDeliveries() {
      const table = parts.table('EmailUndelivered');
      const nextTryAt = new Date(Date.now() - 60_000).toISOString();
      const queryOptions = { filter: "RowKey lt 'mark'" };
      for await (const { partitionKey, rowKey } of table.listEntities({ queryOptions })) {
        if (partitionKey && rowKey) await table.updateEntity({ partitionKey, rowKey, nextTryAt }, 'Merge');
      }
      await host.fireTimer('retryDeliveries');
    },
    async stop() {
      await host.stop();
      await parts.stop();
    },
  };
}

/** The columns of a connection to a mailbox of the testbed's server, on the plain port of `hostType`. */
export function mailboxColumns(
  { imapPort, pop3Port }: Pick<Dovecot, 'imapPort' | 'pop3Port'>,
  hostType: Protocol,
  user: string,
): Record<string, unknown> {
  return serverColumns(hostType, hostType === 'IMAP' ? imapPort : pop3Port, user);
}

/** The columns of a connection to a server that listens on this plain port. */
export function serverColumns(
  hostType: Protocol,
  port: number | undefined,
  username = 'anna',
): Record<string, unknown> {
  return { host: '127.0.0.1', hostType, port, useSsl: false, username, password };
}

/** A user for each of these kinds and each protocol. */
export function usersOf(...kinds: readonly string[]): string[] {
  return protocols.flatMap((protocol) => kinds.map((kind) => userOf(kind, protocol)));
}

export function userOf(kind: string, protocol: Protocol): string {
  return `${kind}-${protocol.toLowerCase()}`;
}

/** Does something in a mailbox, whose INBOX is open, as a person's mail program would. */
export async function asPerson<T>(
  server: Dovecot,
  user: string,
  act: (client: ImapFlow) => Promise<T>,
): Promise<T> {
  return await inMailProgram({ server, user, password }, async (program) => {
    await program.mailboxOpen('INBOX');
    return await act(program);
  });
}

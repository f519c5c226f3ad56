import { TableClient } from '@azure/data-tables';
import { BlobServiceClient, RestError } from '@azure/storage-blob';
import { QueueClient } from '@azure/storage-queue';
import { mailboxColumns, mainFile, password, queueName } from '../app/testbed.ts';
import { type Azurite, startAzurite } from '../testbed/azurite.ts';
import { type Broker, startBroker } from '../testbed/broker/broker.ts';
import { noFaults } from '../testbed/broker/faults.ts';
import { type Dovecot, type DovecotOptions, startDovecot } from '../testbed/dovecot.ts';
import { type Host, startHost } from '../testbed/host/host.ts';
import { type HostProcess, startHostProcess } from '../testbed/host/hostProcess.ts';
import { startProxy, type TcpProxy } from '../testbed/proxy.ts';
import { seedMaildir } from '../testbed/seed.ts';

export { queueName };
export type Protocol = 'IMAP' | 'POP3';

/** The app and all that it works with; its ways to storage and mail server lead through proxies that can fail. */
export interface ReliabilityBed {
  readonly azurite: Azurite;
  readonly broker: Broker;
  readonly dovecot: Dovecot;
  readonly host: Host;
  /** The app's ways to its storage; the host and the test have their own. */
  readonly storage: { readonly table: TcpProxy; readonly blob: TcpProxy };
  readonly mail: Readonly<Record<Protocol, TcpProxy>>;
  readonly connections: TableClient;
  table(name: string): TableClient;
  /** The app in a process of its own, to be killed; `execArgv` is for its Node. */
  startChild(settings?: Readonly<Record<string, string>>, execArgv?: readonly string[]): Promise<HostProcess>;
  /** Writes connection `acme/{name}` to the mailbox of the user of that name, and puts these mails in. */
  addMailbox(
    name: string,
    protocol: Protocol,
    mails: readonly Buffer[],
    columns?: Readonly<Record<string, unknown>>,
  ): Promise<void>;
  order(name: string): Promise<void>;
  /** Orders a poll and waits until it, and whatever else is ordered, is done. */
  poll(name: string): Promise<Record<string, unknown>>;
  state(name: string): Promise<Record<string, unknown>>;
  /** What is remembered of mails that were brought away and not settled: rows of `EmailDelivered`, and marks. */
  remembered(name: string): Promise<Record<string, unknown>[]>;
  /** Makes a run that was killed look as it does two minutes later: an old heartbeat, no lease. */
  letDie(name: string): Promise<void>;
  breakLease(name: string): Promise<void>;
  /** Makes what waits for the catastrophic retry due, as if the time had passed, and runs the retry. */
  retryDeliveries(): Promise<void>;
  /** The mailbox's records in `EmailUndelivered`, without what an interrupted store has left. */
  undelivered(name: string): Promise<Record<string, unknown>[]>;
  /** Ends every fault of proxies and broker; what was silent is reset. */
  restore(): Promise<void>;
  stop(): Promise<void>;
}

export interface ReliabilityBedOptions {
  readonly users: readonly string[];
  readonly settings?: Readonly<Record<string, string>>;
  readonly dovecot?: Omit<DovecotOptions, 'users'>;
  readonly maxMessageSizeBytes?: number;
}

const insecure = { allowInsecureConnection: true };

export async function startReliabilityBed(options: ReliabilityBedOptions): Promise<ReliabilityBed> {
  const maxMessageSizeBytes = options.maxMessageSizeBytes ?? 1_048_576;
  const [azurite, broker, dovecot] = await Promise.all([
    startAzurite(),
    startBroker({ queues: [{ name: queueName, maxMessageSizeBytes, duplicateDetectionWindowMs: 600_000 }] }),
    startDovecot({ ...options.dovecot, users: options.users.map((user) => ({ user, password })) }),
  ]);
  const proxyTo = (targetPort: number) => startProxy({ targetHost: '127.0.0.1', targetPort });
  const storage = { table: await proxyTo(azurite.tablePort), blob: await proxyTo(azurite.blobPort) };
  const mail = { IMAP: await proxyTo(dovecot.imapPort), POP3: await proxyTo(dovecot.pop3Port) };
  const hostOptions = (settings: Readonly<Record<string, string>> = {}) => ({
    main: mainFile,
    storageConnectionString: azurite.connectionString,
    env: {
      AzureWebJobsStorage: azurite.connectionString
        .replace(`:${azurite.tablePort}/`, `:${storage.table.port}/`)
        .replace(`:${azurite.blobPort}/`, `:${storage.blob.port}/`),
      ServiceBusConnection: broker.connectionString,
      POLL_SCHEDULE: '0 * * * * *',
      RETRY_SCHEDULE: '30 * * * * *',
      ...options.settings,
      ...settings,
    },
  });
  const host = await startHost(hostOptions());
  const table = (name: string) => TableClient.fromConnectionString(azurite.connectionString, name, insecure);
  const connections = table('EmailConnections');
  await connections.createTable();
  const orders = new QueueClient(azurite.connectionString, 'email-polls');
  await orders.createIfNotExists();

  const state = async (name: string) => await connections.getEntity<Record<string, unknown>>('acme', name);
  const order = async (name: string) => {
    const text = JSON.stringify({ customer: 'acme', connection: name });
    await orders.sendMessage(Buffer.from(text).toString('base64'));
  };
  const rowsOf = async (name: string, filter?: string) => {
    const rows: Record<string, unknown>[] = [];
    try {
      const found = table(name).listEntities(filter === undefined ? {} : { queryOptions: { filter } });
      for await (const row of found) rows.push(row);
    } catch (error) {
      // The app makes its tables at first use.
      if (!(error instanceof Error && 'statusCode' in error && error.statusCode === 404)) throw error;
    }
    return rows;
  };
  const remembered = async (name: string) => [
    ...(await rowsOf('EmailDelivered', `PartitionKey eq 'acme|${name}'`)),
    ...(await rowsOf('EmailUndelivered', `connection eq '${name}' and RowKey ge 'mark'`)),
  ];
  const leases = BlobServiceClient.fromConnectionString(azurite.connectionString).getContainerClient(
    'email-leases',
  );
  const breakLease = async (name: string) => {
    const lease = leases.getBlobClient(`acme/${name}`).getBlobLeaseClient();
    await lease.breakLease(0).catch((error: unknown) => {
      if (!(error instanceof RestError && error.code === 'LeaseNotPresentWithLeaseOperation')) throw error;
    });
  };
  const proxies = [storage.table, storage.blob, mail.IMAP, mail.POP3];

  return {
    azurite,
    broker,
    dovecot,
    host,
    storage,
    mail,
    connections,
    table,
    startChild: (settings, execArgv = []) => startHostProcess({ ...hostOptions(settings), execArgv }),
    async addMailbox(name, protocol, mails, columns = {}) {
      await connections.upsertEntity(
        {
          partitionKey: 'acme',
          rowKey: name,
          ...mailboxColumns(dovecot, protocol, name),
          port: mail[protocol].port,
          ...columns,
        },
        'Replace',
      );
      await seedMaildir(dovecot.maildir(name), mails);
    },
    order,
    async poll(name) {
      await order(name);
      await host.drainQueue();
      return await state(name);
    },
    state,
    remembered,
    async letDie(name) {
      const heartbeatAt = new Date(Date.now() - 180_000).toISOString();
      await connections.updateEntity({ partitionKey: 'acme', rowKey: name, heartbeatAt }, 'Merge');
      await breakLease(name);
    },
    breakLease,
    async retryDeliveries() {
      const nextTryAt = new Date(Date.now() - 60_000).toISOString();
      for (const row of await rowsOf('EmailUndelivered', "RowKey lt 'mark'")) {
        const keys = { partitionKey: String(row.partitionKey), rowKey: String(row.rowKey) };
        await table('EmailUndelivered').updateEntity({ ...keys, nextTryAt }, 'Merge');
      }
      await host.fireTimer('retryDeliveries');
    },
    undelivered: (name) =>
      rowsOf('EmailUndelivered', `connection eq '${name}' and RowKey lt 'mark' and status ne 'storing'`),
    async restore() {
      Object.assign(broker.faults, noFaults());
      for (const proxy of proxies) {
        await proxy.restore();
        proxy.dropAll('rst');
      }
    },
    async stop() {
      await host.stop();
      await Promise.all(proxies.map((proxy) => proxy.stop()));
      await Promise.all([azurite.stop(), broker.stop(), dovecot.stop()]);
    },
  };
}

import type { TableClient } from '@azure/data-tables';
import { BlobServiceClient, type ContainerClient } from '@azure/storage-blob';
import { QueueClient } from '@azure/storage-queue';
import { hostOptions, mailboxColumns, password, queueName } from '../app/testbed.ts';
import { type Azurite, startAzurite } from '../testbed/azurite.ts';
import { type BrokerProcess, startBrokerProcess } from '../testbed/broker/brokerProcess.ts';
import { noFaults } from '../testbed/broker/faults.ts';
import { type Dovecot, startDovecot } from '../testbed/dovecot.ts';
import { type HostProcess, startHostProcess } from '../testbed/host/hostProcess.ts';
import { startProxy, type TcpProxy } from '../testbed/proxy.ts';
import { openTable, pollOrder } from '../testbed/storage.ts';
import { throughProxies } from '../testbed/storageProxy.ts';
import type { Protocol, StorageService } from './faults.ts';

export interface Mailbox {
  readonly name: string;
  readonly protocol: Protocol;
  readonly deletes: boolean;
  /** Where its settled mails go. */
  readonly movesTo: string | undefined;
}

/** Of both protocols and all ways to hold a lease: for an interval, until the next minute, or for the whole run. */
export const mailboxes: readonly Mailbox[] = (['IMAP', 'POP3'] as const).flatMap((protocol) =>
  [0, 1, 2, 3].map((number) => ({
    name: `${protocol.toLowerCase()}${number}`,
    protocol,
    deletes: protocol === 'POP3' || number === 3,
    movesTo: protocol === 'IMAP' && number === 2 ? 'Done' : undefined,
  })),
);

const scheduleOf = [{}, { cron: '* * * * *' }, { useProcessLock: true }, { cron: '* * * * *' }] as const;

/** The parts that the app works with, each in a process of its own, and the proxies that lead to them. */
export interface Rig {
  readonly broker: BrokerProcess;
  readonly dovecot: Dovecot;
  readonly azurite: Azurite;
  readonly mail: Readonly<Record<Protocol, TcpProxy>>;
  readonly storage: Readonly<Record<StorageService, TcpProxy>>;
  readonly payloads: ContainerClient;
  table(name: 'EmailConnections' | 'EmailDelivered' | 'EmailUndelivered'): TableClient;
  order(mailbox: Mailbox): Promise<void>;
  /** Frees the mailbox's lease, whoever holds it. */
  breakLease(mailbox: Mailbox): Promise<void>;
  isLeased(mailbox: Mailbox): Promise<boolean>;
  /** The app in a process of its own; all ids that it makes begin with `mark`. */
  startHost(mark: string): Promise<HostProcess>;
  /** Ends everything that is wrong with the parts and the ways to them. */
  calm(): Promise<void>;
  stop(): Promise<void>;
}

const dayMs = 86_400_000;

export async function startRig(): Promise<Rig> {
  const [azurite, broker, dovecot] = await Promise.all([
    startAzurite(),
    startBrokerProcess({
      queues: [{ name: queueName, maxMessageSizeBytes: 1_048_576, duplicateDetectionWindowMs: dayMs }],
    }),
    startDovecot({ users: mailboxes.map(({ name }) => ({ user: name, password })) }),
  ]);
  const proxyTo = (targetPort: number) => startProxy({ targetHost: '127.0.0.1', targetPort });
  const mail = { IMAP: await proxyTo(dovecot.imapPort), POP3: await proxyTo(dovecot.pop3Port) };
  const storage = { table: await proxyTo(azurite.tablePort), blob: await proxyTo(azurite.blobPort) };
  const proxies = [mail.IMAP, mail.POP3, storage.table, storage.blob];
  const table = (name: string) => openTable(azurite.connectionString, name);
  const blobs = BlobServiceClient.fromConnectionString(azurite.connectionString);
  const leases = blobs.getContainerClient('email-leases');
  const orders = new QueueClient(azurite.connectionString, 'email-polls');
  await Promise.all([
    orders.createIfNotExists(),
    ...['EmailConnections', 'EmailDelivered', 'EmailUndelivered'].map((name) => table(name).createTable()),
  ]);
  for (const [index, { name, protocol, deletes, movesTo }] of mailboxes.entries()) {
    await table('EmailConnections').createEntity({
      partitionKey: 'acme',
      rowKey: name,
      ...mailboxColumns(dovecot, protocol, name),
      port: mail[protocol].port,
      ...(protocol === 'IMAP' && deletes ? { deleteMessages: true } : {}),
      ...(movesTo === undefined ? {} : { moveToFolder: movesTo }),
      ...scheduleOf[index % scheduleOf.length],
    });
  }

  return {
    broker,
    dovecot,
    azurite,
    mail,
    storage,
    payloads: blobs.getContainerClient('email-payloads'),
    table,
    async order({ name }) {
      await orders.sendMessage(pollOrder('acme', name), { messageTimeToLive: 60 });
    },
    async breakLease({ name }) {
      const lease = leases.getBlobClient(`acme/${name}`).getBlobLeaseClient();
      // None there, or none held: both are what is wanted.
      await lease.breakLease(0).catch(() => undefined);
    },
    async isLeased({ name }) {
      const blob = leases.getBlobClient(`acme/${name}`);
      const found = await blob.getProperties().catch(() => undefined);
      return found?.leaseState === 'leased';
    },
    startHost: (mark) =>
      startHostProcess({
        ...hostOptions(
          { azurite, broker },
          {
            TORTURE_MARK: mark,
            AzureWebJobsStorage: throughProxies(azurite.connectionString, [
              [azurite.tablePort, storage.table.port],
              [azurite.blobPort, storage.blob.port],
            ]),
            POLL_TIME_BUDGET_SECONDS: '60',
          },
        ),
        execArgv: ['--import', new URL('./markedIds.ts', import.meta.url).href],
      }),
    async calm() {
      azurite.resume();
      dovecot.resume();
      process.kill(broker.pid, 'SIGCONT');
      await broker.resume();
      await broker.setFaults(noFaults());
      for (const proxy of proxies) {
        await proxy.restore();
        proxy.dropAll('rst');
      }
    },
    async stop() {
      await Promise.all(proxies.map((proxy) => proxy.stop()));
      await Promise.all([azurite.stop(), broker.stop(), dovecot.stop()]);
    },
  };
}

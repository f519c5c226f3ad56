import { RestError } from '@azure/storage-blob';
import {
  type AppTestbed,
  hostOptions,
  type MailPartsOptions,
  type Protocol,
  startMailParts,
  withHost,
} from '../app/testbed.ts';
import { noFaults } from '../testbed/broker/faults.ts';
import { type HostProcess, startHostProcess } from '../testbed/host/hostProcess.ts';
import { startProxy, type TcpProxy } from '../testbed/proxy.ts';
import { throughProxies } from '../testbed/storageProxy.ts';

/** The app in a process of its own, to be killed; `execArgv` is for its Node. */
type StartChild = (
  settings?: Readonly<Record<string, string>>,
  execArgv?: readonly string[],
) => Promise<HostProcess>;

/** The app and all that it works with; its ways to storage and mail server lead through proxies that can fail. */
export interface ReliabilityBed extends AppTestbed {
  /** The app's ways to its storage; the host and the test have their own. */
  readonly storage: { readonly table: TcpProxy; readonly blob: TcpProxy };
  readonly mail: Readonly<Record<Protocol, TcpProxy>>;
  readonly startChild: StartChild;
  /** Does `use` with such a process, and kills it then. */
  withChild<T>(use: (child: HostProcess) => Promise<T>, ...how: Parameters<StartChild>): Promise<T>;
  /** What is remembered of mails that were brought away and not settled: rows of `EmailDelivered`, and marks. */
  remembered(name: string): Promise<Record<string, unknown>[]>;
  /** Makes a run that was killed look as it does two minutes later: an old heartbeat, no lease. */
  letDie(name: string): Promise<void>;
  breakLease(name: string): Promise<void>;
  /** The mailbox's records in `EmailUndelivered`, without what an interrupted store has left. */
  undelivered(name: string): Promise<Record<string, unknown>[]>;
  /** Ends every fault of proxies and broker; what was silent is reset. */
  restore(): Promise<void>;
}

export async function startReliabilityBed(options: MailPartsOptions): Promise<ReliabilityBed> {
  const parts = await startMailParts(options);
  const { azurite, broker, dovecot } = parts;
  const proxyTo = (targetPort: number) => startProxy({ targetHost: '127.0.0.1', targetPort });
  const storage = { table: await proxyTo(azurite.tablePort), blob: await proxyTo(azurite.blobPort) };
  const mail = { IMAP: await proxyTo(dovecot.imapPort), POP3: await proxyTo(dovecot.pop3Port) };
  const proxies = [storage.table, storage.blob, mail.IMAP, mail.POP3];
  const settings = {
    AzureWebJobsStorage: throughProxies(azurite.connectionString, [
      [azurite.tablePort, storage.table.port],
      [azurite.blobPort, storage.blob.port],
    ]),
  };
  const app = await withHost(parts, settings);

  const startChild: StartChild = (more, execArgv = []) =>
    startHostProcess({ ...hostOptions(parts, { ...settings, ...more }), execArgv });
  const rowsOf = async (name: string, filter: string) => {
    const rows: Record<string, unknown>[] = [];
    try {
      for await (const row of parts.table(name).listEntities({ queryOptions: { filter } })) rows.push(row);
    } catch (error) {
      // The app makes its tables at first use.
      if (!(error instanceof Error && 'statusCode' in error && error.statusCode === 404)) throw error;
    }
    return rows;
  };
  const breakLease = async (name: string) => {
    await parts
      .lease(name)
      .breakLease(0)
      .catch((error: unknown) => {
        if (!(error instanceof RestError && error.code === 'LeaseNotPresentWithLeaseOperation')) throw error;
      });
  };

  return {
    ...{ ...app, storage, mail, breakLease, startChild },
    async withChild(use, ...how) {
      const child = await startChild(...how);
      try {
        return await use(child);
      } finally {
        await child.kill();
      }
    },
    addMailbox: (name, protocol, mails, columns) =>
      parts.addMailbox(name, protocol, mails, { port: mail[protocol].port, ...columns }),
    remembered: async (name) => [
      ...(await rowsOf('EmailDelivered', `PartitionKey eq 'acme|${name}'`)),
      ...(await rowsOf('EmailUndelivered', `connection eq '${name}' and RowKey ge 'mark'`)),
    ],
    async letDie(name) {
      await parts.setColumns(name, { heartbeatAt: new Date(Date.now() - 180_000).toISOString() });
      await breakLease(name);
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
      await app.host.stop();
      await Promise.all(proxies.map((proxy) => proxy.stop()));
      await parts.stop();
    },
  };
}

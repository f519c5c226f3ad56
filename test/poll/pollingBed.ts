import assert from 'node:assert/strict';
import { TableClient } from '@azure/data-tables';
import { BlobServiceClient } from '@azure/storage-blob';
import { createPolling } from '../../shared/app/polling.ts';
import { createProcess, type Process } from '../../shared/app/process.ts';
import type { Clock, LeaseTimes } from '../../shared/lease/lease.ts';
import { readSettings } from '../../shared/settings/settings.ts';
import { noTelemetry } from '../../shared/telemetry/telemetry.ts';
import { mailboxColumns, password, queueName } from '../app/testbed.ts';
import { type Azurite, startAzurite } from '../testbed/azurite.ts';
import { type Broker, startBroker } from '../testbed/broker/broker.ts';
import { type Dovecot, startDovecot } from '../testbed/dovecot.ts';
import { seedMaildir } from '../testbed/seed.ts';

/** Two clocks that go with the real ones and can be set ahead. */
export class SettableClock implements Clock {
  aheadMs = { monotonic: 0, wall: 0 };

  read() {
    const { monotonic, wall } = this.aheadMs;
    return { monotonicMs: performance.now() + monotonic, wallMs: Date.now() + wall };
  }
}

/** Polls in this process, with real parts and a lease whose times and clocks the test chooses. */
export interface PollingBed {
  readonly azurite: Azurite;
  readonly broker: Broker;
  readonly dovecot: Dovecot;
  readonly connections: TableClient;
  /** What the polls have logged. */
  readonly logged: string[];
  addMailbox(
    name: string,
    protocol: 'IMAP' | 'POP3',
    mails: readonly Buffer[],
    columns?: Readonly<Record<string, unknown>>,
  ): Promise<void>;
  /** In an instance of its own. */
  poll(name: string, times?: LeaseTimes): Promise<Record<string, unknown>>;
  /** Polls in one instance: they share its memory. With settings of its own it is another process's. */
  openInstance(
    times?: LeaseTimes,
    settings?: Readonly<Record<string, string>>,
  ): Promise<(name: string) => Promise<Record<string, unknown>>>;
  state(name: string): Promise<Record<string, unknown>>;
  breakLease(name: string): Promise<void>;
  /** Takes the lease for good, as a person may; gives what releases it. */
  holdLease(name: string): Promise<() => Promise<unknown>>;
  /** Tells the process to go; polls after this are a new one's. */
  tellToGo(): void;
  stop(): Promise<void>;
}

export async function startPollingBed(
  users: readonly string[],
  settings: Readonly<Record<string, string>> = {},
): Promise<PollingBed> {
  const [azurite, broker, dovecot] = await Promise.all([
    startAzurite(),
    startBroker({
      queues: [{ name: queueName, maxMessageSizeBytes: 1_048_576, duplicateDetectionWindowMs: 600_000 }],
    }),
    startDovecot({ users: users.map((user) => ({ user, password })) }),
  ]);
  const env = {
    AzureWebJobsStorage: azurite.connectionString,
    ServiceBusConnection: broker.connectionString,
    ...settings,
  };
  let told = new AbortController();
  const newProcess = (own: Readonly<Record<string, string>> = {}): Process => {
    const read = readSettings({ ...env, ...own });
    assert.ok(read.ok);
    return createProcess({ ...env, ...own }, read.settings, told.signal);
  };
  const processes = [newProcess()];
  const connections = TableClient.fromConnectionString(azurite.connectionString, 'EmailConnections', {
    allowInsecureConnection: true,
  });
  await connections.createTable();
  const leases = BlobServiceClient.fromConnectionString(azurite.connectionString).getContainerClient(
    'email-leases',
  );
  const logged: string[] = [];
  const write = (sentence: string) => void logged.push(sentence);
  const log = { info: write, warn: write, error: write };
  const state = async (name: string) => await connections.getEntity<Record<string, unknown>>('acme', name);
  const openInstance: PollingBed['openInstance'] = async (times, own) => {
    const process = own === undefined ? processes.at(-1) : newProcess(own);
    assert.ok(process);
    if (own !== undefined) processes.unshift(process);
    const { poll } = await createPolling(process, times);
    return async (name) => {
      await poll({ customer: 'acme', connection: name }, noTelemetry.follow(log, undefined));
      return await state(name);
    };
  };
  return {
    ...{ azurite, broker, dovecot, connections, logged, state },
    async addMailbox(name, protocol, mails, columns = {}) {
      const keys = { partitionKey: 'acme', rowKey: name };
      const entity = { ...keys, ...mailboxColumns(dovecot, protocol, name), ...columns };
      await connections.upsertEntity(entity, 'Merge');
      await seedMaildir(dovecot.maildir(name), mails);
    },
    poll: async (name, times) => await (await openInstance(times))(name),
    openInstance,
    async breakLease(name) {
      await leases.getBlobClient(`acme/${name}`).getBlobLeaseClient().breakLease(0);
    },
    async holdLease(name) {
      const lease = leases.getBlobClient(`acme/${name}`).getBlobLeaseClient();
      await lease.acquireLease(-1);
      return async () => await lease.releaseLease();
    },
    tellToGo() {
      told.abort();
      told = new AbortController();
      processes.push(newProcess());
    },
    async stop() {
      await Promise.all(processes.map(({ destinations }) => destinations.close()));
      await Promise.all([azurite.stop(), broker.stop(), dovecot.stop()]);
    },
  };
}

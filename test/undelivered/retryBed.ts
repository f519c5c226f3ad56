import { after } from 'node:test';
import type { Destinations, OutboundMessage } from '../../shared/destination/destination.ts';
import { Failure } from '../../shared/failure/failure.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import { type RetryOptions, retryDeliveries } from '../../shared/undelivered/retryDeliveries.ts';
import type { UndeliveredStore } from '../../shared/undelivered/undeliveredStore.ts';
import { forEachOf } from '../../shared/wait/parallel.ts';
import { destinationsFor, quickRetry } from '../destination/support.ts';
import { startAzurite } from '../testbed/azurite.ts';
import { type Broker, startBroker } from '../testbed/broker/broker.ts';
import { noFaults } from '../testbed/broker/faults.ts';
import { openStorage, passMinutes, type Storage, undeliveredMail } from './storage.ts';

export const hourMs = 3_600_000;

type QueueOptions = Partial<Parameters<Broker['createQueue']>[0]>;

/**
 * Storage and a broker for the tests of one file, and the retry's ticks over them. To be called once in a file: starts
 * both, and stops them after its tests.
 */
export async function startRetryBed() {
  let queueCount = 0;
  const [azurite, broker] = await Promise.all([startAzurite(), startBroker()]);
  // A try that a busy machine stalls would be one more message on the queue.
  const destinations = destinationsFor(broker.connectionString, { retry: { ...quickRetry, tryMs: 3_000 } });
  after(async () => {
    await destinations.close();
    await Promise.all([azurite.stop(), broker.stop()]);
  });
  /** A queue of its own for each test; without duplicate detection, so that whatever is sent twice is seen. */
  const newQueue = (options: QueueOptions = {}) => {
    Object.assign(broker.faults, noFaults());
    queueCount += 1;
    return broker.createQueue({ name: `inbound-${queueCount}`, ...options });
  };
  return {
    broker,
    openStorage: () => openStorage(azurite),
    newQueue,
    /** A queue, and storage with so many mails of two parts each for it, that have just become due. */
    async withDue(count: number, options?: QueueOptions) {
      const [queue, storage] = [newQueue(options), await openStorage(azurite)];
      await storeMails(storage, queue.name, count);
      passMinutes(storage, 1);
      return { queue, storage };
    },
    /** The same with one mail of these parts. */
    async withDueMail(bodies: Parameters<typeof undeliveredMail>[0], options?: QueueOptions) {
      const [queue, storage] = [newQueue(options), await openStorage(azurite)];
      const mail = undeliveredMail(bodies, { queueName: queue.name });
      await storage.store.store(mail);
      passMinutes(storage, 1);
      return { queue, storage, mail };
    },
    tick: (storage: Storage, options: Partial<RetryOptions> = {}) =>
      retryDeliveries({
        store: storage.store,
        destinations,
        log: recordingLog().log,
        now: () => storage.clock.now,
        maxAgeMs: 168 * hourMs,
        told: new AbortController().signal,
        journal: async () => undefined,
        ...options,
      }),
    /** The real destinations, and the names of the queues that are opened there, in order. */
    recordingOpens() {
      const opened: string[] = [];
      const open: Destinations['open'] = (queueName) => {
        opened.push(queueName);
        return destinations.open(queueName);
      };
      return { opened, destinations: { open, close: async () => undefined } };
    },
    /** The real destinations, with another `send`. */
    sendingBy: (
      change: (send: (message: OutboundMessage) => Promise<void>, message: OutboundMessage) => Promise<void>,
    ): Destinations => ({
      async open(queueName) {
        const real = await destinations.open(queueName);
        return {
          maxMessageBytes: real.maxMessageBytes,
          send: (message, fence) => change((sent) => real.send(sent, fence), message),
        };
      },
      close: async () => undefined,
    }),
    /** Destinations whose queue is full for each message of which `isTaken` gives false. */
    failingBy: (isTaken: () => Promise<boolean>): Destinations => ({
      open: async () => ({
        maxMessageBytes: 1_000_000,
        async send() {
          if (!(await isTaken())) throw new Failure('queue', 'The queue is full.');
        },
      }),
      close: async () => undefined,
    }),
  };
}

/** Counts the requests to the records' table from now on. */
export function countRequests({ table }: Storage): () => number {
  let requests = 0;
  table.pipeline.addPolicy({
    name: 'count',
    sendRequest: (request, next) => {
      requests += 1;
      return next(request);
    },
  });
  return () => requests;
}

export function recordingLog() {
  const lines: string[] = [];
  const write = (level: string) => (sentence: string, fields?: object) =>
    void lines.push(`${level} ${sentence} ${JSON.stringify(fields ?? {})}`);
  const log: Log = { info: write('info'), warn: write('warn'), error: write('error') };
  return { log, lines };
}

/** Destinations none of whose queues can be reached. */
export const refusing: Destinations = {
  open: () => Promise.reject(new Failure('queue', 'Service Bus queue inbound is away.')),
  close: async () => undefined,
};

/** Destinations that take everything. */
export const accepting: Destinations = {
  open: async () => ({ maxMessageBytes: 1_000_000, send: async () => undefined }),
  close: async () => undefined,
};

/** The same store, with some of its methods changed. */
export function storeWith(storage: Storage, changes: Partial<UndeliveredStore>): UndeliveredStore {
  const { store } = storage;
  return new Proxy(store, {
    get(target, name) {
      const changed: unknown = Reflect.get(changes, name);
      const value: unknown = changed ?? Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** Stores mails of two parts each, one after the other in time, the first one first. */
export async function storeMails(
  storage: Storage,
  queueName: string,
  count: number,
  from = 1,
): Promise<void> {
  for (let uid = from; uid < from + count; uid += 1) {
    await storage.store.store(undeliveredMail([`body ${uid}`, `two ${uid}`], { uid, queueName }));
    storage.clock.now = new Date(storage.clock.now.getTime() + 1);
  }
}

/** Rows of records that have no blobs, and that are due: for the many that a tick only puts off. */
export async function storeRows(storage: Storage, queueName: string, count: number): Promise<void> {
  await storeMails(storage, queueName, 1);
  const [row] = (await storage.rows()).filter((each) => each.queueName === queueName);
  if (!row) throw new Error('The record is not there.');
  const { etag, timestamp, ...columns } = row;
  const hundreds = Array.from({ length: Math.ceil((count - 1) / 100) }, (_, n) => n);
  await forEachOf(hundreds, 4, async (hundred) => {
    const size = Math.min(100, count - 1 - hundred * 100);
    await storage.table.submitTransaction(
      Array.from({ length: size }, (_, n) => {
        const tail = String(hundred * 100 + n).padStart(12, '0');
        return ['create', { ...columns, rowKey: `${row.rowKey.slice(0, -12)}${tail}` }];
      }),
    );
  });
}

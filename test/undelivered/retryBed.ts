import { after, before } from 'node:test';
import type { Destination, OpenDestination } from '../../shared/delivery/destination.ts';
import { Failure } from '../../shared/failure/failure.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import { type RetryOptions, retryDeliveries } from '../../shared/undelivered/retryDeliveries.ts';
import { openerFor } from '../delivery/support.ts';
import { type Azurite, startAzurite } from '../testbed/azurite.ts';
import { type Broker, startBroker } from '../testbed/broker/broker.ts';
import { noFaults } from '../testbed/broker/faults.ts';
import { openStorage, type Storage, undeliveredMail } from './storage.ts';

const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;

/** Storage and a broker for the tests of one file, and the retry's ticks over them. */
export interface RetryBed {
  readonly broker: Broker;
  openStorage(): Promise<Storage>;
  /** A queue of its own for each test; without duplicate detection, so that whatever is sent twice is seen. */
  newQueue(options?: Partial<Parameters<Broker['createQueue']>[0]>): ReturnType<Broker['createQueue']>;
  tick(storage: Storage, options?: Partial<RetryOptions>): ReturnType<typeof retryDeliveries>;
  /** A destination on the real one, whose `send` is changed. */
  sendingBy(
    change: (send: Destination['send'], message: Parameters<Destination['send']>[0]) => Promise<void>,
  ): OpenDestination;
}

/** To be called once in a file: starts both before its tests and stops them after. */
export function retryBed(): RetryBed {
  let azurite: Azurite;
  let broker: Broker;
  let queueCount = 0;
  before(async () => {
    [azurite, broker] = await Promise.all([startAzurite(), startBroker()]);
  });
  after(() => Promise.all([azurite.stop(), broker.stop()]));
  return {
    get broker() {
      return broker;
    },
    openStorage: () => openStorage(azurite),
    newQueue(options = {}) {
      Object.assign(broker.faults, noFaults());
      queueCount += 1;
      return broker.createQueue({ name: `inbound-${queueCount}`, ...options });
    },
    tick: (storage, options = {}) =>
      retryDeliveries({
        store: storage.queue,
        openDestination: openerFor(broker.connectionString),
        log: recordingLog().log,
        now: () => storage.clock.now,
        maxAgeMs: 168 * hourMs,
        ...options,
      }),
    sendingBy: (change) => async (queueName) => {
      const real = await openerFor(broker.connectionString)(queueName);
      return {
        maxMessageBytes: real.maxMessageBytes,
        fits: (head, bytes) => real.fits(head, bytes),
        send: (message) => change((sent) => real.send(sent), message),
        close: () => real.close(),
      };
    },
  };
}

export function recordingLog() {
  const lines: string[] = [];
  const write = (level: string) => (sentence: string, fields?: object) =>
    void lines.push(`${level} ${sentence} ${JSON.stringify(fields ?? {})}`);
  const log: Log = { info: write('info'), warn: write('warn'), error: write('error') };
  return { log, lines };
}

export function passMinutes(storage: Storage, minutes: number): void {
  storage.clock.now = new Date(storage.clock.now.getTime() + minutes * minuteMs);
}

export const refusing: OpenDestination = () =>
  Promise.reject(new Failure('queue', 'Service Bus queue inbound is away.'));

export async function storeMails(
  storage: Storage,
  queueName: string,
  count: number,
  from = 1,
): Promise<void> {
  const uids = Array.from({ length: count }, (_, index) => from + index);
  await Promise.all(
    uids.map((uid) =>
      storage.store.store(undeliveredMail([`body ${uid}`, `two ${uid}`], { uid, queueName })),
    ),
  );
}

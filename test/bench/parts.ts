import { type Azurite, startAzurite } from '../testbed/azurite.ts';
import { type BrokerProcess, startBrokerProcess } from '../testbed/broker/brokerProcess.ts';
import { type Script, startScript } from '../testbed/child.ts';
import { type Dovecot, startDovecot } from '../testbed/dovecot.ts';
import { type StorageProxy, startStorageProxy, throughProxies } from '../testbed/storageProxy.ts';

export const queueName = 'email-inbound';
export const password = 'bench 7 password';

const proxyMain = new URL('../testbed/proxyMain.ts', import.meta.url);
/** Timers fire late by so much on average: without it, 5 ms there and back would be 7.5. */
const timerLagMs = 0.5;

/** Milliseconds of a round trip. */
export interface Distances {
  readonly mailRttMs: number;
  /** To storage, and to Service Bus where that has none of its own. */
  readonly cloudRttMs: number;
  readonly serviceBusRttMs?: number;
}

/** What the app works with, each in a process of its own, and the ways there. */
export interface Parts {
  readonly azurite: Azurite;
  readonly broker: BrokerProcess;
  readonly dovecot: Dovecot;
  /** As the measured see them: through proxies where something is distant. */
  readonly imapPort: number;
  readonly pop3Port: number;
  readonly storageConnectionString: string;
  readonly serviceBusConnectionString: string;
  /** What the app has asked of storage since this was last called: `PUT /path`. Empty where nothing is counted. */
  takeRequests(): string[];
  stop(): Promise<void>;
}

export interface PartsOptions {
  readonly users: readonly string[];
  readonly messageLimitBytes: number;
  readonly distances?: Distances;
  /** Connecting takes a round trip, too. */
  readonly handshake?: boolean;
  /** Where storage keeps its data; in memory when absent. */
  readonly storageFolder?: string;
  /** The app's requests to storage go through a proxy that counts them. */
  readonly countRequests?: boolean;
}

export async function startParts(options: PartsOptions): Promise<Parts> {
  const [azurite, broker, dovecot] = await Promise.all([
    startAzurite(options.storageFolder === undefined ? {} : { folder: options.storageFolder }),
    startBrokerProcess({
      queues: [
        {
          name: queueName,
          maxMessageSizeBytes: options.messageLimitBytes,
          duplicateDetectionWindowMs: 600_000,
        },
      ],
    }),
    startDovecot({ users: options.users.map((user) => ({ user, password })) }),
  ]);
  const proxies: Script<unknown>[] = [];
  const through = async (port: number, rttMs: number | undefined): Promise<number> => {
    if (rttMs === undefined || rttMs === 0) return port;
    const args = ['--target', `127.0.0.1:${port}`, '--delay', String(rttMs / 2 - timerLagMs)];
    if (options.handshake) args.push('--handshake');
    const proxy = await startScript<{ port: number }>(proxyMain, args);
    proxies.push(proxy);
    return proxy.said.port;
  };
  const { mailRttMs, cloudRttMs, serviceBusRttMs = cloudRttMs } = options.distances ?? {};
  const [imapPort, pop3Port, brokerPort] = await Promise.all([
    through(dovecot.imapPort, mailRttMs),
    through(dovecot.pop3Port, mailRttMs),
    through(broker.port, serviceBusRttMs),
  ]);
  const counters: StorageProxy[] = [];
  const storagePorts = await Promise.all(
    [azurite.blobPort, azurite.queuePort, azurite.tablePort].map(async (direct) => {
      const port = await through(direct, cloudRttMs);
      if (options.countRequests !== true) return [direct, port] as const;
      const counter = await startStorageProxy(port);
      counters.push(counter);
      return [direct, counter.port] as const;
    }),
  );
  return {
    azurite,
    broker,
    dovecot,
    imapPort,
    pop3Port,
    storageConnectionString: throughProxies(azurite.connectionString, storagePorts),
    serviceBusConnectionString: broker.connectionString.replace(`:${broker.port};`, `:${brokerPort};`),
    takeRequests() {
      const calls = counters.flatMap((counter) => counter.calls.splice(0));
      return calls.map(({ method, url }) => `${method} ${url.split('?')[0]}`);
    },
    async stop() {
      await Promise.all(counters.map((counter) => counter.stop()));
      await Promise.all([
        azurite.stop(),
        broker.stop(),
        dovecot.stop(),
        ...proxies.map((each) => each.stop()),
      ]);
    },
  };
}

import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Azurite, startAzurite } from '../testbed/azurite.ts';
import { type BrokerProcess, startBrokerProcess } from '../testbed/broker/brokerProcess.ts';
import { endChild, onExit } from '../testbed/child.ts';
import { type Dovecot, startDovecot } from '../testbed/dovecot.ts';
import { startHttpCounter } from './httpCounter.ts';

export const queueName = 'email-inbound';
export const password = 'bench 7 password';

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
  const proxies: ProxyProcess[] = [];
  const through = async (port: number, rttMs: number | undefined): Promise<number> => {
    if (rttMs === undefined || rttMs === 0) return port;
    const proxy = await startProxyProcess(port, rttMs / 2 - timerLagMs, options.handshake ?? false);
    proxies.push(proxy);
    return proxy.port;
  };
  const { mailRttMs, cloudRttMs, serviceBusRttMs = cloudRttMs } = options.distances ?? {};
  const [imapPort, pop3Port, brokerPort, ...storagePorts] = await Promise.all([
    through(dovecot.imapPort, mailRttMs),
    through(dovecot.pop3Port, mailRttMs),
    through(broker.port, serviceBusRttMs),
    through(azurite.blobPort, cloudRttMs),
    through(azurite.queuePort, cloudRttMs),
    through(azurite.tablePort, cloudRttMs),
  ]);
  const direct = [azurite.blobPort, azurite.queuePort, azurite.tablePort];
  const counters =
    options.countRequests === true ? await Promise.all(storagePorts.map(startHttpCounter)) : [];
  const seenByApp = counters.length > 0 ? counters.map(({ port }) => port) : storagePorts;
  return {
    azurite,
    broker,
    dovecot,
    imapPort,
    pop3Port,
    storageConnectionString: withPorts(azurite.connectionString, direct, seenByApp),
    serviceBusConnectionString: withPorts(broker.connectionString, [broker.port], [brokerPort]),
    takeRequests() {
      return counters.flatMap(({ requests }) => requests.splice(0));
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

/** The connection string with other ports in its addresses. */
function withPorts(connectionString: string, from: readonly number[], to: readonly number[]): string {
  return connectionString.replace(/(127\.0\.0\.1|localhost):(\d+)/g, (whole, host: string, port: string) => {
    const index = from.indexOf(Number(port));
    return index === -1 ? whole : `${host}:${to[index]}`;
  });
}

interface ProxyProcess {
  readonly port: number;
  stop(): Promise<void>;
}

async function startProxyProcess(
  targetPort: number,
  oneWayDelayMs: number,
  handshake: boolean,
): Promise<ProxyProcess> {
  const main = fileURLToPath(new URL('../testbed/proxyMain.ts', import.meta.url));
  const args = [
    '--target',
    `127.0.0.1:${targetPort}`,
    '--delay',
    String(oneWayDelayMs),
    '--until-stdin-closes',
  ];
  const child = spawn(process.execPath, [main, ...args, ...(handshake ? ['--handshake'] : [])], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const forget = onExit(() => child.kill('SIGKILL'));
  const { port } = JSON.parse(await firstLine(child));
  return {
    port,
    async stop() {
      await endChild(child);
      forget();
    },
  };
}

async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('The proxy has no output.');
  for await (const line of createInterface({ input: child.stdout })) return line;
  throw new Error('The proxy ended before it was ready.');
}

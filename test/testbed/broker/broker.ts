import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { freePorts } from '../child.ts';
import { type BrokerFaults, noFaults } from './faults.ts';
import { serveLinks } from './links.ts';
import { Namespace } from './namespace.ts';
import type { BrokerQueue, QueueOptions } from './queue.ts';
import type { TopicOptions } from './topic.ts';

/** How the broker is started; everything has a default. */
export interface BrokerOptions {
  /** Default: a free one. */
  readonly port?: number;
  readonly queues?: readonly QueueOptions[];
  readonly topics?: readonly TopicOptions[];
  /** A link that nothing goes over for this long is detached; default ten minutes, as in Service Bus. */
  readonly idleLinkMs?: number;
  /** Default: random. */
  readonly key?: string;
}

/** A Service Bus namespace in memory, which the unmodified SDK can use over plain TCP. */
export interface Broker {
  readonly connectionString: string;
  readonly port: number;
  readonly faults: BrokerFaults;
  /** TCP connections: open now, and ever. */
  readonly connections: { readonly open: number; readonly total: number };
  /** The connection string for the same broker behind another port of this machine, for a proxy. */
  connectionStringFor(port: number): string;
  createQueue(options: QueueOptions): BrokerQueue;
  /** Takes a queue, or a topic with its subscriptions, away and detaches the links to it, as Service Bus does. */
  delete(name: string): void;
  /** A queue, or a subscription as `topic/Subscriptions/name`. Throws when there is none of that name. */
  queue(name: string): BrokerQueue;
  /** Cuts every connection; new ones are taken. */
  dropConnections(): void;
  /** Cuts every connection and stops listening; the queues stay. */
  stop(): Promise<void>;
  /** Stops when running, then listens on the same port again, with the same queues. */
  restart(): Promise<void>;
}

const keyName = 'RootManageSharedAccessKey';
const defaultIdleLinkMs = 10 * 60_000;

/** Starts a broker on 127.0.0.1. */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const key = options.key ?? randomBytes(32).toString('base64');
  const faults = noFaults();
  const namespace = new Namespace();
  const sockets = new Set<Socket>();
  let connectionsEver = 0;

  for (const queue of options.queues ?? []) namespace.createQueue(queue);
  for (const topic of options.topics ?? []) namespace.createTopic(topic);
  const idleLinkMs = options.idleLinkMs ?? defaultIdleLinkMs;
  const { container, detachFrom } = serveLinks({ keyName, key, faults, namespace, idleLinkMs });

  async function listen(port: number): Promise<Server> {
    const server = container.listen({ host: '127.0.0.1', port, ...connectionOptions });
    server.on('connection', (socket) => {
      connectionsEver++;
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    await once(server, 'listening');
    return server;
  }

  function dropConnections(): void {
    for (const socket of sockets) socket.destroy(new Error('The broker dropped the connection.'));
  }

  // Not an ephemeral one, which another connection could take while the broker is stopped.
  const [freePort] = options.port === undefined ? await freePorts(1) : [options.port];
  let server: Server | undefined = await listen(freePort ?? 0);
  const { port } = server.address() as AddressInfo;

  async function stop(): Promise<void> {
    const stopping = server;
    server = undefined;
    if (stopping === undefined) return;
    const closings = [stopping, ...sockets].map((closing) => {
      return new Promise<void>((resolve) => closing.once('close', () => resolve()));
    });
    stopping.close();
    dropConnections();
    await Promise.all(closings);
  }

  const connectionStringFor = (at: number) =>
    `Endpoint=sb://localhost:${at};SharedAccessKeyName=${keyName};SharedAccessKey=${key};UseDevelopmentEmulator=true`;

  return {
    connectionString: connectionStringFor(port),
    port,
    faults,
    get connections() {
      return { open: sockets.size, total: connectionsEver };
    },
    connectionStringFor,
    createQueue: (queue) => namespace.createQueue(queue),
    delete: (name) => detachFrom(namespace.delete(name)),
    queue: (name) => namespace.queue(name),
    dropConnections,
    stop,
    async restart() {
      await stop();
      server = await listen(port);
    },
  };
}

/** 64 KiB frames, as Service Bus has them. Without TCP_NODELAY small answers would wait for the peer's delayed ACK. */
const connectionOptions = { max_frame_size: 65_536, tcp_no_delay: true };

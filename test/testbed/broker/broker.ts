import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Connection, EventContext, Receiver, Sender } from 'rhea';
import rhea from 'rhea';
import { freePorts } from '../child.ts';
import { type AmqpCondition, type BrokerFaults, conditions, noFaults } from './faults.ts';
import { openIntake } from './intake.ts';
import { openOutlet } from './outlet.ts';
import { BrokerQueue, type QueueOptions } from './queue.ts';
import { manage, type ServiceAnswer, type ServiceRequest, serveRequests } from './requests.ts';
import { takeMessagesRaw, withholdAttach } from './rheaInternals.ts';
import { acceptSession, sessionWishOf } from './sessions.ts';
import { checkToken, entityOf } from './token.ts';

/** How the broker is started; everything has a default. */
export interface BrokerOptions {
  /** Default: a free one. */
  readonly port?: number;
  readonly queues?: readonly QueueOptions[];
  /** For queues that don't say it themselves. */
  readonly maxMessageSizeBytes?: number;
  readonly keyName?: string;
  /** Default: random. */
  readonly key?: string;
  readonly faults?: Partial<BrokerFaults>;
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
  /** Throws when there is none of that name. */
  queue(name: string): BrokerQueue;
  /** Cuts every connection; new ones are taken. */
  dropConnections(): void;
  /** Cuts every connection and stops listening; the queues stay. */
  stop(): Promise<void>;
  /** Stops when running, then listens on the same port again, with the same queues. */
  restart(): Promise<void>;
}

/** Starts a broker on 127.0.0.1. */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const keyName = options.keyName ?? 'RootManageSharedAccessKey';
  const key = options.key ?? randomBytes(32).toString('base64');
  const faults: BrokerFaults = { ...noFaults(), ...options.faults };
  const queues = new Map<string, BrokerQueue>();
  const sockets = new Set<Socket>();
  let connectionsEver = 0;

  function createQueue(queueOptions: QueueOptions): BrokerQueue {
    const sizeBytes = queueOptions.maxMessageSizeBytes ?? options.maxMessageSizeBytes;
    const queue = new BrokerQueue({
      ...queueOptions,
      ...(sizeBytes === undefined ? {} : { maxMessageSizeBytes: sizeBytes }),
    });
    queues.set(queueOptions.name.toLowerCase(), queue);
    return queue;
  }

  for (const queueOptions of options.queues ?? []) createQueue(queueOptions);
  const container = serve({ keyName, key, faults, find: (entity) => queues.get(entity) });

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
    createQueue,
    queue(name) {
      const queue = queues.get(name.toLowerCase());
      if (queue === undefined) throw new Error(`The broker has no queue '${name}'.`);
      return queue;
    },
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

interface Namespace {
  readonly keyName: string;
  readonly key: string;
  readonly faults: BrokerFaults;
  find(entity: string): BrokerQueue | undefined;
}

function serve(namespace: Namespace) {
  const { faults } = namespace;
  const container = rhea.create_container({
    receiver_options: { autoaccept: false, credit_window: 1000 },
    sender_options: { treat_modified_as_released: false },
  });
  const grants = new WeakMap<Connection, Map<string, number>>();
  const closers = new WeakMap<Connection, Set<() => void>>();

  function authorise(connection: Connection, request: ServiceRequest): ServiceAnswer | undefined {
    if (faults.silentCredentials) return undefined;
    const grant = checkToken(String(request.body), namespace.keyName, namespace.key, Date.now());
    if (grant === undefined || faults.refuseCredentials) {
      return {
        properties: { 'status-code': 401, 'status-description': 'InvalidSignature: The token is refused.' },
      };
    }
    const granted = grants.get(connection) ?? new Map<string, number>();
    grants.set(connection, granted.set(grant.entity, grant.expiresAtMs));
    return { properties: { 'status-code': 202, 'status-description': 'Accepted' } };
  }

  /** The queue behind a link's address, or why the link is refused. */
  function resolve(connection: Connection, address: string): BrokerQueue | AmqpCondition {
    const entity = entityOf(address);
    if (!((grants.get(connection)?.get(entity) ?? 0) > Date.now())) return conditions.unauthorized(entity);
    const queue = namespace.find(entity);
    if (queue === undefined) return conditions.notFound(entity);
    if (queue.disabled || faults.entityDisabled) return conditions.disabled(entity);
    return queue;
  }

  function openReceiver(receiver: Receiver): void {
    const address = receiver.target?.address ?? '';
    if (address === '$cbs') {
      serveRequests(receiver, address, (request) => authorise(receiver.connection, request));
      return;
    }
    if (faults.silentAttach) {
      withholdAttach(receiver);
      return;
    }
    const queue = resolve(receiver.connection, address);
    if (!(queue instanceof BrokerQueue)) receiver.close(queue);
    else if (isManagement(address)) serveRequests(receiver, address, (request) => manage(queue, request));
    else openIntake(receiver, queue, faults);
  }

  function openSender(sender: Sender): void {
    const address = sender.source?.address ?? '';
    if (address === '$cbs' || isManagement(address)) {
      sender.set_source({ address });
      sender.set_target({ address: sender.target?.address ?? '' });
      return;
    }
    if (faults.silentAttach) {
      withholdAttach(sender);
      return;
    }
    const found = resolve(sender.connection, address);
    if (!(found instanceof BrokerQueue)) {
      sender.close(found);
      return;
    }
    const isDeadLetters = /\/\$deadletterqueue$/i.test(address);
    const queue = isDeadLetters ? (found.deadLetterQueue ?? found) : found;
    const wish = sessionWishOf(sender);
    if (queue.requiresSession !== (wish.kind !== 'none')) {
      sender.close(conditions.sessionMismatch(queue.name));
      return;
    }
    if (wish.kind === 'none') {
      sender.set_source({ address });
      sender.set_target({ address: '' });
      closeWith(sender, openOutlet(sender, queue, undefined));
      return;
    }
    acceptSession(sender, queue, wish, (sessionId) => {
      const stop = openOutlet(sender, queue, sessionId);
      closeWith(sender, () => {
        stop();
        queue.releaseSession(sessionId);
      });
    });
  }

  /** Runs `close` once, when the link or its connection ends. */
  function closeWith(sender: Sender, close: () => void): void {
    const ofConnection = closers.get(sender.connection) ?? new Set();
    closers.set(sender.connection, ofConnection);
    const closeOnce = () => {
      if (ofConnection.delete(closeOnce)) close();
    };
    ofConnection.add(closeOnce);
    sender.on('sender_close', closeOnce);
    sender.on('sender_error', closeOnce);
    sender.session.on('session_close', closeOnce);
  }

  container.on('session_open', ({ session }: EventContext) => {
    if (session !== undefined) takeMessagesRaw(session);
  });
  container.on('receiver_open', ({ receiver }: EventContext) => {
    if (receiver !== undefined) openReceiver(receiver);
  });
  container.on('sender_open', ({ sender }: EventContext) => {
    if (sender !== undefined) openSender(sender);
  });
  container.on('disconnected', ({ connection }: EventContext) => {
    for (const close of [...(closers.get(connection) ?? [])]) close();
  });
  // Peers come and go as tests have it; without listeners rhea throws or writes to the terminal.
  for (const event of [
    'error',
    'protocol_error',
    'connection_error',
    'session_error',
    'receiver_error',
    'sender_error',
  ]) {
    container.on(event, () => {});
  }
  return container;
}

function isManagement(address: string): boolean {
  return /\/\$management$/i.test(address);
}

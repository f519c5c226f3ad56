import { once } from 'node:events';
import { createServer, type Server, Socket } from 'node:net';
import { freePorts, listenLocally } from './child.ts';
import { type CutMode, Lane } from './proxyLane.ts';

export type { CutMode } from './proxyLane.ts';

/** The way bytes go through the proxy. */
export type Direction = 'toClient' | 'toServer';

/** Where the proxy leads, and how slowly. */
export interface ProxyOptions {
  readonly targetHost: string;
  readonly targetPort: number;
  /** Milliseconds in each direction, so a round trip takes twice as long. Default 0. */
  readonly oneWayDelayMs?: number;
  /**
   * Also delays what a TCP handshake would: the server sees the connection three one-way delays after the client
   * made it. Default false: connecting costs nothing.
   */
  readonly delaysHandshake?: boolean;
}

/** A TCP proxy on 127.0.0.1 that delays and damages connections on demand. */
export interface TcpProxy {
  readonly port: number;
  readonly connections: { readonly open: number; readonly total: number };
  /** Bytes forwarded since the start, over all connections. */
  readonly bytes: Readonly<Record<Direction, number>>;
  /** Changes the one-way delay for what comes from now on. */
  setDelay(oneWayDelayMs: number): void;
  /** Ends every open connection in this way; new ones are taken as before. */
  dropAll(how: CutMode): void;
  /** `true` stops listening, so that new connections are refused; open ones stay. `false` listens again. */
  refuse(refuses: boolean): Promise<void>;
  /** Connections made from now on are taken and then met with silence, until `false` or `restore`. */
  silenceNew(silent: boolean): void;
  /**
   * After exactly so many more bytes in this direction, counted over all connections, ends the connection that
   * carried the last of them. Once.
   */
  cutAfterBytes(direction: Direction, byteCount: number, how: CutMode): void;
  /** Listens again and lifts `silenceNew` and `cutAfterBytes`; the delay stays. */
  restore(): Promise<void>;
  /** Calls the listener for every new connection. Answers the way to stop that. */
  onConnection(listener: () => void): () => void;
  /** Resets every connection and stops listening. */
  stop(): Promise<void>;
}

/** One client's connection through the proxy. */
interface ProxiedConnection {
  drop(how: CutMode): void;
}

interface PendingCut {
  readonly how: CutMode;
  remainingBytes: number;
}

/** Starts a proxy to the target. */
export async function startProxy(options: ProxyOptions): Promise<TcpProxy> {
  const open = new Set<ProxiedConnection>();
  const listeners = new Set<() => void>();
  const bytes = { toClient: 0, toServer: 0 };
  const cuts: Record<Direction, PendingCut | undefined> = { toClient: undefined, toServer: undefined };
  const sockets = new Set<Socket>();
  let total = 0;
  let delayMs = options.oneWayDelayMs ?? 0;
  let silencesNew = false;

  function admit(direction: Direction, byteCount: number): { admittedBytes: number; isLast: boolean } {
    const cut = cuts[direction];
    const admittedBytes = Math.min(byteCount, cut?.remainingBytes ?? Infinity);
    bytes[direction] += admittedBytes;
    if (cut === undefined) return { admittedBytes, isLast: false };
    cut.remainingBytes -= admittedBytes;
    return { admittedBytes, isLast: cut.remainingBytes === 0 };
  }

  function accept(client: Socket): void {
    total += 1;
    const server = new Socket({ allowHalfOpen: true });
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      sockets.add(socket);
    }
    const lane = (from: Socket, to: Socket, direction: Direction) =>
      new Lane(from, to, {
        delayMs: () => delayMs,
        admit: (byteCount) => admit(direction, byteCount),
        ended: () => {
          const how = cuts[direction]?.how ?? 'rst';
          cuts[direction] = undefined;
          // A reset takes back what has not been read, and some kernels then report an orderly end: leave the
          // reader a moment.
          setTimeout(() => connection.drop(how), how === 'rst' ? 5 : 0);
        },
      });
    const toServer = lane(client, server, 'toServer');
    const toClient = lane(server, client, 'toClient');
    let isSilent = false;
    const connection: ProxiedConnection = {
      drop(how) {
        toServer.stop();
        toClient.stop();
        isSilent = how === 'silence';
        if (how === 'fin') for (const socket of [client, server]) socket.end();
        if (how === 'rst') for (const socket of [client, server]) reset(socket);
      },
    };
    /** What the loss of one side does to the other, unless that was to hear nothing more. */
    const lose = (lost: Socket, other: Socket) => {
      open.delete(connection);
      sockets.delete(lost);
      clearTimeout(handshake);
      if (isSilent && other === client) return;
      if (isSilent || !other.writableEnded) reset(other);
    };
    client.on('close', () => lose(client, server));
    server.on('close', () => lose(server, client));
    client.on('end', () => {
      if (isSilent) client.destroy();
    });
    client.on('error', () => client.destroy());
    server.on('error', () => server.destroy());
    server.on('connect', () => toServer.unblock());
    toClient.unblock();
    const target = { host: options.targetHost, port: options.targetPort };
    let handshake: NodeJS.Timeout | undefined;
    if (options.delaysHandshake === true) handshake = setTimeout(() => server.connect(target), 3 * delayMs);
    else server.connect(target);
    open.add(connection);
    if (silencesNew) connection.drop('silence');
    for (const listener of listeners) listener();
  }

  async function listen(port: number): Promise<Server> {
    const started = createServer({ allowHalfOpen: true }, accept);
    await listenLocally(started, port);
    return started;
  }

  // Not an ephemeral one, which another connection could take while the proxy refuses.
  const [port = 0] = await freePorts(1);
  let listening: Server | undefined = await listen(port);

  async function refuse(refuses: boolean): Promise<void> {
    if (refuses) {
      // The listening socket goes at once; 'close' would wait for the open connections.
      listening?.close();
      listening = undefined;
    } else if (listening === undefined) {
      listening = await listen(port);
    }
  }

  return {
    port,
    bytes,
    get connections() {
      return { open: open.size, total };
    },
    setDelay(oneWayDelayMs) {
      delayMs = oneWayDelayMs;
    },
    dropAll(how) {
      for (const connection of [...open]) connection.drop(how);
    },
    refuse,
    silenceNew(silent) {
      silencesNew = silent;
    },
    cutAfterBytes(direction, byteCount, how) {
      cuts[direction] = { how, remainingBytes: byteCount };
    },
    async restore() {
      cuts.toClient = undefined;
      cuts.toServer = undefined;
      silencesNew = false;
      await refuse(false);
    },
    onConnection(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async stop() {
      await refuse(true);
      const closings = [...sockets].map((socket) => once(socket, 'close'));
      for (const socket of sockets) reset(socket);
      await Promise.all(closings);
    },
  };
}

/**
 * Resets a connection, or just closes one that has sent its FIN or is not made yet, which can't be reset. Node's
 * `resetAndDestroy` sends a FIN before the RST, and a peer may then see an orderly end.
 */
function reset(socket: Socket): void {
  if (!socket.connecting && !socket.writableEnded) Object.assign(socket, { resetAndClosing: true });
  socket.destroy();
}

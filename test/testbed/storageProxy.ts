import { createServer, type IncomingMessage, type ServerResponse, request as send } from 'node:http';
import type { Socket } from 'node:net';
import { listening } from './listening.ts';

/** What becomes of one request, in place of what Azurite would make of it. */
export type StorageFault =
  /** Azurite never hears of it. */
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
      /** How long it takes; at once when absent. */
      readonly afterMs?: number;
    }
  /** It is taken, and never answered. */
  | { readonly kind: 'silent' }
  /** Azurite does it, and the connection is reset in place of its answer. */
  | { readonly kind: 'loseAnswer' }
  /** Azurite's head of the answer, and of its body no more than so many bytes. */
  | { readonly kind: 'stallBody'; readonly afterBytes: number };

export interface StorageCall {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
}

/** An HTTP proxy on 127.0.0.1 in front of one of Azurite's services, with faults by request. */
export interface StorageProxy {
  readonly port: number;
  /** Every request that came, in order. */
  readonly calls: StorageCall[];
  /** Connections from clients that are open now, and the most there were at a time. */
  readonly connections: { readonly open: number; readonly most: number };
  /** Asked for each request, which waits for the answer; undefined lets it through. */
  fault: (call: StorageCall) => StorageFault | undefined | Promise<undefined>;
  stop(): Promise<void>;
}

/** Starts a proxy to a service of Azurite that listens on this port. */
export async function startStorageProxy(targetPort: number): Promise<StorageProxy> {
  const calls: StorageCall[] = [];
  const sockets = new Set<Socket>();
  let most = 0;

  const server = createServer(async (incoming, response) => {
    const call = { method: incoming.method ?? '', url: incoming.url ?? '' };
    calls.push(call);
    const fault = await proxy.fault(call);
    if (fault?.kind === 'silent') return void incoming.resume();
    if (fault?.kind === 'answer') {
      incoming.resume();
      setTimeout(() => {
        response.writeHead(fault.status, { ...fault.headers });
        response.end(fault.body ?? '');
      }, fault.afterMs ?? 0);
      return;
    }
    forward(incoming, response, fault, targetPort);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    most = Math.max(most, sockets.size);
    socket.on('close', () => sockets.delete(socket));
  });
  const { port, stop } = await listening(server);
  const proxy: StorageProxy = {
    port,
    calls,
    get connections() {
      return { open: sockets.size, most };
    },
    fault: () => undefined,
    stop,
  };
  return proxy;
}

function forward(
  incoming: IncomingMessage,
  response: ServerResponse,
  fault: StorageFault | undefined,
  port: number,
): void {
  const { method, url: path, headers } = incoming;
  const outgoing = send({ host: '127.0.0.1', port, method, path, headers, agent: false }, (answer) => {
    if (fault?.kind === 'loseAnswer') {
      answer.resume();
      answer.on('end', () => incoming.socket.resetAndDestroy());
      return;
    }
    response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
    if (fault?.kind !== 'stallBody') return void answer.pipe(response);
    let leftBytes = fault.afterBytes;
    response.flushHeaders();
    answer.on('data', (piece: Buffer) => {
      if (leftBytes > 0) response.write(piece.subarray(0, leftBytes));
      leftBytes -= piece.length;
    });
  });
  outgoing.on('error', () => incoming.socket.destroy());
  response.on('close', () => outgoing.destroy());
  incoming.pipe(outgoing);
}

/** A connection string of Azurite whose services are reached through these proxies. */
export function throughProxies(
  connectionString: string,
  ports: readonly (readonly [azurite: number, proxy: number])[],
): string {
  return ports.reduce(
    (text, [azurite, proxy]) => text.replace(`:${azurite}/`, `:${proxy}/`),
    connectionString,
  );
}

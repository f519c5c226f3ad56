import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { listenLocally } from '../child.ts';
import type { Broker } from './broker.ts';
import type { BrokerFaults } from './faults.ts';
import type { BrokerQueue } from './queue.ts';
import type { QueueMessage } from './queueMessage.ts';

/** A queue's numbers, as the control interface gives them. */
export interface QueueState {
  readonly active: number;
  readonly accepted: number;
  readonly duplicates: number;
}

/** A message in the control interface's lists. */
export interface ListedMessage extends Pick<QueueMessage, 'messageId' | 'subject' | 'applicationProperties'> {
  readonly sizeBytes: number;
  /** Of the body, in hex. */
  readonly bodySha256: string;
}

/**
 * Serves the control interface on a port of 127.0.0.1, which it gives, JSON in and out:
 * `GET /queues/{name}`, `GET /queues/{name}/messages`, `POST /queues/{name}/clear`, `PATCH /faults`,
 * `GET /connections`, `POST /drop`, `POST /stop`, `POST /restart`.
 */
export async function serveControl(broker: Broker): Promise<number> {
  const server = createServer((request, response) => {
    const send = (status: number, value: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    act(broker, request).then(
      (value) => send(200, value ?? {}),
      (error: unknown) => send(400, { error: error instanceof Error ? error.message : 'failed' }),
    );
  });
  // Whoever asks closes a connection that is idle: were it done here, a question might just be on its way.
  server.keepAliveTimeout = 0;
  return await listenLocally(server);
}

async function act(broker: Broker, request: IncomingMessage): Promise<unknown> {
  const { pathname } = new URL(request.url ?? '/', 'http://localhost');
  const [area, name = '', what = ''] = pathname.split('/').slice(1).map(decodeURIComponent);
  const body = await text(request);
  const action = `${request.method} ${area}`;
  switch (action) {
    case 'POST queues':
      return broker.queue(name).clear();
    case 'GET queues':
      return what === '' ? stateOf(broker.queue(name)) : broker.queue(name).messages.map(list);
    case 'GET connections':
      return broker.connections;
    case 'PATCH faults':
      // `dropOnTransfer: null` is JSON's way to say undefined.
      return Object.assign(broker.faults, withoutNulls(JSON.parse(body) as Partial<BrokerFaults>));
    case 'POST drop':
      return broker.dropConnections();
    case 'POST stop':
      return broker.stop();
    case 'POST restart':
      return broker.restart();
    default:
      throw new Error(`There is no ${action}.`);
  }
}

function stateOf({ count, accepted, duplicates }: BrokerQueue): QueueState {
  return { active: count, accepted, duplicates };
}

function list({ messageId, subject, applicationProperties, body }: QueueMessage): ListedMessage {
  const bodySha256 = createHash('sha256').update(body).digest('hex');
  return { messageId, subject, applicationProperties, sizeBytes: body.length, bodySha256 };
}

function withoutNulls(faults: Partial<BrokerFaults>): Partial<BrokerFaults> {
  return Object.fromEntries(Object.entries(faults).map(([name, value]) => [name, value ?? undefined]));
}

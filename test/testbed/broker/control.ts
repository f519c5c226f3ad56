import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { listenLocally } from '../child.ts';
import type { Broker } from './broker.ts';
import type { BrokerFaults } from './faults.ts';
import type { BrokerQueue, QueueOptions } from './queue.ts';
import type { QueueMessage } from './queueMessage.ts';

/** A queue's numbers, as the control interface gives them. */
export interface QueueState {
  readonly name: string;
  readonly active: number;
  readonly deadLettered: number;
  readonly accepted: number;
  readonly duplicates: number;
  readonly transfers: number;
}

/** How a listed message's body is given: its bytes in base64, or their SHA-256 in hex. */
export type BodyForm = 'base64' | 'sha256';

/** A message in the control interface's lists. */
export interface ListedMessage
  extends Pick<
    QueueMessage,
    | 'sequenceNumber'
    | 'messageId'
    | 'correlationId'
    | 'subject'
    | 'contentType'
    | 'sessionId'
    | 'applicationProperties'
  > {
  readonly enqueuedTime: string;
  readonly sizeBytes: number;
  /** In base64 or hex, as asked for. */
  readonly body: string;
}

/**
 * Serves the control interface on a port of 127.0.0.1, which it gives, JSON in and out:
 * `GET /queues/{name}`, `GET /queues/{name}/messages` (`?body=base64|sha256`), `POST /queues` (QueueOptions),
 * `POST /queues/{name}/clear`, `PATCH /faults`, `GET /connections`, `POST /drop`, `POST /stop`, `POST /restart`.
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
  return await listenLocally(server);
}

async function act(broker: Broker, request: IncomingMessage): Promise<unknown> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
  const [area, name, what = ''] = pathname.split('/').slice(1).map(decodeURIComponent);
  const body = await text(request);
  const action = `${request.method} ${area}`;
  switch (action) {
    case 'POST queues':
      if (name === undefined) return stateOf(broker.createQueue(JSON.parse(body) as QueueOptions));
      broker.queue(name).clear();
      return stateOf(broker.queue(name));
    case 'GET queues': {
      const queue = broker.queue(name ?? '');
      if (what === '') return stateOf(queue);
      return queue.messages.map((message) => list(message, searchParams.get('body') as BodyForm));
    }
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

function stateOf(queue: BrokerQueue): QueueState {
  const { name, accepted, duplicates, transfers } = queue;
  return {
    name,
    active: queue.count,
    deadLettered: queue.deadLetterQueue?.count ?? 0,
    accepted,
    duplicates,
    transfers,
  };
}

function list(message: QueueMessage, form: BodyForm): ListedMessage {
  const { body, enqueuedTime } = message;
  return {
    ...message,
    enqueuedTime: enqueuedTime.toISOString(),
    sizeBytes: body.length,
    body: form === 'base64' ? body.toString('base64') : createHash('sha256').update(body).digest('hex'),
  };
}

function withoutNulls(faults: Partial<BrokerFaults>): Partial<BrokerFaults> {
  return Object.fromEntries(Object.entries(faults).map(([name, value]) => [name, value ?? undefined]));
}

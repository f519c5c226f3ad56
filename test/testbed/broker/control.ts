import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
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

/** How a listed message's body is given: its bytes in base64, only their SHA-256 in hex, or only their number. */
export type BodyForm = 'base64' | 'sha256' | 'none';

/** A message in the control interface's lists. */
export interface ListedMessage {
  readonly sequenceNumber: number;
  readonly enqueuedTime: string;
  readonly messageId: string | undefined;
  readonly correlationId: string | undefined;
  readonly subject: string | undefined;
  readonly contentType: string | undefined;
  readonly sessionId: string | undefined;
  readonly applicationProperties: Readonly<Record<string, unknown>>;
  readonly sizeBytes: number;
  /** In base64 or hex, as asked for. */
  readonly body?: string;
}

/**
 * Serves the control interface on a port of 127.0.0.1, JSON in and out:
 * `GET /queues/{name}`, `GET /queues/{name}/messages` and `/deadletters` (`?body=base64|sha256|none`),
 * `POST /queues` (QueueOptions), `POST /queues/{name}/clear`, `PATCH /queues/{name}` (`{disabled}`),
 * `GET` and `PATCH /faults`, `GET /connections`, `POST /drop`, `POST /stop`, `POST /restart`.
 */
export async function serveControl(broker: Broker, port: number): Promise<Server> {
  const server = createServer((request, response) => {
    answer(broker, request, response).catch((error: unknown) => {
      send(response, 400, { error: error instanceof Error ? error.message : 'failed' });
    });
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

async function answer(broker: Broker, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const [area, name, what] = url.pathname.split('/').slice(1).map(decodeURIComponent);
  const body = await readJson(request);
  send(response, 200, await act(broker, { method: request.method ?? 'GET', area, name, what, url, body }));
}

interface Call {
  readonly method: string;
  readonly area: string | undefined;
  readonly name: string | undefined;
  readonly what: string | undefined;
  readonly url: URL;
  readonly body: unknown;
}

async function act(broker: Broker, call: Call): Promise<unknown> {
  if (call.area === 'queues') return actOnQueue(broker, call);
  switch (`${call.method} ${call.area}`) {
    case 'GET connections':
      return broker.connections;
    case 'PATCH faults':
      // `dropOnTransfer: null` is JSON's way to say undefined.
      Object.assign(broker.faults, withoutNulls(call.body as Partial<BrokerFaults>));
      return broker.faults;
    case 'GET faults':
      return broker.faults;
    case 'POST drop':
      broker.dropConnections();
      return {};
    case 'POST stop':
      await broker.stop();
      return {};
    case 'POST restart':
      await broker.restart();
      return {};
    default:
      throw new Error(`There is no ${call.method} ${call.url.pathname}.`);
  }
}

function actOnQueue(broker: Broker, call: Call): unknown {
  if (call.name === undefined) return stateOf(broker.createQueue(call.body as QueueOptions));
  const queue = broker.queue(call.name);
  const form = (call.url.searchParams.get('body') ?? 'base64') as BodyForm;
  switch (`${call.method} ${call.what ?? ''}`) {
    case 'GET messages':
      return { messages: queue.messages.map((message) => list(message, form)) };
    case 'GET deadletters':
      return { messages: queue.deadLettered.map((message) => list(message, form)) };
    case 'POST clear':
      queue.clear();
      return stateOf(queue);
    case 'PATCH ':
      queue.disabled = (call.body as { disabled: boolean }).disabled;
      return stateOf(queue);
    default:
      return stateOf(queue);
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
  const { body } = message;
  const shown =
    form === 'none'
      ? {}
      : {
          body: form === 'base64' ? body.toString('base64') : createHash('sha256').update(body).digest('hex'),
        };
  return {
    sequenceNumber: message.sequenceNumber,
    enqueuedTime: message.enqueuedTime.toISOString(),
    messageId: message.messageId,
    correlationId: message.correlationId,
    subject: message.subject,
    contentType: message.contentType,
    sessionId: message.sessionId,
    applicationProperties: message.applicationProperties,
    sizeBytes: body.length,
    ...shown,
  };
}

function withoutNulls(faults: Partial<BrokerFaults>): Partial<BrokerFaults> {
  return Object.fromEntries(Object.entries(faults).map(([name, value]) => [name, value ?? undefined]));
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  return text === '' ? {} : JSON.parse(text);
}

function send(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

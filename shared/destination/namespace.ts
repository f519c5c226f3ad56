import { ServiceBusClient, type ServiceBusMessage, type ServiceBusSender } from '@azure/service-bus';
import { Failure } from '../failure/failure.ts';
import type { MessageHead } from '../message/message.ts';
import type { ServiceBusSettings } from '../settings/account.ts';
import type { GetCredential } from '../storage/access.ts';
import { inTime, withDeadline } from '../wait/deadline.ts';
import { TryTimedOut, toDeliveryProblem } from './serviceBusFailure.ts';
import {
  endSocket,
  heardAndNotAsked,
  LinkWatch,
  sendWithoutDelay,
  withAmqpTypes,
} from './serviceBusInside.ts';

/** Standard tier's limit, for a link that states none. */
const unstatedLimitBytes = 262_144;
const closeTimeoutMs = 3_000;

/** A message whose body is in memory. */
export interface ReadMessage extends MessageHead {
  readonly body: Buffer;
}

/** One AMQP connection, and how it has fared. */
interface Connection {
  readonly client: Promise<ServiceBusClient>;
  /** Those that are being opened too: it is closed with the last of them. */
  links: number;
  /** When a link was opened or a message accepted on it last, of `performance.now()`. */
  lastGoodAtMs: number;
}

/**
 * The Service Bus namespace, with one AMQP connection for all its queues, opened at the first link and closed with the
 * last. A new one takes its place only when a link on it was lost and nothing else on it has done well since; the links
 * that are on the old one stay until they are lost too.
 */
export class Namespace {
  /** The namespace's host, for sentences; never the key. */
  readonly host: string;
  readonly #access: ServiceBusSettings;
  readonly #getCredential: GetCredential;
  readonly #longestTryMs: number;
  #current: Connection | undefined;

  /** `longestTryMs`: what the SDK's own time-out must not cut short. */
  constructor(access: ServiceBusSettings, getCredential: GetCredential, longestTryMs: number) {
    this.host = hostOf(access);
    this.#access = access;
    this.#getCredential = getCredential;
    this.#longestTryMs = longestTryMs;
  }

  /**
   * Opens a sender link, which proves that the queue is there and may be sent to. One try, ending after
   * `tryTimeoutMs` or with `stop`; rejects with what the SDK throws, or `TryTimedOut`.
   */
  async openLink(queueName: string, tryTimeoutMs: number, stop: AbortSignal): Promise<QueueLink> {
    const startedAtMs = performance.now();
    this.#current ??= this.#connect();
    const connection = this.#current;
    connection.links += 1;
    let sender: ServiceBusSender | undefined;
    try {
      const opening = createSender(await connection.client, queueName);
      sender = opening;
      const batch = await inTime(
        tryTimeoutMs,
        (signal) => opening.createMessageBatch({ abortSignal: heardAndNotAsked(signal) }),
        () => new TryTimedOut(),
        stop,
      );
      connection.lastGoodAtMs = performance.now();
      const maxMessageBytes = batch.maxSizeInBytes > 0 ? batch.maxSizeInBytes : unstatedLimitBytes;
      return new QueueLink(opening, maxMessageBytes, {
        accepted: () => {
          connection.lastGoodAtMs = performance.now();
        },
        closed: (failedSinceMs) => this.#leave(connection, failedSinceMs),
      });
    } catch (error) {
      // The client keeps every sender that is not closed, and a late answer would open it.
      if (sender) void endInTime(sender.close());
      // A refusal came over the connection, which therefore works.
      const isRefusal = toDeliveryProblem(error, { queueName, namespace: this.host }).retry === 'no';
      this.#leave(connection, isRefusal ? undefined : startedAtMs);
      throw error;
    }
  }

  #connect(): Connection {
    sendWithoutDelay();
    const client = createClient(this.#access, this.#getCredential, this.#longestTryMs);
    return { client, links: 0, lastGoodAtMs: 0 };
  }

  #leave(connection: Connection, failedSinceMs: number | undefined): void {
    connection.links -= 1;
    const isDoubtful = failedSinceMs !== undefined && connection.lastGoodAtMs <= failedSinceMs;
    if (connection.links > 0 && !isDoubtful) return;
    if (this.#current === connection) this.#current = undefined;
    if (connection.links === 0) void connection.client.then(closeClient, () => undefined);
  }
}

interface LinkEvents {
  accepted(): void;
  /** `failedSinceMs`, of `performance.now()`: the link was lost, and nothing was accepted on it since then. */
  closed(failedSinceMs: number | undefined): void;
}

/** One sender link. Once a call failed for the connection's sake, open another. */
export class QueueLink {
  /** The link's max-message-size. */
  readonly maxMessageBytes: number;
  readonly #sender: ServiceBusSender;
  readonly #watch: LinkWatch;
  readonly #events: LinkEvents;
  readonly #sends = new Set<Promise<void>>();

  constructor(sender: ServiceBusSender, maxMessageBytes: number, events: LinkEvents) {
    this.maxMessageBytes = maxMessageBytes;
    this.#sender = sender;
    this.#watch = new LinkWatch((signal) => sender.createMessageBatch({ abortSignal: signal }));
    this.#events = events;
  }

  async isOpen(): Promise<boolean> {
    return await this.#watch.isOpen();
  }

  /** Sends one message, or several as one batch; rejects with what the SDK throws. */
  async send(messages: readonly ReadMessage[], signal: AbortSignal): Promise<void> {
    const sending = this.#watch.guard(() => send(this.#sender, messages, signal));
    this.#sends.add(sending);
    await sending.finally(() => this.#sends.delete(sending));
    this.#events.accepted();
  }

  /** Closes it when all that was sent over it has its answer: what is accepted is not to be sent again. */
  async retire(): Promise<void> {
    while (this.#sends.size > 0) await Promise.allSettled(this.#sends);
    await this.close();
  }

  /**
   * Sends still in flight reject with `lost.because`, and the connection is held against it where nothing else
   * on it did well since `lost.sinceMs` (of `performance.now()`). Ends in `closeTimeoutMs` and never rejects.
   */
  async close(lost?: { readonly because: unknown; readonly sinceMs: number }): Promise<void> {
    this.#watch.stop(lost?.because);
    const closing = endInTime(this.#sender.close());
    if (lost === undefined) await closing;
    this.#events.closed(lost?.sinceMs);
  }
}

function hostOf(access: ServiceBusSettings): string {
  if (access.kind === 'identity') return access.fullyQualifiedNamespace;
  return /(?:^|;)\s*Endpoint\s*=\s*sb:\/\/([^/;]+)/i.exec(access.connectionString)?.[1] ?? 'unknown';
}

async function createClient(
  access: ServiceBusSettings,
  getCredential: GetCredential,
  longestTryMs: number,
): Promise<ServiceBusClient> {
  // The SDK's own retries are off: they take too long, skip refused connections, and hide their errors.
  const options = {
    retryOptions: { maxRetries: 0, timeoutInMs: longestTryMs },
    ...(access.transport === 'webSockets'
      ? { webSocketOptions: (await import('./webSocket.ts')).webSocketTo(hostOf(access)) }
      : {}),
  };
  if (access.kind === 'identity') {
    const credential = await getCredential(access.identity);
    return new ServiceBusClient(access.fullyQualifiedNamespace, credential, options);
  }
  try {
    return new ServiceBusClient(access.connectionString, options);
  } catch (error) {
    throw new Failure(
      'setting',
      'The app setting ServiceBusConnection is not a Service Bus connection string. Copy it from the namespace (Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…).',
      error,
    );
  }
}

function createSender(client: ServiceBusClient, queueName: string): ServiceBusSender {
  try {
    return client.createSender(queueName);
  } catch (error) {
    throw new Failure(
      'queue',
      `ServiceBusConnection is for another queue than ${queueName} (EntityPath). Take a connection string of the namespace, or correct queueName.`,
      error,
    );
  }
}

async function send(
  sender: ServiceBusSender,
  messages: readonly ReadMessage[],
  signal: AbortSignal,
): Promise<void> {
  const [first, ...others] = messages.map((message) => ({ ...toSdkHead(message), body: message.body }));
  if (first === undefined) return;
  // Alone it is encoded once, and weighs less than as a batch of one.
  if (others.length === 0) return await sender.sendMessages(first, { abortSignal: signal });
  const batch = await sender.createMessageBatch({ abortSignal: signal });
  for (const message of [first, ...others]) {
    if (!batch.tryAddMessage(message)) {
      throw Object.assign(new Error('The batch is too large.'), { code: 'MessageSizeExceeded' });
    }
  }
  await sender.sendMessages(batch, { abortSignal: signal });
}

/** The head as the SDK takes it, with its numbers in their AMQP types. */
export function toSdkHead(head: MessageHead): Omit<ServiceBusMessage, 'body'> {
  return {
    messageId: head.messageId,
    correlationId: head.correlationId,
    subject: head.subject,
    contentType: head.contentType,
    ...(head.sessionId === undefined ? {} : { sessionId: head.sessionId }),
    applicationProperties: withAmqpTypes(head.applicationProperties),
  };
}

async function closeClient(client: ServiceBusClient): Promise<void> {
  await endInTime(client.close());
  endSocket(client);
}

/** Waits for the other side, which may be gone, but not for long. Never rejects. */
async function endInTime(closing: Promise<void>): Promise<void> {
  await withDeadline(closing, closeTimeoutMs, () => new TryTimedOut()).catch(() => undefined);
}

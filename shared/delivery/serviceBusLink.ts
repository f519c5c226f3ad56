import { ServiceBusClient, type ServiceBusMessage, type ServiceBusSender } from '@azure/service-bus';
import { types } from 'rhea-promise';
import { Failure } from '../failure/failure.ts';
import type { ServiceBusSettings } from '../settings/account.ts';
import type { GetCredential } from '../storage/access.ts';
import { encodeLeanly } from './amqpWriter.ts';
import type { MessageHead, OutboundMessage } from './destination.ts';
import { inTime } from './endpointRetry.ts';
import { LinkWatch } from './linkWatch.ts';
import { amqpNumberTypes } from './message.ts';
import { sendWithoutDelay } from './noDelay.ts';

/** How Service Bus is reached: the app setting ServiceBusConnection in one of its two forms. */
export type ServiceBusAccess = ServiceBusSettings;

/** One AMQP connection with one sender link on it. Once a call failed for the connection's sake, open another. */
export interface QueueLink {
  /** The link's max-message-size. */
  readonly maxMessageBytes: number;
  /** Sends one message, or several as one batch; rejects with what the SDK throws. */
  send(messages: readonly OutboundMessage[], signal: AbortSignal): Promise<void>;
  /** Sends still in flight reject with `because`. Ends in `closeTimeoutMs` and never rejects. */
  close(because?: unknown): Promise<void>;
}

/** Standard tier's limit, for a link that states none. */
const unstatedLimitBytes = 262_144;
const closeTimeoutMs = 3_000;

/**
 * Connects and opens the sender link, which proves that the queue is there and may be sent to. One try,
 * ending after `tryTimeoutMs`; rejects with what the SDK throws, or `TryTimedOut`.
 */
export async function openQueueLink(
  access: ServiceBusAccess,
  getCredential: GetCredential,
  queueName: string,
  tryTimeoutMs: number,
): Promise<QueueLink> {
  sendWithoutDelay();
  encodeLeanly();
  const client = await createClient(access, getCredential, tryTimeoutMs);
  try {
    const sender = createSender(client, queueName);
    const batch = await inTime(tryTimeoutMs, (signal) => sender.createMessageBatch({ abortSignal: signal }));
    return new SdkQueueLink(client, sender, batch.maxSizeInBytes);
  } catch (error) {
    void closeClient(client);
    throw error;
  }
}

class SdkQueueLink implements QueueLink {
  readonly maxMessageBytes: number;
  readonly #client: ServiceBusClient;
  readonly #sender: ServiceBusSender;
  readonly #watch: LinkWatch;

  constructor(client: ServiceBusClient, sender: ServiceBusSender, maxMessageBytes: number) {
    this.maxMessageBytes = maxMessageBytes > 0 ? maxMessageBytes : unstatedLimitBytes;
    this.#client = client;
    this.#sender = sender;
    this.#watch = new LinkWatch((signal) => sender.createMessageBatch({ abortSignal: signal }));
  }

  async send(messages: readonly OutboundMessage[], signal: AbortSignal): Promise<void> {
    await this.#watch.guard(() => send(this.#sender, messages, signal));
  }

  async close(because?: unknown): Promise<void> {
    this.#watch.stop(because);
    await closeClient(this.#client);
  }
}

/** The namespace's host, for sentences; never the key. */
export function namespaceOf(access: ServiceBusAccess): string {
  if (access.kind === 'identity') return access.fullyQualifiedNamespace;
  return /(?:^|;)\s*Endpoint\s*=\s*sb:\/\/([^/;]+)/i.exec(access.connectionString)?.[1] ?? 'unknown';
}

async function createClient(
  access: ServiceBusAccess,
  getCredential: GetCredential,
  tryTimeoutMs: number,
): Promise<ServiceBusClient> {
  // The SDK's own retries are off: they take too long, skip refused connections, and hide their errors.
  const options = { retryOptions: { maxRetries: 0, timeoutInMs: tryTimeoutMs } };
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
  messages: readonly OutboundMessage[],
  signal: AbortSignal,
): Promise<void> {
  const [first, second] = messages;
  if (first === undefined) return;
  // Alone it is encoded once, and weighs less than as a batch of one.
  if (second === undefined) return await sender.sendMessages(toSdkMessage(first), { abortSignal: signal });
  const batch = await sender.createMessageBatch({ abortSignal: signal });
  for (const message of messages) {
    if (!batch.tryAddMessage(toSdkMessage(message))) {
      throw Object.assign(new Error('The batch is too large.'), { code: 'MessageSizeExceeded' });
    }
  }
  await sender.sendMessages(batch, { abortSignal: signal });
}

function toSdkMessage(message: OutboundMessage): ServiceBusMessage {
  return { ...toSdkHead(message), body: message.body };
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

/**
 * Gives each number its AMQP type; the SDK's encoder, rhea, would choose one by the value. Numbers that the table
 * doesn't name are long.
 */
function withAmqpTypes(
  properties: MessageHead['applicationProperties'],
): NonNullable<ServiceBusMessage['applicationProperties']> {
  const typed = Object.entries(properties).map(([name, value]) => {
    if (typeof value === 'string') return [name, value] as const;
    const wrapped = amqpNumberTypes[name] === 'int' ? types.wrap_int(value) : types.wrap_long(value);
    // The SDK hands the properties to rhea as they are, but its typings know none of rhea's types.
    return [name, wrapped as unknown as number] as const;
  });
  return Object.fromEntries(typed);
}

async function closeClient(client: ServiceBusClient): Promise<void> {
  await inTime(closeTimeoutMs, () => client.close()).catch(() => undefined);
}

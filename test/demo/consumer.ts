import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { ServiceBusClient, type ServiceBusReceivedMessage } from '@azure/service-bus';
import { BlobServiceClient } from '@azure/storage-blob';

/** A message as a consumer sees it, its bytes taken from blob storage where it says so. */
export interface ReceivedMessage {
  readonly receivedAt: Date;
  readonly connection: string;
  /** `body`, `attachment` or `raw`. */
  readonly kind: string;
  readonly fileName: string;
  readonly contentType: string;
  readonly sizeBytes: number;
  readonly bytes: Buffer;
  /** The message without its body, for JSON. */
  readonly properties: Readonly<Record<string, unknown>>;
  readonly subject: string;
  /** Container and blob of a message whose bytes did not fit into it. */
  readonly claimCheck: string | undefined;
  /** Whether size and SHA-256 of the bytes are what the message says. */
  readonly intact: boolean;
}

export interface Consumer {
  /** Received since the start. */
  readonly count: number;
  /** Those of them whose bytes are not what the message says. */
  readonly damaged: number;
  /** Resolves when there are that many, or with false after `timeoutMs`. */
  received(count: number, timeoutMs: number): Promise<boolean>;
  stop(): Promise<void>;
}

export interface ConsumerOptions {
  readonly serviceBusConnectionString: string;
  readonly storageConnectionString: string;
  readonly queueName: string;
  readonly onMessage: (message: ReceivedMessage) => void;
  /** Called once for each failure, with one sentence. */
  readonly onError: (sentence: string) => void;
}

/** Leaves the messages to somebody else. */
export const noConsumer: Consumer = {
  count: 0,
  damaged: 0,
  received: () => Promise.resolve(false),
  stop: () => Promise.resolve(),
};

/** Takes messages off the queue as any consumer would: peek-lock, checked, completed. */
export function startConsumer(options: ConsumerOptions): Consumer {
  const client = new ServiceBusClient(options.serviceBusConnectionString);
  const blobs = BlobServiceClient.fromConnectionString(options.storageConnectionString);
  // Else a text that happens to be JSON would come as what it says, and not as its bytes.
  const receiver = client.createReceiver(options.queueName, { skipParsingBodyAsJson: true });
  let count = 0;
  let damaged = 0;
  const subscription = receiver.subscribe(
    {
      processMessage: async (message) => {
        const seen = await look(message, blobs);
        options.onMessage(seen);
        count += 1;
        if (!seen.intact) damaged += 1;
      },
      processError: async ({ error }) => options.onError(`Receiving failed: ${error.message}`),
    },
    { autoCompleteMessages: true, maxConcurrentCalls: 1 },
  );
  return {
    get count() {
      return count;
    },
    get damaged() {
      return damaged;
    },
    received: async (wanted, timeoutMs) => {
      const giveUpAtMs = performance.now() + timeoutMs;
      while (count < wanted && performance.now() < giveUpAtMs) await delay(5);
      return count >= wanted;
    },
    stop: async () => {
      await subscription.close();
      await client.close();
    },
  };
}

async function look(message: ServiceBusReceivedMessage, blobs: BlobServiceClient): Promise<ReceivedMessage> {
  const properties = message.applicationProperties ?? {};
  const text = (name: string) => (properties[name] === undefined ? '' : String(properties[name]));
  const claimCheck = properties.claimCheck === undefined ? undefined : text('claimCheck');
  const bytes = claimCheck === undefined ? bodyOf(message) : await readBlob(blobs, claimCheck);
  return {
    receivedAt: new Date(),
    connection: text('connection'),
    kind: message.subject ?? '',
    fileName: text('inboundFileName'),
    contentType: message.contentType ?? '',
    sizeBytes: bytes.length,
    bytes,
    properties: propertiesOf(message),
    subject: text('emailSubject'),
    claimCheck,
    intact:
      properties.size === bytes.length &&
      properties.sha256 === createHash('sha256').update(bytes).digest('hex'),
  };
}

function propertiesOf(message: ServiceBusReceivedMessage): Record<string, unknown> {
  const { messageId, correlationId, sessionId, subject, contentType, enqueuedTimeUtc } = message;
  return {
    messageId,
    correlationId,
    sessionId,
    subject,
    contentType,
    enqueuedTimeUtc,
    applicationProperties: message.applicationProperties,
  };
}

function bodyOf({ body }: ServiceBusReceivedMessage): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.from(body ?? '');
}

async function readBlob(blobs: BlobServiceClient, claimCheck: string): Promise<Buffer> {
  const slash = claimCheck.indexOf('/');
  const container = blobs.getContainerClient(claimCheck.slice(0, slash));
  return container.getBlobClient(claimCheck.slice(slash + 1)).downloadToBuffer();
}

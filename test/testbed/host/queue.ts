import { setTimeout as delay } from 'node:timers/promises';
import { type DequeuedMessageItem, QueueServiceClient } from '@azure/storage-queue';
import type { InvocationRequest } from './coreTypes.ts';
import type { HostConfig } from './hostConfig.ts';

export interface QueueTally {
  readonly succeeded: number;
  /** Runs that threw; a message may have several. */
  readonly failed: number;
  readonly poisoned: number;
}

export interface QueueTrigger {
  /** Takes one batch and works it off. Gives how many messages it took. */
  runOnce(): Promise<number>;
  /** Works messages off until none is visible and none is in work. */
  drain(): Promise<QueueTally>;
  /** Polls until `stop`, as the Functions host does, backing off while the queue is empty. */
  start(): void;
  /** Takes no more messages; resolves when those in work are done. */
  stop(): Promise<void>;
}

export interface QueueTriggerOptions {
  readonly connectionString: string;
  readonly queueName: string;
  readonly config: HostConfig;
  readonly run: (request: InvocationRequest) => Promise<void>;
  readonly bindingName: string;
  readonly warn: (message: string) => void;
}

/** How long the Functions host hides a message that it works on, and half of which it renews at. */
const visibilitySeconds = 600;
const idleMs = { first: 50, most: 500 };

/**
 * A storage queue trigger: batches, base64, visibility with renewal, and the poison queue after
 * `maxDequeueCount` failures. Its idle back-off is shorter than the real host's (100 ms to a minute).
 */
export function makeQueueTrigger(options: QueueTriggerOptions): QueueTrigger {
  const { config } = options;
  const service = QueueServiceClient.fromConnectionString(options.connectionString);
  const queue = service.getQueueClient(options.queueName);
  const inWork = new Set<Promise<void>>();
  const tally = { succeeded: 0, failed: 0, poisoned: 0 };
  let listening: Promise<void> | undefined;
  let stopping: AbortController | undefined;

  const poison = async (message: DequeuedMessageItem): Promise<void> => {
    const poisonQueue = service.getQueueClient(`${options.queueName}-poison`);
    await poisonQueue.createIfNotExists();
    // As the real host leaves it: for as long as a queue keeps by default, seven days.
    await poisonQueue.sendMessage(message.messageText);
    await queue.deleteMessage(message.messageId, message.popReceipt);
    tally.poisoned += 1;
    options.warn(`Message ${message.messageId} moved to ${options.queueName}-poison.`);
  };

  const work = async (message: DequeuedMessageItem): Promise<void> => {
    const text = decode(message.messageText);
    if (text === undefined) return poison(message);
    let { popReceipt } = message;
    let renewing = Promise.resolve();
    const renewal = setInterval(() => {
      renewing = queue.updateMessage(message.messageId, popReceipt, undefined, visibilitySeconds).then(
        (answer) => {
          popReceipt = answer.popReceipt ?? popReceipt;
        },
        () => options.warn(`The visibility of message ${message.messageId} could not be renewed.`),
      );
    }, visibilitySeconds * 500);
    let succeeded = false;
    try {
      await options.run({ inputData: [{ name: options.bindingName, data: { string: text } }] });
      succeeded = true;
      tally.succeeded += 1;
    } catch {
      // Logged where it ran.
      tally.failed += 1;
    }
    clearInterval(renewal);
    await renewing;
    if (succeeded) await queue.deleteMessage(message.messageId, popReceipt);
    else if (message.dequeueCount >= config.maxDequeueCount) await poison({ ...message, popReceipt });
    else {
      await queue.updateMessage(message.messageId, popReceipt, undefined, config.failedVisibilitySeconds);
    }
  };

  /** Takes up to a batch and sets it to work. */
  const take = async (): Promise<number> => {
    const messages = await receive(queue, config.batchSize);
    for (const message of messages) {
      const working: Promise<void> = work(message)
        // Gone meanwhile (its time to live has passed) or storage is away: it comes again or it doesn't.
        .catch(() => options.warn(`Message ${message.messageId} could not be settled.`))
        .finally(() => inWork.delete(working));
      inWork.add(working);
    }
    return messages.length;
  };
  const untilRoom = async (room: number): Promise<void> => {
    while (inWork.size > room) await Promise.race(inWork);
  };

  const listen = async (signal: AbortSignal): Promise<void> => {
    let waitMs = idleMs.first;
    while (!signal.aborted) {
      await untilRoom(config.newBatchThreshold);
      if (signal.aborted) break;
      const taken = await take().catch(() => 0);
      waitMs = taken > 0 ? idleMs.first : Math.min(waitMs * 2, idleMs.most);
      if (taken === 0) await delay(waitMs, undefined, { signal }).catch(() => undefined);
    }
    await untilRoom(0);
  };

  return {
    runOnce: async () => {
      const taken = await take();
      await untilRoom(0);
      return taken;
    },
    drain: async () => {
      const before = { ...tally };
      for (;;) {
        await untilRoom(config.newBatchThreshold);
        if ((await take()) > 0) continue;
        if (inWork.size === 0) break;
        // What is in work may fail and be visible again, or put new messages: then look once more.
        await untilRoom(0);
      }
      return {
        succeeded: tally.succeeded - before.succeeded,
        failed: tally.failed - before.failed,
        poisoned: tally.poisoned - before.poisoned,
      };
    },
    start: () => {
      if (listening !== undefined) return;
      stopping = new AbortController();
      listening = listen(stopping.signal);
    },
    stop: async () => {
      stopping?.abort();
      await listening;
      listening = undefined;
    },
  };
}

async function receive(
  queue: ReturnType<QueueServiceClient['getQueueClient']>,
  numberOfMessages: number,
): Promise<DequeuedMessageItem[]> {
  try {
    const answer = await queue.receiveMessages({ numberOfMessages, visibilityTimeout: visibilitySeconds });
    return answer.receivedMessageItems;
  } catch (error) {
    // The app makes the queue when it first puts a message.
    if (error instanceof Error && 'statusCode' in error && error.statusCode === 404) return [];
    throw error;
  }
}

/** The message's text, or undefined when it is not base64 though it should be. */
function decode(text: string): string | undefined {
  const isBase64 = text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
  return isBase64 ? Buffer.from(text, 'base64').toString('utf8') : undefined;
}

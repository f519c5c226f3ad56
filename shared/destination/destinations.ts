import type { ServiceBusSettings } from '../settings/account.ts';
import type { GetCredential } from '../storage/access.ts';
import { wireMs } from '../wait/deadline.ts';
import type { Destinations } from './destination.ts';
import { defaultRetryLimits, type RetryLimits } from './endpointRetry.ts';
import { Namespace } from './namespace.ts';
import { LinkedSender, maxBytesInFlight } from './queueSender.ts';

export interface DestinationOptions {
  readonly getCredential: GetCredential;
  /** EMAIL_MAX_MESSAGE_BYTES: lowers what the link allows, never raises it. */
  readonly maxMessageBytes: number;
  readonly retry?: RetryLimits;
  /** A link that nothing is asked of for so long is closed; the service itself would detach it after ten minutes. */
  readonly idleMs?: number;
}

const defaultIdleMs = 8 * 60_000;

/** Makes the destinations of one process, on the Service Bus SDK. Nothing is opened before the first is asked for. */
export function createDestinations(access: ServiceBusSettings, options: DestinationOptions): Destinations {
  const { idleMs = defaultIdleMs, retry = defaultRetryLimits, maxMessageBytes } = options;
  const longestTryMs = retry.tryMs + wireMs(Math.max(maxBytesInFlight, maxMessageBytes));
  const namespace = new Namespace(access, options.getCredential, longestTryMs);
  const senders = new Map<string, LinkedSender>();
  let sweep: NodeJS.Timeout | undefined;

  const closeIdle = (): void => {
    for (const sender of senders.values()) if (sender.idleMs >= idleMs) void sender.closeLink();
  };

  return {
    async open(queueName) {
      const sender = senders.get(queueName) ?? new LinkedSender(namespace, queueName, retry, maxMessageBytes);
      senders.set(queueName, sender);
      sweep ??= setInterval(closeIdle, idleMs / 4).unref();
      await sender.open();
      return sender;
    },
    async close() {
      clearInterval(sweep);
      sweep = undefined;
      const all = [...senders.values()];
      senders.clear();
      await Promise.all(all.map((sender) => sender.close()));
    },
  };
}

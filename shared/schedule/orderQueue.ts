import type { QueueClient } from '@azure/storage-queue';
import { isStorableKey } from '../connection/columns.ts';
import type { ConnectionKey } from '../connection/connectionStore.ts';
import { isObject, parseObject } from '../json/json.ts';
import { withMade } from '../storage/firstUse.ts';
import { failing } from '../storage/storageFailure.ts';

/** A backlog must never hold a connection much more than once: the next tick orders anew. */
const orderLifetimeSeconds = 60;

/** The storage queue `email-polls`. Rejections are `Failure`s of reason `storage`. */
export type OrderQueue = ReturnType<typeof orderQueueOn>;

export function orderQueueOn(queue: QueueClient) {
  return {
    /** Puts an order to poll, encoded as the Functions host expects by default. */
    async put({ customer, connection }: ConnectionKey): Promise<void> {
      const text = Buffer.from(JSON.stringify({ customer, connection })).toString('base64');
      const put = () => queue.sendMessage(text, { messageTimeToLive: orderLifetimeSeconds });
      await withMade(queue, put).catch(failing('putting an order on the queue email-polls'));
    },
    /** Makes the queue where it is missing. */
    async make(): Promise<void> {
      await queue.createIfNotExists().catch(failing('making the queue email-polls'));
    },
  };
}

/**
 * The connection that an order names, as the host hands it over: JSON, parsed already or as text, with a byte
 * order mark, or still in base64 where an app setting has changed the host's `messageEncoding`. Undefined for
 * anything else.
 */
export function readOrder(order: unknown): ConnectionKey | undefined {
  const read =
    typeof order === 'string'
      ? (parseObject(order) ?? parseObject(Buffer.from(order, 'base64').toString()))
      : order;
  const { customer, connection } = isObject(read) ? read : {};
  if (typeof customer !== 'string' || typeof connection !== 'string') return undefined;
  return isKey(customer) && isKey(connection) ? { customer, connection } : undefined;
}

/** A lone surrogate would be another character once it is sent. */
function isKey(text: string): boolean {
  return isStorableKey(text) && text.isWellFormed();
}

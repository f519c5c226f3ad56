import type { QueueClient } from '@azure/storage-queue';
import { withQueue } from '../storage/queues.ts';
import { storageFailure } from '../storage/storageFailure.ts';
import type { PutOrder } from './schedulePolls.ts';

/** A backlog must never hold a connection much more than once: the next tick orders anew. */
const orderLifetimeSeconds = 60;

/** Orders on the storage queue `email-polls`, encoded as the Functions host expects by default. */
export function ordersOn(queue: QueueClient): PutOrder {
  return async ({ customer, connection }) => {
    const text = Buffer.from(JSON.stringify({ customer, connection })).toString('base64');
    try {
      await withQueue(queue, () => queue.sendMessage(text, { messageTimeToLive: orderLifetimeSeconds }));
    } catch (error) {
      throw storageFailure(error, 'putting an order on the queue email-polls');
    }
  };
}

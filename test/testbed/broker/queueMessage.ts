import type { StoredMessage } from './queue.ts';
import { decodeContent, type MessageContent } from './wireMessage.ts';

/** A message on the queue, decoded. */
export interface QueueMessage
  extends MessageContent,
    Pick<StoredMessage, 'sequenceNumber' | 'enqueuedTime' | 'deliveryCount' | 'state'> {}

/** Shows a stored message. */
export function inspect({
  sequenceNumber,
  enqueuedTime,
  deliveryCount,
  state,
  raw,
}: StoredMessage): QueueMessage {
  return { sequenceNumber, enqueuedTime, deliveryCount, state, ...decodeContent(raw) };
}

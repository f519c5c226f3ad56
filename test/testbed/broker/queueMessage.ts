import type { MessageState, StoredMessage } from './queue.ts';
import { decodeContent, type MessageContent } from './wireMessage.ts';

/** A message on the queue, decoded when looked at. */
export interface QueueMessage extends MessageContent {
  readonly sequenceNumber: number;
  readonly enqueuedTime: Date;
  readonly deliveryCount: number;
  readonly state: MessageState;
}

/** Shows a stored message; its bytes are decoded at the first look at a part of it. */
export function inspect(message: StoredMessage): QueueMessage {
  let content: MessageContent | undefined;
  const decoded = () => {
    content ??= decodeContent(message.raw);
    return content;
  };
  return {
    sequenceNumber: message.sequenceNumber,
    enqueuedTime: message.enqueuedTime,
    deliveryCount: message.deliveryCount,
    state: message.state,
    messageId: message.messageId,
    sessionId: message.sessionId,
    get body() {
      return decoded().body;
    },
    get correlationId() {
      return decoded().correlationId;
    },
    get subject() {
      return decoded().subject;
    },
    get contentType() {
      return decoded().contentType;
    },
    get to() {
      return decoded().to;
    },
    get replyTo() {
      return decoded().replyTo;
    },
    get replyToSessionId() {
      return decoded().replyToSessionId;
    },
    get applicationProperties() {
      return decoded().applicationProperties;
    },
  };
}

import type { PartKind } from '../mail/mail.ts';

/** All of a message but its body, so that its weight is known before the body is read. Free of SDK types. */
export interface MessageHead {
  /** Hex SHA-256; the same on every repeat, so a duplicate-detecting queue drops it. */
  readonly messageId: string;
  readonly correlationId: string;
  readonly subject: PartKind;
  /** Printable ASCII, as AMQP wants it. */
  readonly contentType: string;
  readonly sessionId?: string;
  readonly applicationProperties: Readonly<Record<string, string | number>>;
}

/** A message for the queue, built from one part of one mail. */
export interface OutboundMessage extends MessageHead {
  readonly body: Buffer;
}

/**
 * A Service Bus queue, opened. Messages given to `send` share batches, and several sends are in flight.
 * Everything ends within the endpoint retry (a minute).
 */
export interface Destination {
  /** What one message may weigh, properties included, in bytes. */
  readonly maxMessageBytes: number;
  /** Whether the message, encoded with its properties and a body of `bodyBytes`, fits `maxMessageBytes`. */
  fits(head: MessageHead, bodyBytes: number): boolean;
  /**
   * Resolves when Service Bus has accepted the message. Rejects with a `Failure` after the endpoint retry,
   * or at once where a retry can't help; with a `MessageTooLarge` when only this message is at fault.
   */
  send(message: OutboundMessage): Promise<void>;
  /** Ends within seconds and never rejects; what is not accepted by then is rejected. */
  close(): Promise<void>;
}

/** Opens the queue's link, which proves that it can be reached. Rejects with a `Failure` that names it. */
export type OpenDestination = (queueName: string) => Promise<Destination>;

import type { PartKind } from '../mail/mail.ts';

/** A message for the queue, built from one part of one mail. Free of SDK types. */
export interface OutboundMessage {
  /** Hex SHA-256; the same on every repeat, so a duplicate-detecting queue drops it. */
  readonly messageId: string;
  readonly correlationId: string;
  readonly subject: PartKind;
  readonly contentType: string;
  readonly sessionId?: string;
  readonly body: Buffer;
  readonly applicationProperties: Readonly<Record<string, string | number>>;
}

/**
 * A Service Bus queue, opened. Messages given to `send` share batches, and several sends are in flight.
 * Everything ends within the endpoint retry (a minute).
 */
export interface Destination {
  /** What one message may weigh, properties included, in bytes. */
  readonly maxMessageBytes: number;
  /** Whether the message fits `maxMessageBytes`, encoded, with its properties. */
  fits(message: OutboundMessage): boolean;
  /** Resolves when Service Bus has accepted the message; rejects with a `Failure` after the endpoint retry. */
  send(message: OutboundMessage): Promise<void>;
  /** Never rejects. */
  close(): Promise<void>;
}

/** Opens the queue's link, which proves that it can be reached. Rejects with a `Failure` that names it. */
export type OpenDestination = (queueName: string) => Promise<Destination>;

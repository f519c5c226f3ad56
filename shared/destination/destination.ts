import { Failure } from '../failure/failure.ts';
import type { MessageHead } from '../message/message.ts';

/** A message for the queue, built from one part of one mail. */
export interface OutboundMessage extends MessageHead {
  readonly body: Buffer | UnreadBody;
}

/** Bytes that come into memory when the message goes to the wire, and not while it waits for its turn. */
export interface UnreadBody {
  readonly length: number;
  read(): Promise<Buffer>;
}

/** The bytes of a message, wherever they are. */
export async function readBody(body: OutboundMessage['body']): Promise<Buffer> {
  return Buffer.isBuffer(body) ? body : await body.read();
}

/**
 * Whether whoever sends a message may still do so. Senders are shared by all runs of a process, so each message
 * carries its run's fence: it is asked before the wire gets the message, in a batch or alone, and before each repeat.
 */
export interface Fence {
  mayWrite(): boolean;
}

/**
 * A Service Bus queue or topic, opened. Messages given to `send` share batches, and several sends are in flight.
 * Everything ends within the endpoint retry: a minute, and the time that the bytes need.
 */
export interface QueueSender {
  /** What one message may weigh, properties included, in bytes. */
  readonly maxMessageBytes: number;
  /**
   * Resolves when Service Bus has accepted the message. Rejects with a `Failure` after the endpoint retry,
   * or at once where a retry can't help; with a `MessageRefused` when only this message is at fault, and a
   * `FencedOff` when its fence let it go no further.
   */
  send(message: OutboundMessage, fence: Fence): Promise<void>;
}

/** The namespace's queues and topics, each with one link for the whole process, kept while it is used. */
export interface Destinations {
  /**
   * Gives the queue's sender with a link that is open; opens one, which proves that the queue can be reached,
   * where there is none or the last send failed for the queue's sake. Rejects with a `Failure` that names it.
   */
  open(queueName: string): Promise<QueueSender>;
  /** Ends within seconds and never rejects; what is not accepted by then is rejected. */
  close(): Promise<void>;
}

/** The queue refuses this one message, whatever else is sent there. */
export class MessageRefused extends Failure {}

/** For its size, whatever `fits` said: send it by claim check instead. */
export class MessageTooLarge extends MessageRefused {}

/** The run may no longer send: its lease can have lapsed, or it was told to end. */
export class FencedOff extends Failure {
  constructor() {
    super(
      'storage',
      "The run's lease could not be renewed in time, so this mail was not sent; the next run sends it. Check the storage account.",
    );
  }
}

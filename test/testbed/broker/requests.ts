import type { EventContext, Receiver, Sender } from 'rhea';
import rhea from 'rhea';
import { flipGuid } from './lockToken.ts';
import type { BrokerQueue, StoredMessage } from './queue.ts';
import { isAlive, rawFormat } from './rheaInternals.ts';
import { encodeForDelivery, isRecord } from './wireMessage.ts';

/** A request to `$cbs` or `$management`. */
export interface ServiceRequest {
  readonly body: unknown;
  readonly properties: Readonly<Record<string, unknown>>;
}

/** What is answered; without `body` nothing but the status. */
export interface ServiceAnswer {
  readonly properties: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
}

/**
 * Answers the requests on a link; each answer goes out on the link of the same AMQP session and address.
 * `undefined` from `respond` leaves a request unanswered.
 */
export function serveRequests(
  receiver: Receiver,
  address: string,
  respond: (request: ServiceRequest) => ServiceAnswer | undefined,
): void {
  receiver.set_source({ address: receiver.source?.address ?? '' });
  receiver.set_target({ address });
  receiver.on('message', (context: EventContext) => {
    const { delivery } = context;
    const encoded: unknown = context.message;
    if (delivery === undefined || delivery.format !== rawFormat || !Buffer.isBuffer(encoded)) return;
    if (!isAlive(receiver.connection)) return;
    delivery.accept();
    const request = rhea.message.decode(encoded);
    const properties = isRecord(request.application_properties) ? request.application_properties : {};
    const answer = respond({ body: request.body, properties });
    if (answer === undefined) return;
    const reply = receiver.session.find_sender((link: Sender) => link.source?.address === address);
    reply?.send(
      Buffer.from(
        rhea.message.encode({
          correlation_id: request.message_id,
          application_properties: answer.properties,
          body: answer.body,
        }),
      ),
      undefined,
      0,
    );
  });
}

/** The part of a queue's `$management` node that the SDK uses when it receives and peeks. */
export function manage(queue: BrokerQueue, request: ServiceRequest): ServiceAnswer {
  const body = isRecord(request.body) ? request.body : {};
  switch (request.properties.operation) {
    case 'com.microsoft:renew-lock':
      return renewLocks(queue, body['lock-tokens']);
    case 'com.microsoft:renew-session-lock': {
      const until = queue.renewSession(String(body['session-id']), Date.now());
      return until === undefined
        ? failure(410, 'com.microsoft:session-lock-lost', 'The session is not locked.')
        : success({ expiration: until });
    }
    case 'com.microsoft:peek-message':
      return peek(queue, body);
    case 'com.microsoft:update-disposition':
      return settle(queue, body);
    default:
      return failure(501, 'amqp:not-implemented', `No '${String(request.properties.operation)}' here.`);
  }
}

function renewLocks(queue: BrokerQueue, tokens: unknown): ServiceAnswer {
  const expirations: Date[] = [];
  for (const tag of tagsOf(tokens)) {
    const until = queue.renewLock(tag, Date.now());
    if (until === undefined) return lockLost();
    expirations.push(until);
  }
  return success({ expirations });
}

function peek(queue: BrokerQueue, body: Readonly<Record<string, unknown>>): ServiceAnswer {
  const sessionId = typeof body['session-id'] === 'string' ? body['session-id'] : undefined;
  const found = queue.peek(Number(body['from-sequence-number']), Number(body['message-count']), sessionId);
  if (found.length === 0) return { properties: { statusCode: 204, statusDescription: 'No content' } };
  return success({ messages: found.map((message) => ({ message: encodePeeked(message) })) });
}

function encodePeeked(message: StoredMessage): Buffer {
  return encodeForDelivery(message.raw, message.deliveryCount, {
    'x-opt-sequence-number': message.sequenceNumber,
    'x-opt-enqueued-time': message.enqueuedTime,
  });
}

function settle(queue: BrokerQueue, body: Readonly<Record<string, unknown>>): ServiceAnswer {
  const properties = isRecord(body['properties-to-modify']) ? body['properties-to-modify'] : {};
  const status = body['disposition-status'];
  for (const tag of tagsOf(body['lock-tokens'])) {
    let held = false;
    if (status === 'completed') held = queue.complete(tag);
    else if (status === 'abandoned') held = queue.abandon(tag, properties);
    else if (status === 'suspended') {
      const description = String(body['deadletter-description'] ?? '');
      held = queue.deadLetter(tag, String(body['deadletter-reason'] ?? ''), description);
    }
    if (!held) return lockLost();
  }
  return success(undefined);
}

function tagsOf(tokens: unknown): Buffer[] {
  return Array.isArray(tokens) ? tokens.filter((token) => Buffer.isBuffer(token)).map(flipGuid) : [];
}

function success(body: unknown): ServiceAnswer {
  return { properties: { statusCode: 200, statusDescription: 'OK' }, body };
}

function failure(statusCode: number, errorCondition: string, statusDescription: string): ServiceAnswer {
  return { properties: { statusCode, errorCondition, statusDescription } };
}

function lockLost(): ServiceAnswer {
  return failure(410, 'com.microsoft:message-lock-lost', 'The lock has expired or was never held.');
}

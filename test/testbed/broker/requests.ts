import type { EventContext, Receiver, Sender, Typed } from 'rhea';
import rhea from 'rhea';
import { entryOf, int, plain, symbol, text } from './amqpValues.ts';
import { echoSettleMode, isAlive, rawFormat } from './rheaInternals.ts';
import { isRecord, readValueBody } from './wireMessage.ts';

/** A request to `$cbs` or `$management`. */
export interface ServiceRequest {
  readonly operation: unknown;
  /** The body, bare. */
  readonly body: unknown;
  /** A field of the body, where that is a map, with its AMQP type. */
  typed(field: string): Typed | undefined;
}

/** What is answered: a status as in HTTP, and either what was asked for or what is wrong. */
export type ServiceAnswer =
  | { readonly status: number; readonly description: string; readonly body?: unknown }
  | { readonly status: number; readonly description: string; readonly condition: string };

/**
 * Answers the requests on a link; each answer goes out on the link of the same AMQP session and address.
 * `undefined` from `respond` leaves a request unanswered; what it throws is answered as an internal error.
 */
export function serveRequests(
  receiver: Receiver,
  address: string,
  respond: (request: ServiceRequest) => ServiceAnswer | undefined,
): void {
  receiver.set_source({ address: receiver.source?.address ?? '' });
  receiver.set_target({ address });
  echoSettleMode(receiver);
  receiver.on('message', (context: EventContext) => {
    const { delivery } = context;
    const encoded: unknown = context.message;
    if (delivery === undefined || delivery.format !== rawFormat || !Buffer.isBuffer(encoded)) return;
    if (!isAlive(receiver.connection)) return;
    delivery.accept();
    const request = rhea.message.decode(encoded);
    const answer = respondSafely(respond, encoded, request.application_properties);
    if (answer === undefined) return;
    const reply = replyLink(receiver, address, request.reply_to);
    reply?.send(encodeAnswer(request.message_id, answer), undefined, 0);
  });
}

/** Of several clients' links in one AMQP session the one that the request names. */
function replyLink(receiver: Receiver, address: string, replyTo: string | undefined): Sender | undefined {
  const isForNode = (link: Sender) => link.source?.address === address;
  const isNamed = (link: Sender) => isForNode(link) && link.target?.address === replyTo;
  return receiver.session.find_sender(isNamed) ?? receiver.session.find_sender(isForNode);
}

/** The link that answers go out on. Settled where the client asks for that, as .NET does. */
export function openReplies(sender: Sender, address: string): void {
  sender.set_source({ address });
  sender.set_target({ address: sender.target?.address ?? '' });
  echoSettleMode(sender);
}

function respondSafely(
  respond: (request: ServiceRequest) => ServiceAnswer | undefined,
  encoded: Buffer,
  properties: unknown,
): ServiceAnswer | undefined {
  try {
    const body = readValueBody(encoded);
    return respond({
      operation: isRecord(properties) ? properties.operation : undefined,
      body: plain(body),
      typed: (field) => entryOf(body, field),
    });
  } catch (error) {
    const description = error instanceof Error ? error.message : 'The request failed.';
    return { status: 500, condition: 'amqp:internal-error', description };
  }
}

/** With the names of both nodes: `$cbs` answers with `status-code`, `$management` with `statusCode`. */
function encodeAnswer(requestId: unknown, answer: ServiceAnswer): Buffer {
  const condition = 'condition' in answer ? { errorCondition: symbol(answer.condition) } : {};
  return Buffer.from(
    rhea.message.encode({
      correlation_id: requestId as string,
      application_properties: {
        statusCode: int(answer.status),
        'status-code': int(answer.status),
        statusDescription: text(answer.description),
        'status-description': text(answer.description),
        ...condition,
      },
      body: 'condition' in answer ? undefined : answer.body,
    }),
  );
}

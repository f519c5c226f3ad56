import rhea, { type Typed } from 'rhea';
import {
  describedMap,
  entriesOf,
  entryOf,
  merge,
  plain,
  symbol,
  type TypedEntries,
  text,
  typedValues,
  writeTyped,
} from './amqpValues.ts';

/** One section of an encoded AMQP message (AMQP 1.0, 3.2): its descriptor code, its value and where it lies. */
interface Section {
  readonly code: number;
  readonly value: Typed;
  readonly start: number;
  readonly end: number;
}

const sectionCodes = {
  header: 0x70,
  messageAnnotations: 0x72,
  properties: 0x73,
  applicationProperties: 0x74,
  data: 0x75,
  value: 0x77,
} as const;

/** What routing and duplicate detection need of a message; read without decoding the rest. */
export interface RoutingProperties {
  readonly messageId: string | undefined;
  readonly sessionId: string | undefined;
  /** When it is to be put on the queue, where its sender says so. */
  readonly scheduledFor: Date | undefined;
}

/** A message as a reader of the queue sees it. */
export interface MessageContent {
  readonly body: Buffer;
  readonly messageId: string | undefined;
  readonly correlationId: string | undefined;
  readonly subject: string | undefined;
  readonly contentType: string | undefined;
  readonly sessionId: string | undefined;
  readonly to: string | undefined;
  readonly replyTo: string | undefined;
  readonly replyToSessionId: string | undefined;
  readonly applicationProperties: Readonly<Record<string, unknown>>;
}

/** The encoded messages in a Service Bus batch (message format 0x80013700): one data section each. Views, not copies. */
export function splitBatch(batch: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (const { code, value } of sectionsOf(batch)) {
    if (code !== sectionCodes.data) continue;
    if (!Buffer.isBuffer(value.value)) throw new Error('A data section must hold binary.');
    messages.push(value.value);
  }
  return messages;
}

/** Reads message id, group id (the Service Bus session id) and the scheduled time; nothing behind them. */
export function readRouting(raw: Buffer): RoutingProperties {
  let scheduledFor: Date | undefined;
  for (const { code, value } of sectionsOf(raw)) {
    if (code === sectionCodes.messageAnnotations) {
      const time = plain(entryOf(value, 'x-opt-scheduled-enqueue-time'));
      if (time instanceof Date) scheduledFor = time;
    }
    if (code < sectionCodes.properties) continue;
    const fields = code === sectionCodes.properties && Array.isArray(value.value) ? value.value : [];
    return { messageId: idText(plain(fields[0])), sessionId: idText(plain(fields[10])), scheduledFor };
  }
  return { messageId: undefined, sessionId: undefined, scheduledFor };
}

/** Decodes a whole message. */
export function decodeContent(raw: Buffer): MessageContent {
  const message = rhea.message.decode(raw);
  return {
    body: bodyBytes(message.body),
    messageId: idText(message.message_id),
    correlationId: idText(message.correlation_id),
    subject: string(message.subject),
    contentType: string(message.content_type),
    sessionId: string(message.group_id),
    to: string(message.to),
    replyTo: string(message.reply_to),
    replyToSessionId: string(message.reply_to_group_id),
    applicationProperties: isRecord(message.application_properties) ? message.application_properties : {},
  };
}

/**
 * The message as it goes to a receiver: the broker's header and annotations before the sender's own sections. What
 * the sender's own header and annotations say besides is kept, with its types.
 */
export function encodeForDelivery(raw: Buffer, deliveryCount: number, annotations: TypedEntries): Buffer {
  let bareStart = raw.length;
  let sent: TypedEntries = [];
  let header: Record<string, unknown> = {};
  for (const { code, value, start, end } of sectionsOf(raw)) {
    if (code > sectionCodes.messageAnnotations) {
      bareStart = start;
      break;
    }
    if (code === sectionCodes.header) header = { ...rhea.message.decode(raw.subarray(start, end)) };
    if (code === sectionCodes.messageAnnotations) sent = entriesOf(value);
  }
  const { durable, priority, ttl } = header;
  const preamble = rhea.message.encode({ durable, priority, ttl, delivery_count: deliveryCount });
  return Buffer.concat([
    preamble.subarray(0, sectionsOf(preamble).next().value?.end ?? 0),
    writeTyped(describedMap(sectionCodes.messageAnnotations, merge(sent, annotations), symbol)),
    raw.subarray(bareStart),
  ]);
}

/** The same message with some application properties set, as abandoning, deferring and dead-lettering do. */
export function withApplicationProperties(raw: Buffer, properties: TypedEntries): Buffer {
  if (properties.length === 0) return raw;
  let before: TypedEntries = [];
  let start = raw.length;
  let end = raw.length;
  for (const section of sectionsOf(raw)) {
    if (section.code < sectionCodes.applicationProperties) continue;
    start = section.start;
    end = section.start;
    if (section.code === sectionCodes.applicationProperties) {
      end = section.end;
      before = entriesOf(section.value);
    }
    break;
  }
  const section = describedMap(sectionCodes.applicationProperties, merge(before, properties), text);
  return Buffer.concat([raw.subarray(0, start), writeTyped(section), raw.subarray(end)]);
}

/** The value of a message's body where that is one AMQP value, as a request to a management node has it. */
export function readValueBody(raw: Buffer): unknown {
  for (const section of sectionsOf(raw)) {
    if (section.code === sectionCodes.value) return section.value;
  }
  return undefined;
}

/** The sections in their order, each read when it is asked for. */
export function* sectionsOf(raw: Buffer): Generator<Section> {
  for (const { value, start, end } of typedValues(raw)) {
    const code: unknown = value.descriptor?.value;
    if (typeof code !== 'number') throw new Error('An AMQP message section has a numeric descriptor.');
    yield { code, value, start, end };
  }
}

function bodyBytes(body: unknown): Buffer {
  if (body === undefined || body === null) return Buffer.alloc(0);
  if (Buffer.isBuffer(body)) return body;
  if (typeof body === 'string') return Buffer.from(body);
  if (!isRecord(body) || !('content' in body)) return Buffer.from(JSON.stringify(body));
  const content = body.content;
  if (Buffer.isBuffer(content)) return content;
  if (Array.isArray(content) && content.every((piece) => Buffer.isBuffer(piece)))
    return Buffer.concat(content);
  return Buffer.from(JSON.stringify(content));
}

function idText(value: unknown): string | undefined {
  if (Buffer.isBuffer(value)) return value.toString('hex');
  return value === undefined || value === null ? undefined : String(value);
}

function string(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** Narrows what came off the wire to a map with string keys. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !Buffer.isBuffer(value);
}

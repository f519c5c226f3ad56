import rhea from 'rhea';
import {
  describedMap,
  entriesOf,
  entryOf,
  merge,
  plain,
  readTyped,
  symbol,
  type TypedEntries,
  text,
  writeTyped,
} from './amqpValues.ts';

/** One section of an encoded AMQP message (AMQP 1.0, 3.2): its descriptor code and where it lies. */
interface Section {
  readonly code: number;
  readonly start: number;
  readonly valueStart: number;
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
  for (const section of sectionsOf(batch)) {
    if (section.code === sectionCodes.data) messages.push(binaryAt(batch, section.valueStart));
  }
  return messages;
}

/** Reads message id, group id (the Service Bus session id) and the scheduled time; nothing behind them. */
export function readRouting(raw: Buffer): RoutingProperties {
  let scheduledFor: Date | undefined;
  for (const section of sectionsOf(raw)) {
    if (section.code === sectionCodes.messageAnnotations) {
      const time = plain(
        entryOf(readTyped(raw.subarray(section.valueStart)), 'x-opt-scheduled-enqueue-time'),
      );
      if (time instanceof Date) scheduledFor = time;
    }
    if (section.code < sectionCodes.properties) continue;
    const fields = section.code === sectionCodes.properties ? listFieldStarts(raw, section.valueStart) : [];
    return { messageId: idAt(raw, fields[0]), sessionId: idAt(raw, fields[10]), scheduledFor };
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
  for (const section of sectionsOf(raw)) {
    if (section.code > sectionCodes.messageAnnotations) {
      bareStart = section.start;
      break;
    }
    const bytes = raw.subarray(section.start, section.end);
    if (section.code === sectionCodes.header) header = { ...rhea.message.decode(bytes) };
    if (section.code === sectionCodes.messageAnnotations) sent = entriesOf(readTyped(bytes));
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
      before = entriesOf(readTyped(raw.subarray(start, end)));
    }
    break;
  }
  const section = describedMap(sectionCodes.applicationProperties, merge(before, properties), text);
  return Buffer.concat([raw.subarray(0, start), writeTyped(section), raw.subarray(end)]);
}

/** The value of a message's body where that is one AMQP value, as a request to a management node has it. */
export function readValueBody(raw: Buffer): unknown {
  for (const section of sectionsOf(raw)) {
    if (section.code === sectionCodes.value) return readTyped(raw.subarray(section.valueStart, section.end));
  }
  return undefined;
}

function* sectionsOf(raw: Buffer): Generator<Section> {
  let position = 0;
  while (position < raw.length) {
    const start = position;
    if (raw[position] !== 0) throw new Error('An AMQP message section must be a described type.');
    const descriptor = position + 1;
    const valueStart = skipValue(raw, descriptor);
    const code = raw[descriptor] === 0x53 ? raw.readUInt8(descriptor + 1) : longDescriptor(raw, descriptor);
    position = skipValue(raw, valueStart);
    if (position > raw.length) throw new Error('An AMQP message section is cut short.');
    yield { code, start, valueStart, end: position };
  }
}

function longDescriptor(raw: Buffer, position: number): number {
  if (raw[position] === 0x80) return Number(raw.readBigUInt64BE(position + 1));
  throw new Error('Only numeric section descriptors are understood.');
}

/** Where the value after the one at `position` starts, by the format code's width (AMQP 1.0, 1.2). */
function skipValue(raw: Buffer, position: number): number {
  const code = raw.readUInt8(position);
  if (code === 0) return skipValue(raw, skipValue(raw, position + 1));
  switch (code >>> 4) {
    case 0x4:
      return position + 1;
    case 0x5:
      return position + 2;
    case 0x6:
      return position + 3;
    case 0x7:
      return position + 5;
    case 0x8:
      return position + 9;
    case 0x9:
      return position + 17;
    case 0xa:
    case 0xc:
    case 0xe:
      return position + 2 + raw.readUInt8(position + 1);
    case 0xb:
    case 0xd:
    case 0xf:
      return position + 5 + raw.readUInt32BE(position + 1);
    default:
      throw new Error(`Unknown AMQP format code ${code}.`);
  }
}

function binaryAt(raw: Buffer, position: number): Buffer {
  const code = raw[position];
  if (code === 0xa0) return raw.subarray(position + 2, position + 2 + raw.readUInt8(position + 1));
  if (code === 0xb0) return raw.subarray(position + 5, position + 5 + raw.readUInt32BE(position + 1));
  throw new Error('A data section must hold binary.');
}

function listFieldStarts(raw: Buffer, position: number): number[] {
  const code = raw[position];
  if (code === 0x45) return [];
  const wide = code === 0xd0;
  const count = wide ? raw.readUInt32BE(position + 5) : raw.readUInt8(position + 2);
  const starts: number[] = [];
  let next = position + (wide ? 9 : 3);
  for (let index = 0; index < count; index++) {
    starts.push(next);
    next = skipValue(raw, next);
  }
  return starts;
}

function idAt(raw: Buffer, position: number | undefined): string | undefined {
  if (position === undefined) return undefined;
  switch (raw[position]) {
    case 0x40:
      return undefined;
    case 0xa1:
      return raw.toString('utf8', position + 2, position + 2 + raw.readUInt8(position + 1));
    case 0xb1:
      return raw.toString('utf8', position + 5, position + 5 + raw.readUInt32BE(position + 1));
    default:
      return raw.toString('hex', position + 1, skipValue(raw, position));
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

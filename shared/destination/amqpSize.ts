import { amqpNumberTypes, type MessageHead } from '../message/message.ts';

/*
 * The weight of a message on the wire, computed instead of encoded: encoding copies the body. The sizes are
 * those of AMQP 1.0 part 1.6 (types) and part 3.2 (sections), in the choices the SDK's encoder makes.
 */

const headerBytes = 4;
const emptyAnnotationsBytes = 12;
const sectionBytes = 3;
const compoundBytes = 9;
/** message-id, user-id, to, subject, reply-to, correlation-id, content-type; group-id is the eleventh. */
const fieldsUpToContentType = 7;
const fieldsUpToGroupId = 11;
const nullBytes = 1;

/**
 * What the message weighs when it is sent alone, in bytes: header, properties, application properties and a
 * data section of `bodyBytes`. Exact for the SDK's encoder; this is what a link's max-message-size bounds.
 */
export function encodedBytes(head: MessageHead, bodyBytes: number): number {
  const strings = [head.messageId, head.subject, head.correlationId, head.contentType];
  if (head.sessionId !== undefined) strings.push(head.sessionId);
  const fields = head.sessionId === undefined ? fieldsUpToContentType : fieldsUpToGroupId;
  let bytes = headerBytes + emptyAnnotationsBytes + sectionBytes + compoundBytes;
  for (const value of strings) bytes += variableBytes(Buffer.byteLength(value));
  bytes += (fields - strings.length) * nullBytes;
  return bytes + propertiesBytes(head) + sectionBytes + variableBytes(bodyBytes);
}

/**
 * What the message adds to a batch: itself, wrapped in a data section. (The SDK repeats the first message's
 * properties in the batch's envelope; `batchEnvelopeBytes` is that.)
 */
export function bytesInBatch(head: MessageHead, bodyBytes: number): number {
  return sectionBytes + variableBytes(encodedBytes(head, bodyBytes));
}

/** The envelope of a batch whose first message has this head. */
export function batchEnvelopeBytes(head: MessageHead): number {
  return encodedBytes(head, 0) - sectionBytes - variableBytes(0);
}

function propertiesBytes(head: MessageHead): number {
  let bytes = sectionBytes + compoundBytes;
  for (const [name, value] of Object.entries(head.applicationProperties)) {
    bytes += variableBytes(Buffer.byteLength(name));
    bytes += typeof value === 'string' ? variableBytes(Buffer.byteLength(value)) : numberBytes(name, value);
  }
  return bytes;
}

/** A string, symbol or binary: one byte of length up to 255, four beyond. */
function variableBytes(length: number): number {
  return length > 255 ? 5 + length : 2 + length;
}

/** One byte of value where it fits a signed one, else the type's whole width. */
function numberBytes(name: string, value: number): number {
  if (value >= -128 && value <= 127) return 2;
  return amqpNumberTypes[name] === 'int' ? 5 : 9;
}

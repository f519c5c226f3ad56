import { hash } from 'node:crypto';
import type { Content, MailEnvelope, Part, SplitMail } from '../mail/mail.ts';
import type { MessageHead } from './destination.ts';

/** Which mail the parts are from. */
export interface MailIdentity {
  readonly customer: string;
  readonly connection: string;
  /** `MailRef.key`: the same in every session. */
  readonly mailKey: string;
  /** `imaps://host:993/INBOX` and so on. */
  readonly endpoint: string;
}

/** How `sessionId` is chosen: none, one for the whole connection, or one for each mail. */
export type SessionMode = 'none' | 'connection' | 'mail';

/** A part on its way: what its message says, and where its bytes are. */
export interface PartMessage {
  /** From 1. */
  readonly partNumber: number;
  readonly head: MessageHead;
  readonly content: Content;
}

/** Longer strings are cut, counted in UTF-16 code units as .NET and JavaScript consumers count. */
export const maxPropertyCharacters = 1_024;

/**
 * The AMQP type of each number among the application properties (AMQP 1.0, 1.6.9 and 1.6.10), whatever its value:
 * a consumer in a typed language casts to one type.
 */
export const amqpNumberTypes: Readonly<Record<string, 'int' | 'long'>> = {
  partNumber: 'int',
  partCount: 'int',
  size: 'long',
};

/**
 * Builds the messages of one mail, in sending order. The same mail gives the same ids on every repeat, whatever
 * run or machine builds them, so a queue with duplicate detection drops what it has already. With `traceparent`
 * (W3C Trace Context) they say which trace they belong to, by both names that Service Bus consumers look for.
 */
export function buildMessages(
  mail: MailIdentity,
  split: SplitMail,
  sessions: SessionMode,
  traceparent?: string,
): readonly PartMessage[] {
  const interchangeId = interchangeIdOf(mail);
  const sessionId = sessionIdOf(mail, sessions, interchangeId);
  const shared = {
    customer: mail.customer,
    connection: mail.connection,
    interchangeId,
    inboundAdapter: 'Email',
    inboundEndpoint: cut(mail.endpoint),
    partCount: split.parts.length,
    ...envelopeProperties(split.envelope),
    ...(traceparent === undefined ? {} : { 'Diagnostic-Id': traceparent, traceparent }),
  };
  return split.parts.map((part, index): PartMessage => {
    const partNumber = index + 1;
    const head: MessageHead = {
      messageId: messageIdOf(mail, partNumber),
      correlationId: interchangeId,
      subject: part.kind,
      contentType: asciiOnly(cut(part.contentType)),
      ...(sessionId === undefined ? {} : { sessionId }),
      applicationProperties: { ...shared, ...partProperties(part, partNumber) },
    };
    return withContent({ partNumber, head, content: part.content }, part.content);
  });
}

/** The same message with its bytes elsewhere; `claimCheck` is there exactly when they are in a blob. */
export function withContent(message: PartMessage, content: Content): PartMessage {
  const { claimCheck: _, ...properties } = message.head.applicationProperties;
  const applicationProperties =
    content.kind === 'blob' ? { ...properties, claimCheck: content.claimCheck } : properties;
  return { ...message, head: { ...message.head, applicationProperties }, content };
}

/** Hex SHA-256 over customer, connection, mail key and part number. */
export function messageIdOf(mail: MailIdentity, partNumber: number): string {
  return digest(['message', mail.customer, mail.connection, mail.mailKey, partNumber]);
}

/** A UUID of version 8 (RFC 9562, section 5.8) made from the SHA-256 over customer, connection and mail key. */
export function interchangeIdOf(mail: Omit<MailIdentity, 'endpoint'>): string {
  const hex = digest(['interchange', mail.customer, mail.connection, mail.mailKey]);
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}

/** JSON keeps the fields apart whatever characters they hold. */
function digest(fields: readonly (string | number)[]): string {
  return hash('sha256', JSON.stringify(fields), 'hex');
}

/** At most 128 characters, as Service Bus allows: the names are at most 63 each. */
function sessionIdOf(mail: MailIdentity, sessions: SessionMode, interchangeId: string): string | undefined {
  if (sessions === 'none') return undefined;
  return sessions === 'connection' ? `${mail.customer}/${mail.connection}` : interchangeId;
}

function partProperties(part: Part, partNumber: number): Record<string, string | number> {
  return {
    inboundFileName: cut(part.fileName),
    partKind: part.kind,
    partNumber,
    size: part.content.sizeBytes,
    sha256: part.content.sha256,
  };
}

function envelopeProperties(envelope: MailEnvelope): Record<string, string> {
  const all = {
    emailMessageId: envelope.messageId,
    emailSubject: envelope.subject,
    emailFrom: envelope.from,
    emailTo: envelope.to,
    emailDate: envelope.date,
  };
  const present: Record<string, string> = {};
  for (const [name, value] of Object.entries(all)) {
    if (value !== undefined && value !== '') present[name] = cut(value);
  }
  return present;
}

/** Cuts without splitting a surrogate pair; a lone surrogate, which UTF-8 can't carry, becomes U+FFFD. */
function cut(text: string): string {
  const end = maxPropertyCharacters;
  const splitsPair = text.length > end && isHighSurrogate(text.charCodeAt(end - 1));
  return text.slice(0, splitsPair ? end - 1 : end).toWellFormed();
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

/** `contentType` is an AMQP symbol: ASCII only, and a control character could break its readers' headers. */
function asciiOnly(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?');
}

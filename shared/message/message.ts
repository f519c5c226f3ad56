import { hash } from 'node:crypto';
import { cutText } from '../mail/fileName.ts';
import type { Content, MailEnvelope, Part, PartKind, SplitMail } from '../mail/mail.ts';
import type { MailIdentity } from './identity.ts';

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

/** Which mail the parts are from. */
export interface MailOrigin {
  readonly customer: string;
  readonly connection: string;
  readonly identity: MailIdentity;
  /** `imaps://host:993/INBOX` and so on. */
  readonly endpoint: string;
}

/** How `sessionId` is chosen: none, one for the whole connection, or one for each mail. */
export type SessionMode = 'none' | 'connection' | 'mail';

/** What is known of a part's bytes, wherever they are. */
export interface PlacedContent {
  readonly kind: string;
  readonly sizeBytes: number;
  /** Hex SHA-256. */
  readonly sha256: string;
}

/** A part on its way: what its message says, and where its bytes are. */
export interface PartMessage<Place extends PlacedContent = Content> {
  /** From 1. */
  readonly partNumber: number;
  readonly head: MessageHead;
  readonly content: Place;
}

/** Longer strings are cut, counted in UTF-16 code units as .NET and JavaScript consumers count. */
const maxPropertyCharacters = 1_024;

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
  mail: MailOrigin,
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
    ...(split.unverifiedSignature ? { signature: 'unverified' } : {}),
    ...(traceparent === undefined ? {} : { 'Diagnostic-Id': traceparent, traceparent }),
  };
  return split.parts.map((part, index): PartMessage => {
    const partNumber = index + 1;
    const head: MessageHead = {
      messageId: messageIdOf(mail, partNumber, part),
      correlationId: interchangeId,
      subject: part.kind,
      // An AMQP symbol; and a control character could break its readers' headers.
      contentType: cut(part.contentType).replace(/[^\x20-\x7e]/g, '?'),
      ...(sessionId === undefined ? {} : { sessionId }),
      applicationProperties: { ...shared, ...partProperties(part, partNumber) },
    };
    const { content } = part;
    const message = { partNumber, head, content };
    return content.kind === 'blob' ? withClaimCheck(message, content.claimCheck) : message;
  });
}

/** The same message with its bytes in a blob, `container/blob`. */
export function withClaimCheck<Place extends PlacedContent>(
  part: PartMessage<Place>,
  claimCheck: string,
): PartMessage<ClaimChecked> {
  const { sizeBytes, sha256 } = part.content;
  const head = { ...part.head, applicationProperties: { ...part.head.applicationProperties, claimCheck } };
  return { ...part, head, content: { kind: 'blob', claimCheck, sizeBytes, sha256 } };
}

export type ClaimChecked = Extract<Content, { kind: 'blob' }>;

/** Hex SHA-256 over customer, connection, the mail's identity, and the part's number, kind and content. */
function messageIdOf({ customer, connection, identity }: MailOrigin, partNumber: number, part: Part): string {
  return digest(['message', customer, connection, identity.id, partNumber, part.kind, part.content.sha256]);
}

/** A UUID of version 8 (RFC 9562, section 5.8) made from the SHA-256 over customer, connection and the mail's identity. */
export function interchangeIdOf({ customer, connection, identity }: Omit<MailOrigin, 'endpoint'>): string {
  const hex = digest(['interchange', customer, connection, identity.id]);
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16);
  return hex.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/, `$1-$2-8$3-${variant}$4-$5`);
}

/** JSON keeps the fields apart whatever characters they hold. */
function digest(fields: readonly (string | number)[]): string {
  return hash('sha256', JSON.stringify(fields), 'hex');
}

/** At most 128 characters, as Service Bus allows: the names are at most 63 each. */
function sessionIdOf(mail: MailOrigin, sessions: SessionMode, interchangeId: string): string | undefined {
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
  return Object.fromEntries(
    Object.entries(all).flatMap(([name, value]) => (value ? [[name, cut(value)]] : [])),
  );
}

/** A lone surrogate, which UTF-8 can't carry, becomes U+FFFD. */
function cut(text: string): string {
  return cutText(text, maxPropertyCharacters).toWellFormed();
}

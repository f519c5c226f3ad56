import { Failure } from '../failure/failure.ts';
import type { PartKind } from '../mail/mail.ts';
import type { MessageHead, PartMessage } from '../message/message.ts';

/** A part's bytes as they are kept in container `email-undelivered`. */
export interface StoredContent {
  readonly kind: 'stored';
  /** Undefined where there are no bytes. */
  readonly blobName: string | undefined;
  /** The last part of its blob's name in `email-payloads`, where it had gone there already. */
  readonly payloadName: string | undefined;
  readonly sizeBytes: number;
  /** Hex SHA-256 of the decoded bytes. */
  readonly sha256: string;
}

export type StoredPart = PartMessage<StoredContent>;

type Properties = Readonly<Record<string, string | number>>;

/** The part as it is kept below the record's id. */
export function toStored(id: string, { partNumber, head, content }: PartMessage): StoredPart {
  const { claimCheck, ...applicationProperties } = head.applicationProperties;
  const payloadName = typeof claimCheck === 'string' ? claimCheck.split('/').at(-1) : undefined;
  const { sizeBytes, sha256 } = content;
  const blobName = blobNameOf(id, partNumber, sizeBytes);
  const stored = { kind: 'stored', blobName, payloadName, sizeBytes, sha256 } as const;
  return { partNumber, head: { ...head, applicationProperties }, content: stored };
}

function blobNameOf(id: string, partNumber: number, sizeBytes: number): string | undefined {
  return sizeBytes === 0 ? undefined : `${id}/part-${partNumber}`;
}

/**
 * Writes the heads of a mail's parts, so that the very same messages can be sent later. What all of them
 * share, such as the subject, stands there once: a mail may have thousands of parts.
 */
export function writeManifest(parts: readonly StoredPart[]): string {
  const shared = sharedProperties(parts.map(({ head }) => head.applicationProperties));
  return JSON.stringify({
    version: 1,
    shared,
    parts: parts.map(({ partNumber, head, content }) => ({
      partNumber,
      ...head,
      applicationProperties: without(head.applicationProperties, shared),
      sizeBytes: content.sizeBytes,
      sha256: content.sha256,
      ...(content.payloadName === undefined ? {} : { payloadName: content.payloadName }),
    })),
  });
}

function sharedProperties(all: readonly Properties[]): Properties {
  const [first = {}, ...others] = all;
  return Object.fromEntries(
    Object.entries(first).filter(([name, value]) => others.every((other) => other[name] === value)),
  );
}

function without(properties: Properties, shared: Properties): Properties {
  return Object.fromEntries(Object.entries(properties).filter(([name]) => !Object.hasOwn(shared, name)));
}

/** Reads what `writeManifest` wrote; throws a `Failure` that names the record where it is damaged. */
export function readManifest(text: string, id: string): readonly StoredPart[] {
  try {
    const manifest = fields(JSON.parse(text));
    const shared = properties(manifest.shared);
    if (!Array.isArray(manifest.parts)) throw new TypeError('parts');
    return manifest.parts.map((part: unknown) => readPart(id, fields(part), shared));
  } catch (cause) {
    const sentence = `The stored heads of undelivered mail ${id} are damaged; its blobs hold the parts' content.`;
    throw new Failure('storage', sentence, cause);
  }
}

function readPart(id: string, part: Readonly<Record<string, unknown>>, shared: Properties): StoredPart {
  const head: MessageHead = {
    messageId: text(part.messageId),
    correlationId: text(part.correlationId),
    subject: kind(part.subject),
    contentType: text(part.contentType),
    ...(part.sessionId === undefined ? {} : { sessionId: text(part.sessionId) }),
    applicationProperties: { ...shared, ...properties(part.applicationProperties) },
  };
  const partNumber = count(part.partNumber);
  const sizeBytes = count(part.sizeBytes);
  const content = {
    kind: 'stored',
    blobName: blobNameOf(id, partNumber, sizeBytes),
    payloadName: part.payloadName === undefined ? undefined : text(part.payloadName),
    sizeBytes,
    sha256: text(part.sha256),
  } as const;
  return { partNumber, head, content };
}

function fields(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw new TypeError('object');
  return Object.fromEntries(Object.entries(value));
}

function properties(value: unknown): Properties {
  const found: Record<string, string | number> = {};
  for (const [name, property] of Object.entries(fields(value))) {
    if (typeof property !== 'string' && typeof property !== 'number') throw new TypeError(name);
    found[name] = property;
  }
  return found;
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new TypeError('string');
  return value;
}

function count(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new TypeError('number');
  return value;
}

function kind(value: unknown): PartKind {
  if (value !== 'body' && value !== 'attachment' && value !== 'raw') throw new TypeError('subject');
  return value;
}

import type { PartMessage } from '../message/message.ts';

/** A part's bytes as they are kept in container `email-undelivered`. */
export interface StoredContent {
  readonly kind: 'stored';
  /** There is none of that name where there are no bytes. */
  readonly blobName: string;
  /** The last part of its blob's name in `email-payloads`, where it had gone there already. */
  readonly payloadName: string | undefined;
  readonly sizeBytes: number;
  /** Hex SHA-256 of the decoded bytes. */
  readonly sha256: string;
}

export type StoredPart = PartMessage<StoredContent>;

/** The part as it is kept below the record's id. */
export function toStored(id: string, { partNumber, head, content }: PartMessage): StoredPart {
  const { claimCheck, ...applicationProperties } = head.applicationProperties;
  const payloadName = typeof claimCheck === 'string' ? claimCheck.split('/').at(-1) : undefined;
  const { sizeBytes, sha256 } = content;
  return {
    partNumber,
    head: { ...head, applicationProperties },
    content: { kind: 'stored', blobName: blobNameOf(id, partNumber), payloadName, sizeBytes, sha256 },
  };
}

export function blobNameOf(id: string, partNumber: number): string {
  return `${id}/part-${partNumber}`;
}

/**
 * Writes the heads of a mail's parts, so that the very same messages can be sent later. What all of them
 * share, such as the subject, stands there once: a mail may have thousands of parts.
 */
export function writeManifest(parts: readonly StoredPart[]): string {
  const [first, ...others] = parts.map(({ head }) => Object.entries(head.applicationProperties));
  const shared = new Map(first);
  for (const properties of others.map((entries) => new Map(entries))) {
    for (const [name, value] of shared) if (properties.get(name) !== value) shared.delete(name);
  }
  return JSON.stringify({
    version: 1,
    shared: Object.fromEntries(shared),
    parts: parts.map(({ partNumber, head, content }) => ({
      partNumber,
      ...head,
      applicationProperties: Object.fromEntries(
        Object.entries(head.applicationProperties).filter(([name]) => !shared.has(name)),
      ),
      sizeBytes: content.sizeBytes,
      sha256: content.sha256,
      payloadName: content.payloadName,
    })),
  });
}

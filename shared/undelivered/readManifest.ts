import * as z from 'zod';
import { Failure } from '../failure/failure.ts';
import { blobNameOf, type StoredPart } from './manifest.ts';

// Imports zod (100 ms to load): reach this module by a dynamic import.

const count = z.int().min(0);
const properties = z.record(z.string(), z.union([z.string(), z.number()]));
const schema = z.object({
  shared: properties,
  parts: z.array(
    z.object({
      partNumber: count,
      messageId: z.string(),
      correlationId: z.string(),
      subject: z.enum(['body', 'attachment', 'raw']),
      contentType: z.string(),
      sessionId: z.string().exactOptional(),
      applicationProperties: properties,
      sizeBytes: count,
      sha256: z.string(),
      payloadName: z.string().optional(),
    }),
  ),
});

/** Reads what `writeManifest` wrote; throws a `Failure` that names the record where it is damaged. */
export function readManifest(text: string, id: string): readonly StoredPart[] {
  try {
    const { shared, parts } = schema.parse(JSON.parse(text));
    return parts.map(({ partNumber, sizeBytes, sha256, payloadName, applicationProperties, ...head }) => ({
      partNumber,
      head: { ...head, applicationProperties: { ...shared, ...applicationProperties } },
      content: {
        kind: 'stored',
        blobName: blobNameOf(id, partNumber),
        ...{ payloadName, sizeBytes, sha256 },
      },
    }));
  } catch (cause) {
    const sentence = `The stored heads of undelivered mail ${id} are damaged; its blobs hold the parts' content.`;
    throw new Failure('storage', sentence, cause);
  }
}

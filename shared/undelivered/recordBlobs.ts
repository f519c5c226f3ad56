import { hash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { BlockBlobClient, ContainerClient } from '@azure/storage-blob';
import type { PayloadOwner } from '../delivery/blobPayloadStore.ts';
import { type PartMessage, withContent } from '../delivery/message.ts';
import { Failure } from '../failure/failure.ts';
import { withContainer } from '../storage/blobs.ts';
import { isMissing, storageFailure } from '../storage/storageFailure.ts';
import { forEachOf } from './forEachOf.ts';
import { readManifest, writeManifest } from './manifest.ts';
import type { StoredPart } from './undelivered.ts';

/** The bodies and heads of undelivered mails: `{folder}/mail.json` and `{folder}/part-{number}`. */
export interface RecordBlobs {
  /** Writes all of it, the heads last. */
  write(folder: string, parts: readonly PartMessage[]): Promise<void>;
  readParts(folder: string, id: string): Promise<readonly StoredPart[]>;
  /** The bytes that its message carries; checked against their SHA-256. */
  readBody(folder: string, part: StoredPart): Promise<Buffer>;
  /** Copies the part to `email-payloads`, into the folder of its customer and connection, a block at a time. */
  toClaimCheck(folder: string, part: StoredPart, owner: PayloadOwner): Promise<StoredPart>;
  removeFolder(folder: string): Promise<void>;
}

export interface RecordContainers {
  /** `email-undelivered` */
  readonly undelivered: ContainerClient;
  /** `email-payloads` */
  readonly payloads: ContainerClient;
}

const blockBytes = 4 * 1_024 * 1_024;
const requestsAtOnce = 8;
/** For all blobs of one mail, and for one that moves to the payloads. */
const writeMs = 120_000;
/** For one blob, and for removing a folder. */
const blobMs = 60_000;

/** A 150 MB body in one request would not fit the time that one request has. */
const inBlocks = { blockSize: blockBytes, maxSingleShotSize: blockBytes, concurrency: 2 };

export function openRecordBlobs({ undelivered, payloads }: RecordContainers): RecordBlobs {
  const partBlob = (folder: string, part: { readonly partNumber: number }) =>
    undelivered.getBlockBlobClient(`${folder}/part-${part.partNumber}`);

  const download = async (blob: BlockBlobClient, doing: string): Promise<Buffer> => {
    try {
      return await blob.downloadToBuffer(0, undefined, {
        blockSize: blockBytes,
        concurrency: 2,
        abortSignal: AbortSignal.timeout(blobMs),
      });
    } catch (error) {
      throw storageFailure(error, doing);
    }
  };

  return {
    async write(folder, parts) {
      const abortSignal = AbortSignal.timeout(writeMs);
      try {
        await forEachOf(parts, requestsAtOnce, async (part) => {
          const { content } = part;
          if (content.kind === 'blob' || content.sizeBytes === 0) return;
          const blob = partBlob(folder, part);
          await withContainer(undelivered, async () => {
            if (content.kind === 'bytes') await blob.uploadData(content.bytes, { ...inBlocks, abortSignal });
            else await blob.uploadFile(content.path, { ...inBlocks, abortSignal });
          });
        });
        const manifest = Buffer.from(writeManifest(parts));
        const blob = undelivered.getBlockBlobClient(`${folder}/mail.json`);
        await withContainer(undelivered, () => blob.uploadData(manifest, { ...inBlocks, abortSignal }));
      } catch (error) {
        throw storageFailure(error, 'storing an undelivered mail in container email-undelivered');
      }
    },

    async readParts(folder, id) {
      const blob = undelivered.getBlockBlobClient(`${folder}/mail.json`);
      const manifest = await download(blob, `reading the heads of undelivered mail ${id}`);
      return readManifest(manifest.toString(), id);
    },

    async readBody(folder, part) {
      if (part.sizeBytes === 0 || isClaimCheck(part)) return Buffer.alloc(0);
      const body = await download(partBlob(folder, part), `reading ${nameOf(part)}`);
      if (hash('sha256', body) !== part.sha256) {
        throw new Failure('storage', `The stored content of ${nameOf(part)} is not what was stored.`);
      }
      return body;
    },

    async toClaimCheck(folder, part, owner) {
      if (isClaimCheck(part)) return part;
      // The same on every repeat: a queue that is away for days must not leave a blob for each try.
      const name = `${owner.customer}/${owner.connection}/undelivered/${folder}/${part.partNumber}`;
      const payload = payloads.getBlockBlobClient(name);
      const abortSignal = AbortSignal.timeout(writeMs);
      try {
        await withContainer(payloads, async () => {
          if (part.sizeBytes === 0) return await payload.upload('', 0, { abortSignal });
          const { readableStreamBody } = await partBlob(folder, part).download(0, undefined, { abortSignal });
          if (!readableStreamBody) throw new Error('no stream');
          return await payload.uploadStream(Readable.from(readableStreamBody), blockBytes, 2, {
            abortSignal,
          });
        });
      } catch (error) {
        throw storageFailure(error, `moving ${nameOf(part)} to container email-payloads`);
      }
      const { sizeBytes, sha256 } = part;
      const claimCheck = `${payloads.containerName}/${name}`;
      const content = { kind: 'blob', claimCheck, sizeBytes, sha256 } as const;
      return { ...part, head: withContent({ ...part, content }, content).head };
    },

    async removeFolder(folder) {
      const abortSignal = AbortSignal.timeout(blobMs);
      try {
        const names: string[] = [];
        for await (const blob of undelivered.listBlobsFlat({ prefix: `${folder}/`, abortSignal })) {
          names.push(blob.name);
        }
        await forEachOf(names, requestsAtOnce, (name) =>
          undelivered.getBlobClient(name).deleteIfExists({ abortSignal }),
        );
      } catch (error) {
        if (!isMissing(error)) throw storageFailure(error, 'removing blobs of container email-undelivered');
      }
    },
  };
}

function isClaimCheck(part: StoredPart): boolean {
  return part.head.applicationProperties.claimCheck !== undefined;
}

function nameOf(part: StoredPart): string {
  return `part ${part.partNumber} of undelivered mail ${part.head.correlationId}`;
}

import { createHash, hash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { BlockBlobParallelUploadOptions, ContainerClient } from '@azure/storage-blob';
import { MailPayloads, type PayloadOwner } from '../destination/claimCheck.ts';
import type { PartContents } from '../destination/sendParts.ts';
import { Failure } from '../failure/failure.ts';
import type { Content } from '../mail/mail.ts';
import { type ClaimChecked, type PartMessage, withClaimCheck } from '../message/message.ts';
import { withMade } from '../storage/firstUse.ts';
import { failing, isMissing, statusOf, storageFailure } from '../storage/storageFailure.ts';
import { wireMs } from '../wait/deadline.ts';
import { forEachOf } from '../wait/parallel.ts';
import { blobNameOf, type StoredContent, type StoredPart, toStored, writeManifest } from './manifest.ts';

const blockBytes = 4 * 1_024 * 1_024;
const requestsAtOnce = 4;
/** For all blobs of one mail, and for one that moves to the payloads, beside the time that the bytes need. */
const writeMs = 120_000;
/** For one blob, beside the time that its bytes need, and for removing all of a mail. */
const blobMs = 60_000;
/** A 150 MB body in one request would not fit the time that one request has. */
const inBlocks = { blockSize: blockBytes, maxSingleShotSize: blockBytes, concurrency: 2 };

/** The heads and bodies of undelivered mails: blobs `{id}/mail.json` and `{id}/part-{number}`. */
export class StoredParts {
  readonly #undelivered: ContainerClient;
  readonly #payloads: ContainerClient;

  /** On the containers `email-undelivered` and `email-payloads`. */
  constructor(undelivered: ContainerClient, payloads: ContainerClient) {
    this.#undelivered = undelivered;
    this.#payloads = payloads;
  }

  /** Writes all parts, the heads last. What lies in the payloads is copied: a lifecycle rule removes it there. */
  async write(id: string, parts: readonly PartMessage[]): Promise<void> {
    const bytes = parts.reduce((sum, { content }) => sum + content.sizeBytes, 0);
    const abortSignal = AbortSignal.timeout(writeMs + wireMs(bytes));
    const stored = parts.map((part) => toStored(id, part));
    const failed = failing('storing an undelivered mail in container email-undelivered');
    const filled = parts.filter(({ content }) => content.sizeBytes > 0);
    await forEachOf(filled, requestsAtOnce, ({ partNumber, content }) =>
      this.#writePart(blobNameOf(id, partNumber), content, abortSignal),
    ).catch(failed);
    await this.#writeManifest(id, stored, { abortSignal }).catch(failed);
  }

  /** The parts that are still to be sent, in sending order. */
  async read(id: string): Promise<readonly StoredPart[]> {
    const text = await this.#download(manifestName(id), 'the heads of an undelivered mail');
    const { readManifest } = await import('./readManifest.ts');
    const parts = readManifest(text.toString(), id);
    // Else nothing left to send would pass for everything sent.
    if (parts.length === 0) throw new Failure('storage', `Undelivered mail ${id} names no part.`);
    return parts;
  }

  /** Writes that only these parts are still to be sent; nothing where the mail was given up, and its blobs are gone. */
  async keepOnly(id: string, parts: readonly StoredPart[]): Promise<void> {
    const ifThere = { abortSignal: AbortSignal.timeout(blobMs), conditions: { ifMatch: '*' } };
    await this.#writeManifest(id, parts, ifThere).catch((error: unknown) => {
      if (statusOf(error) !== 412) throw storageFailure(error, `writing the heads of undelivered mail ${id}`);
    });
  }

  /** Where `sendParts` finds the bytes of a mail's parts. */
  contentsOf(owner: PayloadOwner): PartContents<StoredContent> {
    const payloads = new MailPayloads(this.#payloads, owner);
    return {
      read: async (content) => {
        if (content.kind === 'blob' || content.sizeBytes === 0) return Buffer.alloc(0);
        const body = await this.#download(
          content.blobName,
          'a part of an undelivered mail',
          content.sizeBytes,
        );
        expectStored(content, hash('sha256', body));
        return body;
      },
      toClaimCheck: (part) => this.#toClaimCheck(part, payloads),
    };
  }

  async remove(id: string): Promise<void> {
    const abortSignal = AbortSignal.timeout(blobMs);
    try {
      const names: string[] = [];
      for await (const blob of this.#undelivered.listBlobsFlat({ prefix: `${id}/`, abortSignal })) {
        names.push(blob.name);
      }
      await forEachOf(names, requestsAtOnce, (name) =>
        this.#undelivered.getBlobClient(name).deleteIfExists({ abortSignal }),
      );
    } catch (error) {
      if (!isMissing(error)) throw storageFailure(error, 'removing blobs of container email-undelivered');
    }
  }

  async #writePart(name: string, content: Content, abortSignal: AbortSignal): Promise<void> {
    const blob = this.#undelivered.getBlockBlobClient(name);
    await withMade(this.#undelivered, async () => {
      if (content.kind === 'bytes') return await blob.uploadData(content.bytes, { ...inBlocks, abortSignal });
      if (content.kind === 'file') return await blob.uploadFile(content.path, { ...inBlocks, abortSignal });
      // Of `container/blob`.
      const payloadName = content.claimCheck.slice(content.claimCheck.indexOf('/') + 1);
      const payload = this.#payloads.getBlobClient(payloadName);
      const { readableStreamBody } = await payload.download(0, undefined, { abortSignal });
      return await blob.uploadStream(readableOf(readableStreamBody), blockBytes, 1, { abortSignal });
    });
  }

  async #writeManifest(id: string, parts: readonly StoredPart[], options: BlockBlobParallelUploadOptions) {
    const blob = this.#undelivered.getBlockBlobClient(manifestName(id));
    const manifest = Buffer.from(writeManifest(parts));
    await withMade(this.#undelivered, () => blob.uploadData(manifest, { ...inBlocks, ...options }));
  }

  async #download(name: string, what: string, sizeBytes = 0): Promise<Buffer> {
    const abortSignal = AbortSignal.timeout(blobMs + wireMs(sizeBytes));
    const options = { blockSize: blockBytes, concurrency: 2, abortSignal };
    const blob = this.#undelivered.getBlobClient(name);
    return await blob.downloadToBuffer(0, undefined, options).catch(failing(`reading ${what}`));
  }

  async #toClaimCheck(
    part: PartMessage<StoredContent | ClaimChecked>,
    payloads: MailPayloads,
  ): Promise<PartMessage<ClaimChecked>> {
    const { content, partNumber } = part;
    if (content.kind === 'blob') return { ...part, content };
    const name = content.payloadName ?? `part-${partNumber}`;
    return withClaimCheck(part, await payloads.upload(name, part, () => this.#pieces(content)));
  }

  async *#pieces(content: StoredContent): AsyncIterable<Buffer> {
    const { blobName, sizeBytes } = content;
    if (sizeBytes === 0) return;
    const digest = createHash('sha256');
    // The same bytes go up while they come down.
    const abortSignal = AbortSignal.timeout(writeMs + 2 * wireMs(sizeBytes));
    try {
      const { readableStreamBody } = await this.#undelivered
        .getBlobClient(blobName)
        .download(0, undefined, { abortSignal });
      for await (const piece of readableOf(readableStreamBody)) {
        digest.update(piece);
        yield piece;
      }
      expectStored(content, digest.digest('hex'));
    } catch (error) {
      throw storageFailure(error, 'reading a part of an undelivered mail');
    }
  }
}

function manifestName(id: string): string {
  return `${id}/mail.json`;
}

/** Throws a `Failure` where the bytes that were read are others than those that were stored. */
function expectStored({ blobName, sha256 }: StoredContent, readSha256: string): void {
  if (readSha256 === sha256) return;
  throw new Failure('storage', `The blob ${blobName} of email-undelivered is not what was stored.`);
}

function readableOf(stream: NodeJS.ReadableStream | undefined): Readable {
  if (stream === undefined) throw new Error('Storage answered a download without a stream.');
  return Readable.from(stream);
}

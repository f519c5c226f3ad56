import { randomUUID } from 'node:crypto';
import type { BlockBlobClient, ContainerClient } from '@azure/storage-blob';
import { withContainer } from '../storage/blobs.ts';
import { storageFailure } from '../storage/storageFailure.ts';
import type { PayloadStore, PayloadUpload } from './payloadStore.ts';

/** Whose payloads these are: the first two folders of each blob's name, so customers never share one. */
export interface PayloadOwner {
  readonly customer: string;
  readonly connection: string;
}

/** Two are in flight and one is being filled: this bounds what an upload holds, and a blob to 100 GB. */
const blockBytes = 2 * 1_024 * 1_024;
const maxBlocksInFlight = 2;
const doing = 'storing a payload in email-payloads';

/**
 * Uploads payloads as block blobs `{customer}/{connection}/{yyyy-mm-dd}/{uuid}` of the container, which is
 * made at first use. Blocks that are never committed are seen by nobody and removed by the service.
 */
export function createBlobPayloadStore(container: ContainerClient, owner: PayloadOwner): PayloadStore {
  return {
    beginUpload: () => {
      const day = new Date().toISOString().slice(0, 10);
      const name = `${owner.customer}/${owner.connection}/${day}/${randomUUID()}`;
      return new BlockUpload(container, name);
    },
  };
}

class BlockUpload implements PayloadUpload {
  readonly #container: ContainerClient;
  readonly #blob: BlockBlobClient;
  readonly #claimCheck: string;
  readonly #blockIds: string[] = [];
  readonly #inFlight = new Set<Promise<void>>();
  readonly #aborting = new AbortController();
  /** Blocks that were sent, to be filled again: fresh ones would pile up until the next collection. */
  readonly #spare: Buffer[] = [];
  #block: Buffer | undefined;
  #filled = 0;
  #error: unknown;

  constructor(container: ContainerClient, name: string) {
    this.#container = container;
    this.#blob = container.getBlockBlobClient(name);
    this.#claimCheck = `${container.containerName}/${name}`;
  }

  async write(piece: Buffer): Promise<void> {
    for (let from = 0; from < piece.length; ) {
      this.#block ??= this.#spare.pop() ?? Buffer.allocUnsafeSlow(blockBytes);
      const taken = piece.copy(this.#block, this.#filled, from);
      from += taken;
      this.#filled += taken;
      if (this.#filled === blockBytes) await this.#stage();
    }
  }

  async commit(): Promise<string> {
    if (this.#filled > 0) await this.#stage();
    await Promise.all(this.#inFlight);
    this.#throwIfFailed();
    try {
      await withContainer(this.#container, () =>
        this.#blob.commitBlockList(this.#blockIds, {
          abortSignal: this.#aborting.signal,
          blobHTTPHeaders: { blobContentType: 'application/octet-stream' },
        }),
      );
    } catch (error) {
      throw storageFailure(error, doing);
    }
    return this.#claimCheck;
  }

  async abort(): Promise<void> {
    this.#aborting.abort();
    await Promise.all(this.#inFlight);
    this.#block = undefined;
    this.#spare.length = 0;
  }

  async #stage(): Promise<void> {
    const block = this.#block;
    if (block === undefined) return;
    const bytes = block.subarray(0, this.#filled);
    this.#block = undefined;
    this.#filled = 0;
    while (this.#inFlight.size >= maxBlocksInFlight) await Promise.race(this.#inFlight);
    this.#throwIfFailed();
    const id = Buffer.from(String(this.#blockIds.length).padStart(10, '0')).toString('base64');
    this.#blockIds.push(id);
    const staged = this.#send(id, bytes).finally(() => {
      this.#inFlight.delete(staged);
      this.#spare.push(block);
    });
    this.#inFlight.add(staged);
  }

  /** Never rejects: the error is thrown to the next call. */
  async #send(id: string, bytes: Buffer): Promise<void> {
    const abortSignal = this.#aborting.signal;
    try {
      await withContainer(this.#container, () =>
        this.#blob.stageBlock(id, bytes, bytes.length, { abortSignal }),
      );
    } catch (error) {
      this.#error ??= error;
    }
  }

  #throwIfFailed(): void {
    if (this.#error !== undefined) throw storageFailure(this.#error, doing);
  }
}

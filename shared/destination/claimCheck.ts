import { randomBytes } from 'node:crypto';
import type { BlockBlobClient, ContainerClient } from '@azure/storage-blob';
import type { ConnectionKey } from '../connection/connectionStore.ts';
import { Failure } from '../failure/failure.ts';
import type { PartMessage, PlacedContent } from '../message/message.ts';
import { withMade } from '../storage/firstUse.ts';
import { codeOf, storageFailure } from '../storage/storageFailure.ts';

/** Whose payloads these are: the folders of each blob's name. */
export type PayloadOwner = ConnectionKey & { readonly interchangeId: string };

/** What the blob says of its content, for whoever opens it by hand, is taken from these. */
export type Labelled = Pick<PartMessage<PlacedContent>, 'head' | 'content'>;

/** Memory that a mail's parts, and their uploads beside what they need at the least, may take. */
export interface ContentMemory {
  /** Whether so many bytes more may be held; they are, if so. */
  tryGrow(sizeBytes: number): boolean;
  shrink(sizeBytes: number): void;
}

type Pieces = Iterable<Buffer> | AsyncIterable<Buffer>;

/** One is in flight, or two where memory allows, and one is being filled. With the small ones a blob holds 12 GB. */
const largeBlockBytes = 2 * 1_024 * 1_024;
const smallBlockBytes = 256 * 1_024;
const doing = 'storing a payload in email-payloads';

/** The name is taken by other bytes, which stay. */
export class PayloadConflict extends Failure {
  readonly uploadNumber: number;
  readonly sha256: string;

  constructor(claimCheck: string, uploadNumber: number, sha256: string) {
    super('storage', `The blob ${claimCheck} holds other bytes than this mail's part.`);
    this.uploadNumber = uploadNumber;
    this.sha256 = sha256;
  }
}

/**
 * The payloads of one mail, as block blobs `{customer}/{connection}/{interchangeId}/{part}` of container
 * `email-payloads`, which is made at first use. The name hangs on the mail alone, so that a repeat makes no second
 * blob: one that is there with the same bytes is used, and counts as new for the lifecycle rule; one with other bytes
 * stays, and the part's SHA-256 goes into the name.
 */
export class MailPayloads {
  readonly #container: ContainerClient;
  readonly #folder: string;
  readonly #taken = new Map<number, string>();
  #uploads = 0;

  constructor(container: ContainerClient, { customer, connection, interchangeId }: PayloadOwner) {
    this.#container = container;
    this.#folder = `${customer}/${connection}/${interchangeId}`;
  }

  /** Begins with the mail, or anew, whose parts come in the same order. */
  start(): void {
    this.#uploads = 0;
  }

  /** When the mail is begun anew, this name is left to the bytes that have it. */
  passOver({ uploadNumber, sha256 }: PayloadConflict): void {
    this.#taken.set(uploadNumber, sha256);
  }

  /** Begins a blob for the next part that is too large while the mail is read. Nobody sees it until `commit`. */
  beginUpload(memory: ContentMemory): PayloadUpload {
    this.#uploads += 1;
    const sha256 = this.#taken.get(this.#uploads);
    const name = `${this.#folder}/large-${this.#uploads}${sha256 === undefined ? '' : `-${sha256}`}`;
    return new PayloadUpload(this.#container, name, this.#uploads, memory);
  }

  /** Uploads bytes that are there already, under this name in the mail's folder. Gives the claim check. */
  async upload(fileName: string, part: Labelled, read: () => Pieces): Promise<string> {
    const name = `${this.#folder}/${fileName}`;
    try {
      return await this.#uploadAs(name, part, read);
    } catch (error) {
      if (!(error instanceof PayloadConflict)) throw error;
      return await this.#uploadAs(`${name}-${part.content.sha256}`, part, read);
    }
  }

  async #uploadAs(name: string, part: Labelled, read: () => Pieces): Promise<string> {
    const upload = new PayloadUpload(this.#container, name, 0);
    for await (const piece of read()) await upload.write(piece);
    await upload.end();
    await upload.commit(part);
    return upload.claimCheck;
  }
}

/** One blob on its way. All methods but `abort` reject with a `Failure('storage')`. */
export class PayloadUpload {
  /** `container/blob` */
  readonly claimCheck: string;
  readonly #number: number;
  readonly #container: ContainerClient;
  readonly #blob: BlockBlobClient;
  readonly #blockBytes: number;
  readonly #maxInFlight: number;
  /** Two writers of one name must not mix their blocks. */
  readonly #mark = randomBytes(8).toString('hex');
  readonly #blockIds: string[] = [];
  readonly #inFlight = new Set<Promise<void>>();
  readonly #aborting = new AbortController();
  /** Blocks that were sent, to be filled again: fresh ones would pile up until the next collection. */
  readonly #spare: Buffer[] = [];
  #releaseMemory: () => void;
  #block: Buffer | undefined;
  #filledBytes = 0;
  #error: unknown;

  constructor(container: ContainerClient, name: string, uploadNumber: number, memory?: ContentMemory) {
    this.#container = container;
    this.#blob = container.getBlockBlobClient(name);
    this.#number = uploadNumber;
    this.claimCheck = `${container.containerName}/${name}`;
    const hasRoom = memory?.tryGrow(3 * largeBlockBytes) === true;
    this.#releaseMemory = () => {
      if (hasRoom) memory?.shrink(3 * largeBlockBytes);
      this.#releaseMemory = () => undefined;
    };
    this.#blockBytes = hasRoom ? largeBlockBytes : smallBlockBytes;
    this.#maxInFlight = hasRoom ? 2 : 1;
  }

  /** Takes a piece, which the caller must not change later; a wait is backpressure. */
  async write(piece: Buffer): Promise<void> {
    for (let from = 0; from < piece.length; ) {
      this.#block ??= this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.#blockBytes);
      const taken = piece.copy(this.#block, this.#filledBytes, from);
      from += taken;
      this.#filledBytes += taken;
      if (this.#filledBytes === this.#blockBytes) await this.#stage();
    }
  }

  /** Resolves when all that was written is with the service; nobody sees it there yet. */
  async end(): Promise<void> {
    await this.#stage();
    await Promise.all(this.#inFlight);
    this.#throwIfFailed();
    this.#spare.length = 0;
    this.#releaseMemory();
  }

  /** Makes the blob visible, whole; rejects with a `PayloadConflict` where the name has other bytes already. */
  async commit({ head, content: { sha256 } }: Labelled): Promise<void> {
    const fileName = String(head.applicationProperties.inboundFileName);
    try {
      await withMade(this.#container, () =>
        this.#blob.commitBlockList(this.#blockIds, {
          conditions: { ifNoneMatch: '*' },
          blobHTTPHeaders: {
            blobContentType: head.contentType,
            blobContentDisposition: `attachment; filename*=UTF-8''${encodeURIComponent(fileName)}`,
          },
          metadata: { sha256 },
        }),
      );
    } catch (error) {
      if (!/^(BlobAlreadyExists|ConditionNotMet|BlobImmutable.*)$/.test(codeOf(error) ?? '')) {
        throw storageFailure(error, doing);
      }
      await this.#takeOver(sha256);
    }
  }

  /** Leaves nothing behind that anyone can see: blocks that were not committed go by themselves. Never rejects. */
  async abort(): Promise<void> {
    this.#aborting.abort();
    await Promise.all(this.#inFlight);
    this.#releaseMemory();
  }

  /** Uses the blob that is there, and renews its age, if its bytes are the same. */
  async #takeOver(sha256: string): Promise<void> {
    try {
      const { metadata } = await this.#blob.getProperties();
      if (metadata?.sha256 !== sha256) throw new PayloadConflict(this.claimCheck, this.#number, sha256);
      await this.#blob.setMetadata({ sha256 }).catch(unlessImmutable);
    } catch (error) {
      throw storageFailure(error, doing);
    }
  }

  async #stage(): Promise<void> {
    const block = this.#block;
    if (block === undefined) return;
    const bytes = block.subarray(0, this.#filledBytes);
    this.#block = undefined;
    this.#filledBytes = 0;
    while (this.#inFlight.size >= this.#maxInFlight) await Promise.race(this.#inFlight);
    this.#throwIfFailed();
    const number = String(this.#blockIds.length).padStart(8, '0');
    const id = Buffer.from(`${this.#mark}${number}`).toString('base64');
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
      await withMade(this.#container, () =>
        this.#blob.stageBlock(id, bytes, bytes.length, { abortSignal }).catch(unlessImmutable),
      );
    } catch (error) {
      this.#error ??= error;
    }
  }

  #throwIfFailed(): void {
    if (this.#error !== undefined) throw storageFailure(this.#error, doing);
  }
}

/** For `catch`: a blob under a retention policy or a legal hold takes nothing more, and no lifecycle rule removes it. */
function unlessImmutable(error: unknown): void {
  if (!codeOf(error)?.startsWith('BlobImmutable')) throw error;
}

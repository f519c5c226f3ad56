import { createHash, hash } from 'node:crypto';
import type { Content, ContentStore, ContentWriter } from '../mail/mail.ts';
import type { PayloadStore, PayloadUpload } from './payloadStore.ts';
import { readPieces, type SpillFile, SpillFolder } from './spillFolder.ts';

export interface ContentStoreOptions {
  /** Content up to this size may fit a message and stays local; larger content goes to `payloads` at once. */
  readonly maxInlineBytes: number;
  readonly payloads: PayloadStore;
  /** A folder for this mail alone; made when first needed, removed by `dispose`. */
  readonly spillFolder: string;
  /** What one mail's parts may take of memory together; the rest waits in `spillFolder`. */
  readonly holdBytes?: number;
}

/** The content store of one mail. */
export interface MailContentStore extends ContentStore {
  /** Moves content that proved too large for a message to a blob. Rejects with a `Failure('storage')`. */
  toClaimCheck(content: Content): Promise<Content>;
  /** Removes what was set aside locally; blobs stay. Never rejects. */
  dispose(): Promise<void>;
}

export const defaultHoldBytes = 16 * 1_024 * 1_024;

/**
 * Keeps a mail's parts in memory while they are small, in temporary files when they are many, and sends what
 * no message can carry to the payload store while it is being decoded. Hashes on the way.
 */
export function createContentStore(options: ContentStoreOptions): MailContentStore {
  return new SpillingContentStore(options);
}

class SpillingContentStore implements MailContentStore {
  readonly #options: ContentStoreOptions;
  readonly #memory: Memory;
  readonly #files: SpillFolder;

  constructor(options: ContentStoreOptions) {
    this.#options = options;
    this.#memory = { heldBytes: 0, limitBytes: options.holdBytes ?? defaultHoldBytes };
    this.#files = new SpillFolder(options.spillFolder);
  }

  async put(bytes: Buffer): Promise<Content> {
    if (bytes.length > this.#options.maxInlineBytes || !reserve(this.#memory, bytes.length)) {
      return await this.#putAway(bytes);
    }
    return { kind: 'bytes', bytes, sizeBytes: bytes.length, sha256: hash('sha256', bytes, 'hex') };
  }

  async #putAway(bytes: Buffer): Promise<Content> {
    const writer = this.begin();
    try {
      await writer.write(bytes);
    } catch (error) {
      await writer.abort();
      throw error;
    }
    return await writer.end();
  }

  begin(): ContentWriter {
    return new SpillingWriter(this.#options, this.#memory, this.#files);
  }

  async toClaimCheck(content: Content): Promise<Content> {
    if (content.kind === 'blob') return content;
    const { sizeBytes, sha256 } = content;
    const upload = this.#options.payloads.beginUpload();
    try {
      if (content.kind === 'bytes') await upload.write(content.bytes);
      else for await (const piece of readPieces(content.path)) await upload.write(piece);
      return { kind: 'blob', claimCheck: await upload.commit(), sizeBytes, sha256 };
    } catch (error) {
      await upload.abort();
      throw error;
    }
  }

  async dispose(): Promise<void> {
    await this.#files.remove();
  }
}

/** What the mail's parts take of memory, all of them together. */
interface Memory {
  heldBytes: number;
  readonly limitBytes: number;
}

function reserve(memory: Memory, bytes: number): boolean {
  if (memory.heldBytes + bytes > memory.limitBytes) return false;
  memory.heldBytes += bytes;
  return true;
}

/** Where a writer's bytes are going, in the order in which it moves on. */
type Stage =
  | { readonly kind: 'memory'; readonly pieces: Buffer[] }
  | { readonly kind: 'file'; readonly file: SpillFile }
  | { readonly kind: 'upload'; readonly upload: PayloadUpload };

class SpillingWriter implements ContentWriter {
  readonly #options: ContentStoreOptions;
  readonly #memory: Memory;
  readonly #files: SpillFolder;
  readonly #hash = createHash('sha256');
  #sizeBytes = 0;
  #heldBytes = 0;
  #stage: Stage = { kind: 'memory', pieces: [] };

  constructor(options: ContentStoreOptions, memory: Memory, files: SpillFolder) {
    this.#options = options;
    this.#memory = memory;
    this.#files = files;
  }

  write(piece: Buffer): Promise<void> | void {
    this.#hash.update(piece);
    this.#sizeBytes += piece.length;
    const mayStay = this.#sizeBytes <= this.#options.maxInlineBytes;
    if (this.#stage.kind === 'memory' && mayStay && reserve(this.#memory, piece.length)) {
      this.#heldBytes += piece.length;
      this.#stage.pieces.push(piece);
      return;
    }
    return this.#writeAway(piece);
  }

  async end(): Promise<Content> {
    const stage = this.#stage;
    const what = { sizeBytes: this.#sizeBytes, sha256: this.#hash.digest('hex') };
    if (stage.kind === 'memory') return { kind: 'bytes', bytes: joined(stage.pieces), ...what };
    try {
      if (stage.kind === 'upload') return { kind: 'blob', claimCheck: await stage.upload.commit(), ...what };
      await stage.file.close();
      return { kind: 'file', path: stage.file.path, ...what };
    } catch (error) {
      await this.abort();
      throw error;
    }
  }

  async abort(): Promise<void> {
    const stage = this.#stage;
    this.#stage = { kind: 'memory', pieces: [] };
    this.#release();
    if (stage.kind === 'upload') await stage.upload.abort();
    if (stage.kind === 'file') await stage.file.remove();
  }

  async #writeAway(piece: Buffer): Promise<void> {
    if (this.#sizeBytes > this.#options.maxInlineBytes) await (await this.#toUpload()).write(piece);
    else await (await this.#toFile()).write(piece);
  }

  /** Memory is short. */
  async #toFile(): Promise<SpillFile> {
    const stage = this.#stage;
    if (stage.kind === 'file') return stage.file;
    const file = await this.#files.create();
    this.#stage = { kind: 'file', file };
    if (stage.kind === 'memory') for (const held of stage.pieces) await file.write(held);
    this.#release();
    return file;
  }

  /** No message can carry it. */
  async #toUpload(): Promise<PayloadUpload> {
    const stage = this.#stage;
    if (stage.kind === 'upload') return stage.upload;
    const upload = this.#options.payloads.beginUpload();
    this.#stage = { kind: 'upload', upload };
    if (stage.kind === 'memory') {
      for (const held of stage.pieces) await upload.write(held);
    } else {
      await stage.file.close();
      for await (const piece of readPieces(stage.file.path)) await upload.write(piece);
      await stage.file.remove();
    }
    this.#release();
    return upload;
  }

  #release(): void {
    this.#memory.heldBytes -= this.#heldBytes;
    this.#heldBytes = 0;
  }
}

function joined(pieces: readonly Buffer[]): Buffer {
  const [only, second] = pieces;
  return only !== undefined && second === undefined ? only : Buffer.concat(pieces);
}

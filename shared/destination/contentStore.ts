import { createHash, hash } from 'node:crypto';
import type { Content, ContentStore, ContentWriter } from '../mail/mail.ts';
import { type ClaimChecked, type PartMessage, withClaimCheck } from '../message/message.ts';
import type { ContentMemory, MailPayloads, PayloadUpload } from './claimCheck.ts';
import type { UnreadBody } from './destination.ts';
import type { PartContents } from './sendParts.ts';
import { readPieces, readWhole, type SpillFile, SpillFolder } from './spillFolder.ts';

export interface ContentStoreOptions {
  /** Content up to this size may fit a message and stays local; larger content goes to `payloads` at once. */
  readonly maxInlineBytes: number;
  readonly payloads: MailPayloads;
  /** A folder for this mail alone; made when first needed, removed by `dispose`. */
  readonly spillFolder: string;
  /** What is kept beyond it waits in temporary files. */
  readonly memory: ContentMemory;
}

/** Memory of a fixed size, for a mail whose own bytes are in memory already. */
export function fixedMemory(limitBytes: number): ContentMemory {
  const isRoom = (sizeBytes: number): boolean => memory.heldBytes + sizeBytes <= limitBytes;
  const memory = counted({ tryGrow: isRoom, shrink: () => undefined });
  return memory;
}

/** The same memory, which tells how much of it is held through this. */
function counted(memory: ContentMemory): ContentMemory & { readonly heldBytes: number } {
  let heldBytes = 0;
  return {
    get heldBytes() {
      return heldBytes;
    },
    tryGrow(sizeBytes) {
      const isHeld = memory.tryGrow(sizeBytes);
      if (isHeld) heldBytes += sizeBytes;
      return isHeld;
    },
    shrink(sizeBytes) {
      const bytes = Math.min(sizeBytes, heldBytes);
      heldBytes -= bytes;
      memory.shrink(bytes);
    },
  };
}

/**
 * Keeps one mail's parts: in memory while they are small, in temporary files when they are many, and what no
 * message can carry on its way to the payloads while it is being decoded. Hashes on the way.
 */
export class MailContents implements ContentStore, PartContents<Content> {
  readonly #options: ContentStoreOptions;
  readonly #memory: ReturnType<typeof counted>;
  readonly #files: SpillFolder;
  /** Uploads whose blob nobody sees yet, by claim check. */
  readonly #uploads = new Map<string, PayloadUpload>();

  constructor(options: ContentStoreOptions) {
    this.#memory = counted(options.memory);
    this.#options = { ...options, memory: this.#memory };
    this.#files = new SpillFolder(options.spillFolder);
  }

  async put(bytes: Buffer): Promise<Content> {
    const { maxInlineBytes, memory } = this.#options;
    if (bytes.length <= maxInlineBytes && memory.tryGrow(bytes.length)) {
      return { kind: 'bytes', bytes, sizeBytes: bytes.length, sha256: hash('sha256', bytes, 'hex') };
    }
    const writer = this.begin();
    await writer.write(bytes);
    return await writer.end();
  }

  begin(): ContentWriter {
    return new SpillingWriter(this.#options, this.#files, this.#uploads);
  }

  async read(content: Content): Promise<Buffer | UnreadBody> {
    if (content.kind === 'bytes') return content.bytes;
    if (content.kind === 'blob') return Buffer.alloc(0);
    return { length: content.sizeBytes, read: () => readWhole(content.path) };
  }

  async toClaimCheck(part: PartMessage): Promise<PartMessage<ClaimChecked>> {
    const { content, partNumber } = part;
    if (content.kind === 'blob') {
      await this.#uploads.get(content.claimCheck)?.commit(part);
      this.#uploads.delete(content.claimCheck);
      return { ...part, content };
    }
    const pieces = () => (content.kind === 'bytes' ? [content.bytes] : readPieces(content.path));
    const claimCheck = await this.#options.payloads.upload(`part-${partNumber}`, part, pieces);
    return withClaimCheck(part, claimCheck);
  }

  /** Removes what was set aside locally, and gives back all memory; uploads that nobody sees go by themselves. Never rejects. */
  async dispose(): Promise<void> {
    await this.#files.remove();
    this.#memory.shrink(this.#memory.heldBytes);
  }
}

/** Where a writer's bytes are going, in the order in which it moves on. */
type Stage =
  | { readonly kind: 'memory'; readonly pieces: Buffer[] }
  | { readonly kind: 'file'; readonly file: SpillFile }
  | { readonly kind: 'upload'; readonly upload: PayloadUpload };

class SpillingWriter implements ContentWriter {
  readonly #options: ContentStoreOptions;
  readonly #files: SpillFolder;
  readonly #uploads: Map<string, PayloadUpload>;
  readonly #hash = createHash('sha256');
  #sizeBytes = 0;
  #heldBytes = 0;
  #stage: Stage = { kind: 'memory', pieces: [] };

  constructor(options: ContentStoreOptions, files: SpillFolder, uploads: Map<string, PayloadUpload>) {
    this.#options = options;
    this.#files = files;
    this.#uploads = uploads;
  }

  write(piece: Buffer): Promise<void> | void {
    this.#hash.update(piece);
    this.#sizeBytes += piece.length;
    const { maxInlineBytes, memory } = this.#options;
    const mayStay = this.#stage.kind === 'memory' && this.#sizeBytes <= maxInlineBytes;
    if (this.#stage.kind === 'memory' && mayStay && memory.tryGrow(piece.length)) {
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
    if (stage.kind === 'upload') {
      await stage.upload.end();
      this.#uploads.set(stage.upload.claimCheck, stage.upload);
      return { kind: 'blob', claimCheck: stage.upload.claimCheck, ...what };
    }
    await stage.file.close();
    return { kind: 'file', path: stage.file.path, ...what };
  }

  async abort(): Promise<void> {
    const stage = this.#stage;
    this.#stage = { kind: 'memory', pieces: [] };
    this.#releaseMemory();
    if (stage.kind === 'upload') await stage.upload.abort();
    if (stage.kind === 'file') await stage.file.remove();
  }

  async #writeAway(piece: Buffer): Promise<void> {
    if (this.#sizeBytes <= this.#options.maxInlineBytes && (await this.#writeToFile(piece))) return;
    await (await this.#toUpload()).write(piece);
  }

  /** Memory is short. False where there is no room for files either: then the blob takes it. */
  async #writeToFile(piece: Buffer): Promise<boolean> {
    const stage = this.#stage;
    if (stage.kind === 'upload') return false;
    const file = stage.kind === 'file' ? stage.file : await this.#files.create().catch(() => undefined);
    if (file === undefined) return false;
    const held = stage.kind === 'memory' ? stage.pieces : [];
    for (const bytes of [...held, piece]) {
      if (await file.write(bytes)) continue;
      if (stage.kind === 'memory') await file.remove();
      return false;
    }
    this.#stage = { kind: 'file', file };
    this.#releaseMemory();
    return true;
  }

  /** No message can carry it, or it has no other place. */
  async #toUpload(): Promise<PayloadUpload> {
    const stage = this.#stage;
    if (stage.kind === 'upload') return stage.upload;
    const upload = this.#options.payloads.beginUpload(this.#options.memory);
    this.#stage = { kind: 'upload', upload };
    if (stage.kind === 'memory') {
      for (const held of stage.pieces) await upload.write(held);
    } else {
      try {
        for await (const piece of stage.file.readBack()) await upload.write(piece);
      } finally {
        await stage.file.remove();
      }
    }
    this.#releaseMemory();
    return upload;
  }

  #releaseMemory(): void {
    this.#options.memory.shrink(this.#heldBytes);
    this.#heldBytes = 0;
  }
}

function joined(pieces: readonly Buffer[]): Buffer {
  const [only, second] = pieces;
  return only !== undefined && second === undefined ? only : Buffer.concat(pieces);
}

import libmime from 'libmime';
import type { TextPart } from './body.ts';
import { decodeText } from './charset.ts';
import { ContentSink } from './contentSink.ts';
import type { Entity } from './entity.ts';
import type { Content, ContentStore, SplitRules } from './mail.ts';
import { isBlank, type ScanEvent } from './mimeScanner.ts';
import { Unsplittable } from './refusal.ts';
import { decodeTransfer } from './transferEncoding.ts';

/** An attachment as it stands in the mail, stored. */
export interface Attachment {
  readonly order: number;
  readonly contentType: string;
  readonly fileName: string | undefined;
  readonly content: Content;
}

/** A text body that can also be sent as an attachment, as it stands in the mail. */
export interface MailText extends TextPart {
  readonly contentType: string;
  readonly fileName: string | undefined;
  bytes(): Buffer;
  /** The content ids that it refers to by `cid:`. */
  shownIds(): ReadonlySet<string>;
}

/** What a mail holds. */
export interface MailContents {
  readonly texts: readonly MailText[];
  readonly attachments: readonly Attachment[];
  /** Also those that the rules leave out. */
  readonly attachmentCount: number;
}

type Leaf =
  | {
      readonly kind: 'text';
      readonly entity: Entity;
      readonly alternative: number | undefined;
      pieces: Buffer[];
    }
  | { readonly kind: 'attachment'; readonly entity: Entity; readonly sink: ContentSink }
  | { readonly kind: 'left-out' };

/** All texts of a mail are held in memory; one with more goes raw. */
const maxTextBytes = 16 * 1024 * 1024;

/** Sorts the leaves of a mail into texts, which it holds, and attachments, which it stores as they come. */
export class LeafCollector {
  readonly #rules: SplitRules;
  readonly #store: ContentStore;
  readonly #texts: MailText[] = [];
  readonly #attachments: Attachment[] = [];
  #leaf: Leaf = { kind: 'left-out' };
  #order = 0;
  #attachmentCount = 0;
  #textBytes = 0;

  constructor(rules: SplitRules, store: ContentStore) {
    this.#rules = rules;
    this.#store = store;
  }

  /** A returned promise is backpressure. */
  take(event: ScanEvent): Promise<void> | void {
    if (event.kind === 'part') this.#leaf = this.#begin(event.entity, event.alternative);
    else if (event.kind === 'body') return this.#write(event.bytes);
    else return this.#end();
  }

  contents(): MailContents {
    return { texts: this.#texts, attachments: this.#attachments, attachmentCount: this.#attachmentCount };
  }

  #begin(entity: Entity, alternative: number | undefined): Leaf {
    this.#order++;
    if (isText(entity, alternative, this.#texts.length > 0))
      return { kind: 'text', entity, alternative, pieces: [] };
    this.#attachmentCount++;
    const { sendAttachments, inlineAttachments } = this.#rules;
    if (!sendAttachments || (!inlineAttachments && this.#isShown(entity))) return { kind: 'left-out' };
    return { kind: 'attachment', entity, sink: new ContentSink(this.#store, entity.encoding) };
  }

  #write(bytes: Buffer): Promise<void> | void {
    if (this.#leaf.kind === 'attachment') return this.#leaf.sink.write(bytes);
    if (this.#leaf.kind === 'left-out') return;
    this.#textBytes += bytes.length;
    if (this.#textBytes > maxTextBytes) throw new Unsplittable('its text is larger than 16 MiB');
    this.#leaf.pieces.push(bytes);
  }

  #end(): Promise<void> | void {
    const leaf = this.#leaf;
    this.#leaf = { kind: 'left-out' };
    if (leaf.kind === 'attachment') return this.#storeAttachment(leaf.entity, leaf.sink, this.#order);
    if (leaf.kind === 'text')
      this.#texts.push(readText(leaf.entity, leaf.alternative, leaf.pieces, this.#order));
  }

  async #storeAttachment(entity: Entity, sink: ContentSink, order: number): Promise<void> {
    const content = await sink.end();
    this.#attachments.push({ order, contentType: entity.declaredType, fileName: entity.fileName, content });
  }

  /** RFC 2392: an HTML text that stands before it refers to it by `cid:`. */
  #isShown(entity: Entity): boolean {
    const id = entity.contentId;
    if (id === undefined) return false;
    return this.#texts.some((text) => text.shownIds().has(id));
  }
}

/**
 * mailparser's rule, but for two things: a text with a file name behind another text is an attachment
 * that a sender wants shown, and a delivery status keeps its own form.
 */
function isText(entity: Entity, alternative: number | undefined, hasText: boolean): boolean {
  if (entity.mediaType !== 'text/plain' && entity.mediaType !== 'text/html') return false;
  if (entity.disposition === 'attachment') return false;
  return !(entity.fileName !== undefined && hasText && alternative === undefined);
}

function readText(
  entity: Entity,
  alternative: number | undefined,
  pieces: Buffer[],
  order: number,
): MailText {
  const encoded = pieces.length === 1 ? (pieces[0] ?? Buffer.alloc(0)) : Buffer.concat(pieces);
  const bytes = decodeTransfer(entity.encoding, encoded);
  if (bytes.length === 0 && !isBlank(encoded)) throw new Unsplittable('a text in it can’t be decoded');
  const html = entity.mediaType === 'text/html';
  let shownIds: ReadonlySet<string> | undefined;
  return {
    order,
    subtype: html ? 'html' : 'plain',
    alternative,
    blank: isBlank(bytes),
    contentType: entity.declaredType,
    fileName: entity.fileName,
    bytes: () => bytes,
    shownIds: () => {
      shownIds ??= html ? findShownIds(bytes.toString('latin1')) : new Set();
      return shownIds;
    },
    text: () =>
      decodeText(entity.flowed ? unfold(bytes, entity.delSp) : bytes, entity.charset, html).replaceAll(
        '\r\n',
        '\n',
      ),
  };
}

/** RFC 3676: joins the lines of a flowed text. */
function unfold(bytes: Buffer, delSp: boolean): Buffer {
  return Buffer.from(libmime.decodeFlowed(bytes.toString('latin1'), delSp), 'latin1');
}

/** The ids of the parts that an HTML text shows, as they are and percent-decoded. */
function findShownIds(html: string): ReadonlySet<string> {
  const ids = new Set<string>();
  for (const [, id = ''] of html.matchAll(/cid:([^"'\s<>)]{1,256})/gi)) {
    ids.add(id);
    if (!id.includes('%')) continue;
    try {
      ids.add(decodeURIComponent(id));
    } catch {
      // Not percent-encoded then.
    }
  }
  return ids;
}

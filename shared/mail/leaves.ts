import type { TextBranch, TextTree } from './body.ts';
import { ContentSink, HeldBody } from './contentSink.ts';
import type { Entity } from './entity.ts';
import { giveWay } from './eventLoop.ts';
import { safeFileName } from './fileName.ts';
import { beginsAsEntity } from './header.ts';
import { findShownIds } from './html.ts';
import {
  beginsAsMultipart,
  containerOf,
  isNameless,
  isNoise,
  isPicture,
  type TextRole,
  textRole,
} from './leafKind.ts';
import type { Content, ContentStore, Omission, OmissionReason, SplitRules } from './mail.ts';
import { type MimeEvent, MultipartScanner } from './multipart.ts';
import { openSignedData } from './signedData.ts';
import { type MailText, readText } from './text.ts';
import { maxNameBytes, unpackTnef, type Winmail, type WinmailPart } from './tnef.ts';
import { readUuName } from './transferEncoding.ts';
import { Unsplittable } from './unsplittable.ts';

/** An attachment as it stands in the mail. */
export interface Attachment {
  readonly order: number;
  readonly contentType: string;
  readonly fileName: string | undefined;
  /** Stored, not stored yet, or still open where it is not known yet whether it is sent. */
  readonly body: Content | Buffer | ContentSink;
  /** The HTML may show it. */
  readonly pictureId?: string | undefined;
}

/** A leaf that is held until its end, since it may be the body or is to be unpacked. */
interface HeldLeaf {
  readonly order: number;
  readonly entity: Entity;
  readonly role: TextRole | 'container';
  readonly held: HeldBody;
}

interface AttachmentLeaf {
  readonly order: number;
  readonly entity: Entity;
  readonly sink: ContentSink;
  readonly pictureId: string | undefined;
  /** For the end of the mail, to know whether it is sent. */
  readonly waits: boolean;
}

/** All texts of a mail are held in memory; one with more goes raw. */
const maxTextBytes = 16 * 1024 * 1024;
/** A text of another kind that is larger is an attachment and never the body. */
const maxOtherTextBytes = 1024 * 1024;
/** A larger winmail.dat or signed mail is sent as it is. */
const maxContainerBytes = 32 * 1024 * 1024;
/** Beyond so much the mail could bring the process down. */
const riskyBytes = 1024 * 1024;
/** So many attachments wait for the end of the mail to know whether they are sent. */
const maxWaiting = 64;
/** Signed mails in signed mails are opened so often: each is held in memory beside the one that it is in. */
const maxSignatures = 3;
/** Longer base64 has line ends or blanks in it if it is none. */
const maxWordBytes = 80;

/**
 * Sorts the leaves of a mail into texts, which it holds, and attachments, which it stores as they come. What
 * became of each of them stands here at the end: none gets lost on the way.
 */
export class LeafCollector {
  readonly texts: TextBranch = { kind: 'sequence', children: [] };
  /** Texts of other kinds than plain and html, which are the body where there is none of both. */
  readonly otherTexts: MailText[] = [];
  /** A text that is an attachment, for a mail that has no other and whose attachments aren't sent. */
  namedText: MailText | undefined;
  /** The text in a winmail.dat, for a mail whose own texts show nothing. */
  readonly winmailBody: TextBranch = { kind: 'sequence', children: [] };
  readonly attachments: Attachment[] = [];
  readonly omissions: Omission[] = [];
  readonly warnings = new Set<string>();
  /** How many leaves there were. */
  count = 0;
  /** How many signed mails were opened. */
  signatures = 0;
  hasBodyText = false;
  readonly #rules: SplitRules;
  readonly #store: ContentStore;
  readonly #entities: { entities: number };
  readonly #beforeRisk: () => Promise<void>;
  readonly #open = [this.texts];
  readonly #htmlTexts: { readonly text: MailText; shownIds?: ReadonlySet<string> }[] = [];
  readonly #shownPictures = new Set<string>();
  #leaf: HeldLeaf | AttachmentLeaf | undefined;
  #heldBytes = 0;
  #textBytes = 0;
  #waiting = 0;

  /** `entities` are counted by the scanner, and go on in the mails within it; `beforeRisk` is called often. */
  constructor(
    rules: SplitRules,
    store: ContentStore,
    entities: { entities: number },
    beforeRisk: () => Promise<void>,
  ) {
    this.#rules = rules;
    this.#store = store;
    this.#entities = entities;
    this.#beforeRisk = beforeRisk;
  }

  /** A returned promise is backpressure. */
  take(event: MimeEvent): Promise<void> | void {
    switch (event.kind) {
      case 'multipart': {
        const kind = event.entity.mediaType === 'multipart/alternative' ? 'alternative' : 'sequence';
        const tree: TextBranch = { kind, children: [] };
        this.#open.at(-1)?.children.push(tree);
        this.#open.push(tree);
        return;
      }
      case 'multipart-end':
        this.#open.pop();
        return;
      case 'part':
        return this.#begin(event.entity);
      case 'body':
        return this.#write(event.bytes);
      case 'part-end':
        return this.#end();
    }
  }

  #begin(entity: Entity): Promise<void> | void {
    const order = ++this.count;
    const role = textRole(entity, this.#rules, this) ?? (containerOf(entity, this.#rules) && 'container');
    if (role !== 'body' && entity.mediaType.startsWith('text/') && isNameless(entity.fileName))
      this.#open.at(-1)?.children.push({ kind: 'other' });
    if (entity.encoding === 'unknown' && !this.#rules.sendAttachments && isUnmarked(entity))
      throw new Unsplittable('a part in it that may be its text is in an unknown transfer encoding');
    if (entity.encoding === 'unknown')
      this.warnings.add('A part in an unknown transfer encoding was sent as it is.');
    if (role === undefined) return this.#beginAttachment(order, entity);
    this.#leaf = { order, entity, role, held: new HeldBody(entity.encoding) };
  }

  async #beginAttachment(order: number, entity: Entity): Promise<void> {
    const { inlineAttachments, attachmentFilter } = this.#rules;
    // RFC 2392: an HTML text that stands before or behind a picture refers to it by `cid:`.
    const pictureId = !inlineAttachments && isPicture(entity) ? entity.contentId : undefined;
    const reason = await this.#whyOmitted(entity, pictureId);
    if (reason !== undefined) {
      this.omissions.push({ order, reason });
      this.#leaf = undefined;
      return;
    }
    const mayBeLeftOut =
      pictureId !== undefined || (attachmentFilter !== undefined && isNameless(entity.fileName));
    const waits = mayBeLeftOut && ++this.#waiting <= maxWaiting;
    const sink = new ContentSink(this.#store, entity.encoding);
    this.#leaf = { order, entity, sink, pictureId, waits };
  }

  async #whyOmitted(
    { fileName }: Entity,
    pictureId: string | undefined,
  ): Promise<OmissionReason | undefined> {
    const { sendAttachments, attachmentFilter } = this.#rules;
    if (!sendAttachments) return 'sendAttachments';
    const name = safeFileName(fileName, '');
    if (name !== '' && attachmentFilter?.(name) === false) return 'attachmentFilter';
    return pictureId !== undefined && (await this.showsPicture(pictureId)) ? 'inlineAttachments' : undefined;
  }

  /** Whether an HTML text shows it; of several with the same id the first. */
  async showsPicture(id: string): Promise<boolean> {
    if (this.#shownPictures.has(id)) return false;
    for (const html of this.#htmlTexts) {
      html.shownIds ??= await findShownIds(html.text.pieces());
      if (!html.shownIds.has(id)) continue;
      this.#shownPictures.add(id);
      return true;
    }
    return false;
  }

  #write(bytes: Buffer): Promise<void> | void {
    const leaf = this.#leaf;
    if (leaf === undefined) return;
    if ('sink' in leaf) return leaf.sink.write(bytes);
    const { held, role } = leaf;
    held.write(bytes);
    this.#heldBytes += bytes.length;
    if (role !== 'container') this.#countText(bytes);
    const maxText = role === 'other' ? maxOtherTextBytes : maxTextBytes;
    if (held.encodedBytes > (role === 'container' ? maxContainerBytes : maxText))
      return this.#giveUpHolding(leaf);
    if (this.#heldBytes > riskyBytes) return this.#beforeRisk();
  }

  #countText({ length }: Buffer): void {
    this.#textBytes += length;
    if (this.#textBytes > maxTextBytes) throw new Unsplittable('its text is larger than 16 MiB');
  }

  /** It is too large to be looked into: an attachment like others. */
  async #giveUpHolding(leaf: HeldLeaf): Promise<void> {
    const { order, role, held } = leaf;
    if (role !== 'container') this.#textBytes -= held.encodedBytes;
    await this.#beginAttachment(order, withOwnName(leaf));
    for (const piece of held.takeEncoded()) {
      await this.#write(piece);
      await giveWay();
    }
  }

  #end(): Promise<void> | void {
    const leaf = this.#leaf;
    this.#leaf = undefined;
    if (leaf === undefined) return;
    if ('sink' in leaf) return this.#endAttachment(leaf);
    return leaf.role === 'container' ? this.#endContainer(leaf) : this.#endText(leaf);
  }

  async #endAttachment({ order, entity, sink, pictureId, waits }: AttachmentLeaf): Promise<void> {
    const { declaredType: contentType } = entity;
    const body = waits ? sink : await this.endBody(sink);
    this.attachments.push({ order, contentType, fileName: entity.fileName, body, pictureId });
  }

  /** The body of what is sent; warns of what was behind its end. */
  async endBody<T>(body: { end(): Promise<T>; readonly hasTrailer: boolean }): Promise<T> {
    const ended = await body.end();
    if (body.hasTrailer) this.warnings.add('What stood behind the end of an attachment’s data was left out.');
    return ended;
  }

  async #endText({ order, entity, role, held }: HeldLeaf): Promise<void> {
    const encoded = held.encodedBytes <= maxWordBytes ? held.encodedStart(maxWordBytes) : undefined;
    const bytes = await held.end();
    if (held.hasTrailer || (encoded !== undefined && isNoise(encoded, bytes, entity)))
      throw new Unsplittable('a text in it is not encoded as it says');
    if (bytes.length === 0 && held.encodedBytes > 0 && !held.isBlank)
      throw new Unsplittable('a text in it can’t be decoded');
    if (role === 'body' && beginsAsMultipart(bytes))
      throw new Unsplittable('a text in it is the source of a multipart');
    const text = readText(order, entity, bytes);
    if (text.isBinary) throw new Unsplittable('a part of it is declared text and is none');
    if (text.misdeclared) this.warnings.add('A text was not in the charset that it declares.');
    if (role === 'named') this.namedText = text;
    else if (role === 'other') this.otherTexts.push(text);
    else {
      this.hasBodyText = true;
      this.#open.at(-1)?.children.push({ kind: 'text', text });
      if (text.form === 'html') this.#htmlTexts.push({ text });
    }
  }

  /** Takes what is in a container in its place, or the container where it can't be opened. */
  async #endContainer(leaf: HeldLeaf): Promise<void> {
    const { order, held } = leaf;
    await this.#beforeRisk();
    const entity: Entity = { ...withOwnName(leaf), encoding: 'identity' };
    const bytes = await this.endBody(held);
    const kind = containerOf(entity, this.#rules);
    if (kind === 'signed') {
      const inner = this.signatures < maxSignatures ? openSignedData(bytes) : undefined;
      if (inner === undefined) this.warnings.add('A signed mail could not be opened.');
      // A file may be signed in the same way and named the same: `invoice.xml.p7m`.
      else if (beginsAsEntity(inner)) return this.#takeSigned(inner);
    } else if (kind === 'tnef') {
      const winmail = await unpackTnef(bytes);
      if (winmail !== undefined) {
        await this.#takeWinmail(winmail);
        if (winmail.holdsMore) await this.#attach(++this.count, entity, bytes);
        return;
      }
      this.warnings.add('A winmail.dat could not be unpacked.');
    }
    await this.#attach(order, entity, bytes);
  }

  async #attach(order: number, entity: Entity, bytes: Buffer): Promise<void> {
    await this.#beginAttachment(order, entity);
    await this.#write(bytes);
    await this.#end();
  }

  /** The mail within an opaque signature (RFC 8551, 3.5.2) stands in its place. */
  async #takeSigned(inner: Buffer): Promise<void> {
    this.signatures++;
    this.count--;
    const scanner = new MultipartScanner({ count: this.#entities });
    for (const event of scanner.push(inner)) await this.take(event);
    for (const event of scanner.end()) await this.take(event);
  }

  async #takeWinmail({ attachments, body }: Winmail): Promise<void> {
    this.count--;
    this.#entities.entities += attachments.length + body.length;
    const forms: TextTree[] = [];
    for (const part of body) {
      this.#countText(part.bytes);
      const text = readText(++this.count, entityOf(part, 'none'), part.bytes);
      forms.push({ kind: 'text', text });
      if (text.form === 'html') this.#htmlTexts.push({ text });
    }
    this.winmailBody.children.push({ kind: 'alternative', children: forms });
    for (const part of attachments)
      await this.#attach(++this.count, entityOf(part, 'attachment'), part.bytes);
  }
}

/** Whether nothing says that it is an attachment. */
function isUnmarked({ fileName, disposition }: Entity): boolean {
  return isNameless(fileName) && disposition !== 'attachment';
}

/** With the name that uuencoded data says of itself, where its header says none. */
function withOwnName({ entity, held }: HeldLeaf): Entity {
  const isUnnamed = entity.encoding === 'uuencode' && isNameless(entity.fileName);
  const fileName = isUnnamed ? readUuName(held.encodedStart(maxNameBytes)) : undefined;
  return fileName ? { ...entity, fileName } : entity;
}

function entityOf({ bytes, ...said }: WinmailPart, disposition: Entity['disposition']): Entity {
  return { ...said, declaredType: said.mediaType, disposition, multipart: false, encoding: 'identity' };
}

import { type Body, bodyPieces, chooseBody } from './body.ts';
import { ContentSink } from './contentSink.ts';
import { readEnvelope, readEnvelopeStart } from './envelope.ts';
import { giveWay } from './eventLoop.ts';
import { fallbackFileName, safeFileName } from './fileName.ts';
import { type Attachment, LeafCollector } from './leaves.ts';
import {
  type Content,
  type ContentStore,
  type MailSource,
  type Omission,
  type OmissionReason,
  omissionReasons,
  type Part,
  type SplitMail,
  type SplitOptions,
  type SplitRules,
} from './mail.ts';
import { type MimeEvent, MultipartScanner } from './multipart.ts';
import { SourceAndStore } from './sourceAndStore.ts';
import { type MailText, storeText } from './text.ts';
import { Unsplittable } from './unsplittable.ts';

/** How much of a mail is scanned at a time, and read for its envelope where it is not scanned. */
const blockBytes = 64 * 1024;

/**
 * Takes a mail apart (RFC 5322, RFC 2045 to 2049) into what `rules` say is sent, its content going to
 * `store` as it is decoded: a large mail passes through in constant memory, at the store's pace, and in turns of
 * the event loop that stay short. The result hangs on the bytes and the rules alone.
 *
 * Every leaf of the mail is in `parts`, or in `omissions` by the rule that leaves it out. A mail in which one
 * could be neither, that can't be taken apart or that exceeds a limit, gives one `raw` part with all its bytes
 * and a warning. Never rejects because of what a mail holds; what `source`, `store` or `beforeRisk` throw is
 * thrown on as it is, after all writers were aborted.
 */
export async function splitMail(
  source: MailSource,
  rules: SplitRules,
  store: ContentStore,
  options: SplitOptions = {},
): Promise<SplitMail> {
  let why = tooLarge(rules);
  if (source.sizeBytes <= rules.maxMailBytes) {
    const watched = new SourceAndStore(source, store);
    try {
      return await split(watched, rules, options);
    } catch (error) {
      await watched.abortWriters();
      if (watched.failure) throw watched.failure.error;
      why = whyRaw(error);
    }
  }
  const warning = `The mail was not taken apart and goes whole, as message/rfc822, because ${why}.`;
  return rawMail(source, warning, store);
}

/** A mail as one `raw` part with all its bytes, only its envelope read; `warning` is a sentence that says why. */
export async function rawMail(source: MailSource, warning: string, store: ContentStore): Promise<SplitMail> {
  const watched = new SourceAndStore(source, store);
  try {
    return { ...(await copyWhole(watched, 'raw', Number.POSITIVE_INFINITY)), warning };
  } catch (error) {
    await watched.abortWriters();
    throw error;
  }
}

/** A fault of ours is named, so that it is seen, and costs the mail nothing but its being taken apart. */
function whyRaw(error: unknown): string {
  if (error instanceof Unsplittable) return error.message;
  const name = error instanceof Error ? error.name : 'error';
  return `taking it apart failed in this app (${name}), which is worth a report`;
}

async function split(watched: SourceAndStore, rules: SplitRules, options: SplitOptions): Promise<SplitMail> {
  const wantsRaw = rules.sendBody && rules.bodyFormat === 'eml';
  if (!rules.sendAttachments && wantsRaw) return copyWhole(watched, 'body', rules.maxMailBytes);
  const count = { entities: 0 };
  const scanner = new MultipartScanner({ count });
  let announced: Promise<void> | undefined;
  const beforeRisk = () => (announced ??= watched.watch(async () => options.beforeRisk?.()));
  const leaves = new LeafCollector(rules, watched.store, count, beforeRisk);
  const raw = wantsRaw ? new ContentSink(watched.store, 'identity') : undefined;
  const takeAll = async (events: Iterable<MimeEvent>) => {
    for (const event of events) {
      const taken = leaves.take(event) ?? giveWay();
      if (taken) await taken;
    }
    await giveWay();
  };
  let bytes = 0;
  for await (const block of watched.readBlocks(options.blockBytes ?? blockBytes)) {
    bytes += block.length;
    if (bytes > rules.maxMailBytes) throw new Unsplittable(tooLarge(rules));
    await raw?.write(block);
    await takeAll(scanner.push(block));
  }
  await takeAll(scanner.end());
  const { parts, omissions } = await makeParts(leaves, await raw?.end(), rules, watched.store);
  const isOmitted = (reason: OmissionReason) => omissions.some((omission) => omission.reason === reason);
  const leftOut = parts.length === 0 ? omissionReasons.find(isOmitted) : undefined;
  if (parts.length === 0 && leftOut === undefined)
    throw new Unsplittable('nothing that could be sent was found in it');
  return {
    envelope: readEnvelope(scanner.rootFields),
    parts,
    omissions,
    ...(leaves.warnings.size > 0 && { warning: [...leaves.warnings].join(' ') }),
    ...(leftOut && { leftOut }),
    ...(leaves.signatures > 0 && { unverifiedSignature: true }),
  };
}

/** Stores the mail as it is, and reads what envelope its beginning shows. */
async function copyWhole(
  watched: SourceAndStore,
  kind: 'body' | 'raw',
  maxBytes: number,
): Promise<SplitMail> {
  const sink = new ContentSink(watched.store, 'identity');
  let start: Buffer | undefined;
  let bytes = 0;
  for await (const block of watched.readBlocks(blockBytes)) {
    bytes += block.length;
    if (bytes > maxBytes) throw new Unsplittable('it is larger than the limit');
    start ??= block.subarray(0, blockBytes);
    await sink.write(block);
  }
  const envelope = readEnvelopeStart(start ?? Buffer.alloc(0));
  return { envelope, parts: [wholeMail(kind, await sink.end())], omissions: [] };
}

/** Names and numbers the parts in sending order: the body, then the attachments as they stand in the mail. */
async function makeParts(
  leaves: LeafCollector,
  raw: Content | undefined,
  rules: SplitRules,
  store: ContentStore,
): Promise<{ parts: Part[]; omissions: Omission[] }> {
  const rawBody = raw && { parts: [wholeMail('body', raw)], attached: [], omissions: [] };
  const { parts, attached, omissions } = rawBody ?? (await makeBody(leaves, rules, store));
  omissions.push(...leaves.omissions);
  const attachments = [...leaves.attachments, ...attached.map(asAttachment)];
  attachments.sort((one, other) => one.order - other.order);
  for (const { order, contentType, fileName, body, pictureId } of attachments) {
    const isOpen = body instanceof ContentSink;
    const name = safeFileName(fileName, fallbackFileName(parts.length + 1, contentType));
    const isShown = isOpen && pictureId !== undefined && (await leaves.showsPicture(pictureId));
    if (isShown || rules.attachmentFilter?.(name) === false) {
      if (isOpen) await body.discard();
      omissions.push({ order, reason: isShown ? 'inlineAttachments' : 'attachmentFilter' });
      continue;
    }
    const kept = isOpen ? await leaves.endBody(body) : body;
    const content = Buffer.isBuffer(kept) ? await store.put(kept) : kept;
    parts.push({ kind: 'attachment', contentType, fileName: name, content });
  }
  omissions.sort((one, other) => one.order - other.order);
  return { parts, omissions };
}

/** The body, if it is wanted, and the texts that are attachments. */
async function makeBody(
  leaves: LeafCollector,
  { sendBody, sendAttachments, bodyFormat }: SplitRules,
  store: ContentStore,
): Promise<{ parts: Part[]; attached: readonly MailText[]; omissions: Omission[] }> {
  const parts: Part[] = [];
  const omissions: Omission[] = [];
  const omit = (texts: readonly MailText[], reason: OmissionReason) =>
    omissions.push(...texts.map(({ order }) => ({ order, reason })));
  const named = leaves.namedText;
  const found = await chooseBody(leaves, bodyFormat === 'html' ? 'html' : 'plain');
  if (found && named) omit([named], 'sendAttachments');
  const none: Body = { form: 'plain', texts: [], attached: [], otherForms: [] };
  const body = found ?? (named ? { ...none, form: named.form, texts: [named] } : none);
  // An empty mail has an empty body.
  const isEmpty = leaves.count === 0;
  omit(body.otherForms, 'bodyFormat');
  if (!sendBody) {
    omit(body.texts, 'sendMessageBody');
    if (isEmpty) omissions.push({ order: 0, reason: 'sendMessageBody' });
  } else if (body.texts.length > 0 || isEmpty) {
    const [first] = body.texts;
    const mediaType = body.form === 'html' ? 'text/html' : (first?.entity.mediaType ?? 'text/plain');
    const fileName = mediaType === 'text/html' ? 'body.html' : 'body.txt';
    const content = await storeText(store, bodyPieces(body));
    parts.push({ kind: 'body', contentType: `${mediaType}; charset=utf-8`, fileName, content });
  }
  if (sendAttachments) return { parts, attached: body.attached, omissions };
  omit(body.attached, 'sendAttachments');
  return { parts, attached: [], omissions };
}

function wholeMail(kind: 'body' | 'raw', content: Content): Part {
  return { kind, contentType: 'message/rfc822', fileName: 'mail.eml', content };
}

/** A text that is no part of the body goes as it stands in the mail. */
function asAttachment({ order, entity: { declaredType, fileName }, bytes }: MailText): Attachment {
  return { order, contentType: declaredType, fileName, body: bytes };
}

function tooLarge(rules: SplitRules): string {
  return `it is larger than the limit of ${rules.maxMailBytes} bytes`;
}

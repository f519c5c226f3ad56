import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  type AttachmentStream,
  type HeaderLines,
  type HeaderValue,
  MailParser,
  type MessageText,
  type StructuredHeader,
} from 'mailparser';
import { assembleParts } from './assemble.ts';
import type { TextPart } from './body.ts';
import { ContentSink } from './contentSink.ts';
import { declaredType } from './entity.ts';
import { readEnvelope } from './envelope.ts';
import type { Attachment, MailText } from './leafCollector.ts';
import type { ContentStore, SplitMail, SplitRules } from './mail.ts';
import type { Outside } from './outside.ts';
import { Unsplittable } from './refusal.ts';

/** It holds a mail's texts several times over, so it gets no larger mails than this. */
const maxBytes = 32 * 1024 * 1024;
const timeLimitMs = 30_000;
/** mailparser is fastest on pieces of this size. */
const pieceBytes = 64 * 1024;

/**
 * Splits a mail by mailparser's own stream, the reference: for what `MimeScanner` leaves to it. HTML is
 * never converted to text, which a hostile mail could make slow or silently empty.
 */
export async function splitByMailparser(outside: Outside, rules: SplitRules): Promise<SplitMail> {
  const parser = new MailParser({
    ignoreEmbedded: true,
    keepDeliveryStatus: true,
    checksumAlgo: false,
    skipHtmlToText: true,
    skipTextLinks: true,
    skipImageLinks: true,
  });
  let fields: HeaderLines = [];
  parser.on('headerLines', (lines) => {
    fields = lines;
  });
  const raw =
    rules.sendBody && rules.bodyFormat === 'eml' ? new ContentSink(outside.store, 'identity') : undefined;
  const signal = AbortSignal.timeout(timeLimitMs);
  const feeding = pipeline(Readable.from(readPieces(outside, raw)), parser, { signal, end: true });
  feeding.catch(() => undefined);
  const found = await readParsed(parser, rules, outside.store);
  await feeding;
  const parts = await assembleParts(found, await raw?.end(), rules, outside.store);
  return { envelope: readEnvelope(fields), parts };
}

async function* readPieces(outside: Outside, raw: ContentSink | undefined): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const block of outside.readBlocks(pieceBytes)) {
    bytes += block.length;
    if (bytes > maxBytes) throw new Unsplittable('it is built in an unusual way and larger than 32 MiB');
    await raw?.write(block);
    for (let at = 0; at < block.length; at += pieceBytes) yield block.subarray(at, at + pieceBytes);
  }
}

async function readParsed(parser: MailParser, rules: SplitRules, store: ContentStore) {
  const attachments: Attachment[] = [];
  let texts: MailText[] = [];
  let attachmentCount = 0;
  for await (const item of parser as AsyncIterable<AttachmentStream | MessageText>) {
    if (item.type === 'text') {
      texts = readTexts(item);
      continue;
    }
    attachmentCount++;
    const sent = rules.sendAttachments && (rules.inlineAttachments || !item.related);
    const sink = new ContentSink(store, 'identity');
    for await (const piece of item.content as AsyncIterable<Buffer>) if (sent) await sink.write(piece);
    if (sent) attachments.push(await readAttachment(item, sink, attachmentCount));
    item.release?.();
  }
  if (texts.length === 0 && attachmentCount === 0)
    throw new Unsplittable('no text and no attachment was found in it');
  return { texts, attachments, attachmentCount };
}

async function readAttachment(item: AttachmentStream, sink: ContentSink, order: number): Promise<Attachment> {
  const type = item.headers.get('content-type');
  const declared = isStructured(type) ? type : undefined;
  return {
    order,
    contentType: declaredType(declared?.value ?? '', declared?.params ?? {}),
    fileName: item.filename,
    content: await sink.end(),
  };
}

function isStructured(header: HeaderValue | undefined): header is StructuredHeader {
  return (
    typeof header === 'object' && 'value' in header && typeof header.value === 'string' && 'params' in header
  );
}

/** Its joined texts stand for two forms of one text. */
function readTexts({ text, html }: MessageText): MailText[] {
  const forms: [TextPart['subtype'], string | undefined][] = [
    ['plain', text],
    ['html', html],
  ];
  return forms.flatMap(([subtype, form]) => (form === undefined ? [] : [textOf(subtype, form)]));
}

function textOf(subtype: TextPart['subtype'], text: string): MailText {
  return {
    order: 0,
    subtype,
    alternative: 0,
    blank: text.trim() === '',
    contentType: `text/${subtype}; charset=utf-8`,
    fileName: undefined,
    bytes: () => Buffer.from(text),
    shownIds: () => new Set(),
    text: () => text,
  };
}

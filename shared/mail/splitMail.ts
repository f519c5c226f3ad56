import { assembleParts, rawContentType, rawFileName } from './assemble.ts';
import { ContentSink } from './contentSink.ts';
import { readEnvelope, readEnvelopeStart } from './envelope.ts';
import { LeafCollector } from './leafCollector.ts';
import type { Content, ContentStore, MailSource, SplitMail, SplitRules } from './mail.ts';
import { MimeScanner, type ScanEvent } from './mimeScanner.ts';
import { Outside } from './outside.ts';
import { Unsplittable } from './refusal.ts';

/** How much of a mail is read for the envelope where it is not parsed. */
const envelopeBytes = 64 * 1024;
const defaultBlockBytes = 64 * 1024;

type Attempt =
  | { readonly kind: 'split'; readonly mail: SplitMail }
  | { readonly kind: 'refused'; readonly unusual: boolean; readonly why: string };

/**
 * Takes a mail apart (RFC 5322, RFC 2045 to 2049) into what `rules` say is sent, its content going to
 * `store` as it is decoded: a large mail passes through in constant memory, at the store's pace.
 *
 * A mail that can't be taken apart, that holds something of which nothing would be found, or that
 * exceeds a limit, gives one `raw` part with all its bytes and a warning. Never rejects because of what
 * a mail holds; what `source` or `store` throw is thrown on as it is, after all writers were aborted.
 *
 * `blockBytes` is how much is scanned at a time; it makes no difference to what is found.
 */
export async function splitMail(
  source: MailSource,
  rules: SplitRules,
  store: ContentStore,
  blockBytes = defaultBlockBytes,
): Promise<SplitMail> {
  if (source.sizeBytes > rules.maxMailBytes) return sendRaw(source, rules, store, tooLarge(rules));
  const attempt = await tryTo((outside) => split(outside, rules, blockBytes), source, store);
  if (attempt.kind === 'split') return attempt.mail;
  if (!attempt.unusual) return sendRaw(source, rules, store, attempt.why);
  const second = await tryTo(
    async (outside) => {
      const { splitByMailparser } = await import('./mailparserSplit.ts');
      return splitByMailparser(outside, rules);
    },
    source,
    store,
  );
  return second.kind === 'split' ? second.mail : sendRaw(source, rules, store, second.why);
}

async function tryTo(
  act: (outside: Outside) => Promise<SplitMail>,
  source: MailSource,
  store: ContentStore,
): Promise<Attempt> {
  const outside = new Outside(source, store);
  try {
    return { kind: 'split', mail: await act(outside) };
  } catch (error) {
    await outside.abortWriters();
    if (outside.failure) throw outside.failure.error;
    if (error instanceof Unsplittable) return { kind: 'refused', unusual: false, why: error.message };
    return { kind: 'refused', unusual: true, why: 'it could not be parsed' };
  }
}

async function split(outside: Outside, rules: SplitRules, blockBytes: number): Promise<SplitMail> {
  const wantsRaw = rules.sendBody && rules.bodyFormat === 'eml';
  if (!rules.sendAttachments && (wantsRaw || !rules.sendBody))
    return splitWithoutParsing(outside, wantsRaw, rules);
  const scanner = new MimeScanner();
  const collector = new LeafCollector(rules, outside.store);
  const raw = wantsRaw ? new ContentSink(outside.store, 'identity') : undefined;
  const takeAll = async (events: readonly ScanEvent[]) => {
    for (const event of events) {
      const taken = collector.take(event);
      if (taken) await taken;
    }
  };
  let bytes = 0;
  for await (const block of outside.readBlocks(blockBytes)) {
    bytes += block.length;
    if (bytes > rules.maxMailBytes) throw new Unsplittable(tooLarge(rules));
    await raw?.write(block);
    await takeAll(scanner.push(block));
  }
  await takeAll(scanner.end());
  const parts = await assembleParts(collector.contents(), await raw?.end(), rules, outside.store);
  return { envelope: readEnvelope(scanner.rootFields), parts };
}

/** For rules that want the raw mail alone, or nothing. */
async function splitWithoutParsing(
  outside: Outside,
  wantsRaw: boolean,
  rules: SplitRules,
): Promise<SplitMail> {
  const { envelope, content } = await copyWhole(outside, wantsRaw, rules.maxMailBytes);
  if (!content) return { envelope, parts: [] };
  return { envelope, parts: [{ kind: 'body', contentType: rawContentType, fileName: rawFileName, content }] };
}

async function sendRaw(
  source: MailSource,
  rules: SplitRules,
  store: ContentStore,
  why: string,
): Promise<SplitMail> {
  const outside = new Outside(source, store);
  try {
    const wanted = rules.sendBody || rules.sendAttachments;
    const { envelope, content } = await copyWhole(outside, wanted, Number.POSITIVE_INFINITY);
    const warning = `The mail was not taken apart and goes whole, as message/rfc822, because ${why}.`;
    if (!content) return { envelope, parts: [], warning };
    return {
      envelope,
      parts: [{ kind: 'raw', contentType: rawContentType, fileName: rawFileName, content }],
      warning,
    };
  } catch (error) {
    await outside.abortWriters();
    throw error;
  }
}

/** Stores the mail as it is, if wanted, and reads what envelope its beginning shows. */
async function copyWhole(
  outside: Outside,
  wanted: boolean,
  maxBytes: number,
): Promise<{ envelope: SplitMail['envelope']; content?: Content }> {
  const sink = new ContentSink(outside.store, 'identity');
  let start: Buffer | undefined;
  let bytes = 0;
  for await (const block of outside.readBlocks(envelopeBytes)) {
    bytes += block.length;
    if (bytes > maxBytes) throw new Unsplittable('it is larger than the limit');
    start ??= block.subarray(0, envelopeBytes);
    if (!wanted) break;
    await sink.write(block);
  }
  const envelope = readEnvelopeStart(start ?? Buffer.alloc(0));
  return wanted ? { envelope, content: await sink.end() } : { envelope };
}

function tooLarge(rules: SplitRules): string {
  return `it is larger than the limit of ${rules.maxMailBytes} bytes`;
}

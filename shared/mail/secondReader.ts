import { Readable } from 'node:stream';
import type { MailSource, SplitMail } from './mail.ts';

/** A larger damaged mail is not read twice. */
const maxReadBytes = 262_144;
/** Of a larger one mailparser may take a hundred times as much memory as it has bytes. */
const harmlessBytes = 131_072;
/** What turns text into HTML, and HTML into text, costs far more than it tells here. */
const attachmentsOnly = {
  skipHtmlToText: true,
  skipTextToHtml: true,
  skipTextLinks: true,
  skipImageLinks: true,
  keepCidLinks: true,
  // As the rest of the app: an attached mail is one attachment.
  ignoreEmbedded: true,
  keepDeliveryStatus: true,
  checksumAlgo: false,
} as const;

/**
 * Has mailparser read a mail that was damaged and taken apart all the same, and gives a sentence where it finds
 * more attachments: reading damage is guessing, and two guesses that differ are for a person to look at. What it
 * can't read tells nothing. `beforeRisk` is awaited before what may take much memory.
 */
export async function compareWithSecondReader(
  source: MailSource,
  { parts, omissions = [], warning }: SplitMail,
  beforeRisk: () => Promise<void> = async () => {},
): Promise<string | undefined> {
  const isRaw = parts.some(({ kind }) => kind === 'raw');
  if (warning === undefined || isRaw || source.sizeBytes > maxReadBytes) return undefined;
  if (source.sizeBytes > harmlessBytes) await beforeRisk();
  const found = await countAttachments(source).catch(() => 0);
  const known = parts.filter(({ kind }) => kind === 'attachment').length + omissions.length;
  if (found <= known) return undefined;
  return `Another reader, mailparser, finds ${found} attachments in it where ${known} were found here.`;
}

async function countAttachments(source: MailSource): Promise<number> {
  // Loaded when first needed: few mails are damaged, and it brings half a megabyte of HTML along.
  const { simpleParser } = await import('mailparser');
  return (await simpleParser(Readable.from(beginningOf(source)), attachmentsOnly)).attachments.length;
}

async function* beginningOf(source: MailSource): AsyncGenerator<Buffer> {
  let readBytes = 0;
  for await (const piece of await source.open()) {
    readBytes += piece.length;
    if (readBytes > maxReadBytes) return;
    yield piece;
  }
}

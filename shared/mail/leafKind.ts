import { extname } from 'node:path';
import type { Entity } from './entity.ts';
import { safeFileName } from './fileName.ts';
import type { SplitRules } from './mail.ts';

/** How a text is taken: it is the body, stands in for it where there is none, or is an attachment that may do so. */
export type TextRole = 'body' | 'other' | 'named';

/** What was found before a text in its mail. */
export interface TextsBefore {
  readonly body: boolean;
  readonly other: boolean;
  readonly named: boolean;
}

const alwaysAttached = new Set([
  'text/calendar',
  'text/csv',
  'text/xml',
  'text/vcard',
  'text/x-vcard',
  'text/directory',
]);
const pictureExtensions = new Set(
  '.png .gif .jpg .jpeg .jpe .jfif .bmp .webp .svg .tif .tiff .ico .emf .wmf .avif .heic'.split(' '),
);

/** How a part may be the body; undefined for what is an attachment. */
export function textRole(entity: Entity, rules: SplitRules, before: TextsBefore): TextRole | undefined {
  const { mediaType, disposition } = entity;
  if (!mediaType.startsWith('text/') || alwaysAttached.has(mediaType)) return undefined;
  const plainOrHtml = mediaType === 'text/plain' || mediaType === 'text/html';
  if (isNameless(entity.fileName) && disposition !== 'attachment') {
    if (plainOrHtml) return 'body';
    return before.other || before.body ? undefined : 'other';
  }
  const mayBeBody = rules.sendBody && !rules.sendAttachments && rules.bodyFormat !== 'eml';
  return plainOrHtml && mayBeBody && !before.named && !before.body ? 'named' : undefined;
}

/** What is unpacked into what it holds: a winmail.dat, or a mail that is signed opaquely (RFC 8551, 3.5.2). */
export function containerOf(entity: Entity, rules: SplitRules): 'tnef' | 'signed' | undefined {
  const { mediaType, fileName = '', smimeType } = entity;
  const isTnef = mediaType === 'application/ms-tnef' || mediaType === 'application/vnd.ms-tnef';
  const isWinmail = mediaType === 'application/octet-stream' && /^winmail\.dat$/i.test(fileName);
  if (isTnef || isWinmail) return (rules.unpackWinmail ?? true) ? 'tnef' : undefined;
  if (!/^application\/(?:x-)?pkcs7-mime$/.test(mediaType)) return undefined;
  return smimeType === 'signed-data' || (smimeType === undefined && /\.p7m$/i.test(fileName))
    ? 'signed'
    : undefined;
}

/** Whether nothing of a name is left that could be sent. */
export function isNameless(fileName: string | undefined): boolean {
  return safeFileName(fileName, '') === '';
}

/** By its type, or by its name where the type says nothing. */
export function isPicture({ mediaType, fileName = '' }: Entity): boolean {
  if (mediaType.startsWith('image/')) return true;
  return mediaType === 'application/octet-stream' && pictureExtensions.has(extname(fileName).toLowerCase());
}

/** What a base64 decoder makes of a word: control characters that are in no text. */
export function isNoise(bytes: Buffer, { encoding, charset = '' }: Entity): boolean {
  if (encoding !== 'base64' || /utf-?(?:16|32)|ucs|unicode/i.test(charset)) return false;
  if (
    bytes.length > 200 ||
    (bytes[0] === 0xff && bytes[1] === 0xfe) ||
    (bytes[0] === 0xfe && bytes[1] === 0xff)
  )
    return false;
  return bytes.some(
    (byte) => byte < 0x20 && !(byte >= 0x07 && byte <= 0x0f) && byte !== 0x1b && byte !== 0x1a,
  );
}

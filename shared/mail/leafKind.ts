import { isUtf8 } from 'node:buffer';
import { extname } from 'node:path';
import { findCharset } from './charset.ts';
import type { Entity } from './entity.ts';
import { safeFileName } from './fileName.ts';
import type { SplitRules } from './mail.ts';
import type { MailText } from './text.ts';

/** How a text is taken: it is the body, stands in for it where there is none, or is an attachment that may do so. */
export type TextRole = 'body' | 'other' | 'named';

/** What was found before a text in its mail. */
interface TextsBefore {
  readonly hasBodyText: boolean;
  readonly otherTexts: readonly MailText[];
  readonly namedText: MailText | undefined;
}

const alwaysAttached = /^text\/(?:calendar|csv|xml|x-vcard|vcard|directory)$/;
const pictureExtensions = new Set(
  '.png .gif .jpg .jpeg .jpe .jfif .bmp .webp .svg .tif .tiff .ico .emf .wmf .avif .heic'.split(' '),
);

/** How a part may be the body; undefined for what is an attachment. */
export function textRole(entity: Entity, rules: SplitRules, before: TextsBefore): TextRole | undefined {
  const { mediaType, disposition } = entity;
  if (!mediaType.startsWith('text/') || alwaysAttached.test(mediaType)) return undefined;
  const plainOrHtml = mediaType === 'text/plain' || mediaType === 'text/html';
  if (isNameless(entity.fileName) && disposition !== 'attachment') {
    if (plainOrHtml) return 'body';
    return before.otherTexts.length > 0 || before.hasBodyText ? undefined : 'other';
  }
  const mayBeBody = rules.sendBody && !rules.sendAttachments && rules.bodyFormat !== 'eml';
  return plainOrHtml && mayBeBody && !before.namedText && !before.hasBodyText ? 'named' : undefined;
}

/**
 * What is unpacked into what it holds: a winmail.dat, or a mail that is signed opaquely (RFC 8551, 3.5.2).
 * Uuencoded data without a name, which it says itself, may be either.
 */
export function containerOf(entity: Entity, rules: SplitRules): 'tnef' | 'signed' | 'uuencoded' | undefined {
  const { mediaType, fileName = '', smimeType, encoding } = entity;
  if (encoding === 'uuencode' && isNameless(fileName)) return 'uuencoded';
  // RFC 8551, 3.10: gateways that know neither type declare octets.
  const kind = mediaType === 'application/octet-stream' ? fileName.toLowerCase() : mediaType;
  if (/^(?:application\/(?:vnd\.)?ms-tnef|winmail\.dat)$/.test(kind))
    return (rules.unpackWinmail ?? true) ? 'tnef' : undefined;
  if (!/^(?:application\/(?:x-)?pkcs7-mime|smime\.p7m)$/.test(kind)) return undefined;
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

/** What a multipart begins with: a delimiter and a header, perhaps below a line for people. */
const multipartStart =
  /^\s*(?:This is a (?:multi-?part|MIME)[^\r\n]*\r*\n\s*)?--\S[^\r\n]*\r*\n(?:[^\r\n]+\r*\n){0,20}?Content-(?:Type|Disposition|Transfer-Encoding)[ \t]*:/i;
const maxMultipartStart = 2048;

/** Whether what is declared a text, or not declared, is a multipart, whose header has lost its type. */
export function beginsAsMultipart(bytes: Buffer): boolean {
  return multipartStart.test(bytes.toString('latin1', 0, maxMultipartStart));
}

/** So much of what is no word in a Western charset is beyond ASCII at least. */
const noisyShare = 1 / 4;
/** Without its padding, base64 of fewer bytes may as well be a word. */
const minUnpaddedBytes = 6;

/**
 * Whether a short body that is declared base64 is a word that somebody wrote: not of the length that base64 has,
 * or decoded no text.
 */
export function isNoise(encoded: string, bytes: Buffer, { encoding, charset }: Entity): boolean {
  if (encoding !== 'base64' || /utf-?(?:16|32)|ucs|unicode/i.test(charset ?? '')) return false;
  if (/^(?:\xff\xfe|\xfe\xff)/.test(bytes.toString('latin1', 0, 2))) return false;
  if (bytes.some(isControl)) return true;
  const word = encoded.replace(/\s/g, '');
  if (word.endsWith('=')) return false;
  if (word.length % 4 > 0 && bytes.length < minUnpaddedBytes) return true;
  if (isUtf8(bytes)) return false;
  const declared = findCharset(charset);
  if (declared !== 'undeclared' && declared.kind === 'utf-8') return true;
  const isWestern = declared === 'undeclared' || /8859-?1$|8859-?15$|1252$|^latin1$/i.test(charset ?? '');
  return isWestern && bytes.filter((byte) => byte >= 0x80).length > bytes.length * noisyShare;
}

/** Those that are in no text. */
function isControl(byte: number): boolean {
  return byte < 0x20 && !(byte >= 0x07 && byte <= 0x0f) && byte !== 0x1b && byte !== 0x1a;
}

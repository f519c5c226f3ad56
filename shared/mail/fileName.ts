import libmime from 'libmime';

const maxLength = 255;
const maxExtensionLength = 20;
/** Control characters, line and paragraph separators, and the marks that turn the reading direction. */
const unsafe = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/**
 * A name for a file without folders, control characters and NUL, of at most 255 UTF-16 units (its
 * extension is kept) and well-formed Unicode; `fallback` where nothing is left of it.
 */
export function safeFileName(name: string | undefined, fallback: string): string {
  const bare = (name ?? '')
    .replace(/^.*[\\/]/s, '')
    .replace(unsafe, '')
    .toWellFormed()
    .trim();
  if (bare === '' || bare === '.' || bare === '..') return fallback;
  return shorten(bare);
}

function shorten(name: string): string {
  if (name.length <= maxLength) return name;
  const dot = name.lastIndexOf('.');
  const extension = dot > 0 && name.length - dot <= maxExtensionLength ? name.slice(dot) : '';
  return cutText(name, maxLength - extension.length).trimEnd() + extension;
}

/** Cuts a text after at most so many UTF-16 units, never within a surrogate pair. */
export function cutText(text: string, length: number): string {
  if (text.length <= length) return text;
  const last = text.charCodeAt(length - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? length - 1 : length);
}

/** What a nameless part is called: `attachment-3.pdf`. */
export function fallbackFileName(partNumber: number, contentType: string): string {
  const mediaType = contentType.replace(/;.*$/s, '').trim();
  return `attachment-${partNumber}.${extensions.get(mediaType) ?? libmime.detectExtension(mediaType)}`;
}

/** Where the library's table has no extension or an uncommon one. */
const extensions: ReadonlyMap<string, string> = new Map([
  ['application/gzip', 'gz'],
  ['application/pgp-signature', 'asc'],
  ['application/ms-tnef', 'dat'],
  ['application/vnd.ms-tnef', 'dat'],
  ['audio/mpeg', 'mp3'],
  ['image/jpeg', 'jpg'],
  ['image/webp', 'webp'],
  ['message/delivery-status', 'txt'],
  ['message/disposition-notification', 'txt'],
  ['text/rfc822-headers', 'txt'],
  ['text/vcard', 'vcf'],
]);

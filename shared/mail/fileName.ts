import libmime from 'libmime';
import { tableOf } from './table.ts';

const maxLength = 255;
const maxExtensionLength = 20;
/** Control characters, line and paragraph separators, marks that turn the reading direction or have no width. */
const unsafe =
  /[\p{Cc}\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0001}-\u{e007f}]/gu;
/** A drive, a slash or dots and a slash in front, or a backslash anywhere. */
const path = /^(?:[A-Za-z]:(?=\S)|\.*\/|~\/)|\\/;
/** What Windows takes in no name, and the slash. */
const separators = /[/:<>"|?*]/g;
/** Names of devices, whatever their extension. */
const device = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?=\.|$|\s)/i;

/**
 * A name for a file that is safe to create anywhere: no folders, no control characters, nothing that Windows
 * refuses; at most 255 UTF-16 units, its extension kept, and well-formed; `fallback` where nothing is left of it.
 */
export function safeFileName(name: string | undefined, fallback: string): string {
  const plain = (name ?? '').replace(unsafe, '').trim();
  const last = path.test(plain) ? plain.replace(/^.*[\\/]/s, '').replace(/^[A-Za-z]:/, '') : plain;
  const bare = withoutDisguises(last).replace(separators, '_').toWellFormed();
  const ended = withoutEnd(shorten(withoutEnd(bare)));
  if (ended === '' || /^\.+$/.test(ended.normalize('NFKC'))) return fallback;
  return device.test(ended) ? withoutEnd(shorten(`_${ended}`)) : ended;
}

/** Characters that become a separator where a file system normalises names (NFKC). */
function withoutDisguises(name: string): string {
  if (/^[\x20-\x7e]*$/.test(name)) return name;
  return Array.from(name, (character) => {
    const normal = character.normalize('NFKC');
    return normal !== character && /[\\/:]/.test(normal) ? '_' : character;
  }).join('');
}

/** Windows drops dots and blanks at the end. */
function withoutEnd(name: string): string {
  return name.replace(/(?<![.\s])[.\s]+$/, '').trimStart();
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
  const found = extensions.get(mediaType) ?? libmime.detectExtension(mediaType);
  return `attachment-${partNumber}.${found === 'bin' && mediaType.startsWith('text/') ? 'txt' : found}`;
}

/** Where the library's table has no extension or an uncommon one; of message/global in RFC 6532 and 6533. */
const extensions = tableOf(
  'application/edi-x12=edi application/edifact=edi application/gzip=gz application/ics=ics ' +
    'application/ms-tnef=dat application/pgp-keys=asc application/pgp-signature=asc ' +
    'application/pkcs7-mime=p7m application/sql=sql application/vnd.apple.pkpass=pkpass ' +
    'application/vnd.ms-tnef=dat application/vnd.rar=rar application/x-pdf=pdf application/x-zip=zip ' +
    'audio/3gpp=3gp audio/aac=aac audio/amr=amr audio/amr-wb=awb audio/mp3=mp3 audio/mp4=m4a ' +
    'audio/mpeg=mp3 audio/ogg=ogg image/emf=emf image/jp2=jp2 image/jpeg=jpg image/jpg=jpg ' +
    'image/pjpeg=jpg image/vnd.microsoft.icon=ico image/webp=webp image/wmf=wmf image/x-emf=emf ' +
    'image/x-ms-bmp=bmp image/x-png=png image/x-wmf=wmf message/delivery-status=txt ' +
    'message/disposition-notification=txt message/external-body=txt message/feedback-report=txt ' +
    'message/global=u8msg message/global-delivery-status=u8dsn ' +
    'message/global-disposition-notification=u8mdn message/global-headers=u8hdr message/news=eml ' +
    'message/partial=eml text/directory=vcf text/enriched=txt text/rfc822-headers=txt text/rtf=rtf ' +
    'text/vcard=vcf text/x-amp-html=html',
);

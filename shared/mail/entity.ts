import { extname } from 'node:path';
import libmime from 'libmime';
import { decodeWords } from './encodedWord.ts';
import { safeFileName } from './fileName.ts';
import {
  type HeaderField,
  type Parameter,
  parseStructured,
  type StructuredValue,
  valuesOf,
} from './header.ts';
import { readTransferEncoding, type TransferEncoding } from './transferEncoding.ts';
import { Unsplittable } from './unsplittable.ts';

/** What the header of a MIME entity says about its body. */
export interface Entity {
  /** Lower case `type/subtype`, as declared or as implied. */
  readonly mediaType: string;
  readonly declaredType: string;
  readonly multipart: boolean;
  readonly boundary?: string;
  readonly encoding: TransferEncoding;
  readonly disposition: 'inline' | 'attachment' | 'none';
  readonly fileName?: string;
  readonly charset?: string;
  /** RFC 3676, 4: lines are to be joined, and with `delSp` without the blank between them. */
  readonly flowed?: { readonly delSp: boolean };
  /** Without its angle brackets. */
  readonly contentId?: string;
  /** RFC 8551, 3.2.2, in lower case. */
  readonly smimeType?: string;
}

const octetStream = 'application/octet-stream';
const maxMediaTypeLength = 256;
/** That of the message's content type. */
const maxTypeLength = 1024;
/** RFC 2045, 5.1 and what IANA has added. */
const topLevelType =
  /^(?:text|image|audio|video|application|message|multipart|font|model|haptics|example|chemical|x-[^/]+)\//;
const mediaTypeShape = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/;

/**
 * Reads the MIME fields of a header (RFC 2045, 2046, 2183, 2231, 2392, 3676). What is not declared is text/plain
 * or, in a digest, message/rfc822; a type that can't be read is text/plain (RFC 2045, 5.2), or multipart/mixed
 * where it may be one, and what is in an unknown encoding application/octet-stream (6.4). A field that stands there
 * twice and says two things is refused as `Unsplittable`.
 */
export function readEntity(fields: readonly HeaderField[], within: 'mail' | 'multipart' | 'digest'): Entity {
  const dispositions = valuesOf(fields, 'content-disposition').map(parseStructured);
  const disposition = dispositions.find(({ parameters }) => parameters.has('filename')) ??
    dispositions[0] ?? { value: '', parameters: new Map() };
  const written = fields.some((field) => field.key === 'content-type');
  const types = valuesOf(fields, 'content-type').map(parseStructured);
  const type = types[0] ?? parseStructured(written ? '' : impliedType(disposition, within));
  const named = readMediaType(type);
  const encodings = valuesOf(fields, 'content-transfer-encoding').map(readTransferEncoding);
  const [encoding = 'identity'] = encodings;
  const multipart = named.startsWith('multipart/');
  if (!multipart && (differ(encodings) || differ(types.map(readMediaType))))
    throw new Unsplittable('a header in it says two things of one part');
  const hidden = encoding === 'unknown' && !multipart;
  const mediaType = hidden ? octetStream : named;
  const boundary = multipart ? readBoundary(type.parameters.get('boundary')?.text ?? '') : undefined;
  const fileName = readFileName(disposition, type);
  const [writtenId = ''] = valuesOf(fields, 'content-id');
  const contentId = writtenId.replace(/^.*<|>.*$/gs, '').trim();
  const charset = type.parameters.get('charset')?.text;
  const smimeType = type.parameters.get('smime-type')?.text.toLowerCase();
  const flowed = mediaType === 'text/plain' && lower(type.parameters.get('format')?.text) === 'flowed';
  const declared = written || mediaType === 'message/rfc822';
  return {
    mediaType,
    declaredType: declared && !hidden ? declaredType(mediaType, type.parameters) : octetStream,
    multipart,
    ...(boundary && { boundary }),
    encoding: multipart && encoding !== 'base64' ? 'identity' : encoding,
    disposition: readDisposition(disposition),
    ...(fileName && { fileName }),
    ...(charset && { charset }),
    ...(flowed && { flowed: { delSp: lower(type.parameters.get('delsp')?.text) === 'yes' } }),
    ...(contentId && { contentId }),
    ...(smimeType && { smimeType }),
  };
}

/**
 * The content type that goes on the message, with all parameters but the file name: tokens and quoted strings of
 * printable ASCII, at most 1,024 characters, so that it can't smuggle anything.
 */
function declaredType(mediaType: string, parameters: ReadonlyMap<string, Parameter>): string {
  let whole = mediaType;
  for (const [name, { text }] of parameters) {
    if (name === 'name' || name === 'filename' || !/^[\w.-]+$/.test(name)) continue;
    if (!/^[\x20-\x7e]+$/.test(text)) continue;
    const token = /^[\w!#$%&'*+.^`{|}~-]+$/.test(text);
    const longer = `${whole}; ${name}=${token ? text : `"${text.replace(/["\\]/g, '\\$&')}"`}`;
    if (longer.length <= maxTypeLength) whole = longer;
  }
  return whole;
}

function readMediaType({ value, parameters }: StructuredValue): string {
  const mediaType = value.toLowerCase();
  const readable = mediaTypeShape.test(mediaType) && mediaType.length <= maxMediaTypeLength;
  if (!parameters.has('boundary')) return readable ? mediaType : 'text/plain';
  if (readable && topLevelType.test(mediaType)) return mediaType;
  if (/^multipart(?:[/\s]|$)/.test(mediaType)) return 'multipart/mixed';
  throw new Unsplittable('a type in it can’t be read and may be that of a multipart');
}

function impliedType(disposition: StructuredValue, within: 'mail' | 'multipart' | 'digest'): string {
  if (within === 'digest') return 'message/rfc822';
  const name = disposition.parameters.get('filename')?.text;
  const extension = name ? extname(name).slice(1) : '';
  if (extension) return libmime.detectMimeType(extension);
  return lower(disposition.value) === 'attachment' ? octetStream : 'text/plain';
}

/** RFC 2046, 5.1.1: ASCII, and no white space at its end. */
function readBoundary(boundary: string): string | undefined {
  const trimmed = boundary.trimEnd();
  return trimmed && Buffer.byteLength(trimmed) === trimmed.length ? trimmed : undefined;
}

function readDisposition({ value, parameters }: StructuredValue): Entity['disposition'] {
  const disposition = lower(decodeWords(value.slice(0, 100)));
  if (disposition === '') return parameters.size > 0 ? 'attachment' : 'none';
  return disposition === 'inline' ? 'inline' : 'attachment';
}

/** Where it should stand, else where senders put it by mistake; one that no file can have is none. */
function readFileName(disposition: StructuredValue, type: StructuredValue): string | undefined {
  for (const parameter of [
    disposition.parameters.get('filename'),
    type.parameters.get('name'),
    disposition.parameters.get('name'),
    type.parameters.get('filename'),
  ]) {
    if (parameter === undefined) continue;
    const name =
      parameter.extended && !parameter.text.includes('=?') ? parameter.text : decodeWords(parameter.text);
    if (safeFileName(name, '') !== '') return name;
  }
  return undefined;
}

function differ(values: readonly string[]): boolean {
  return values.some((value) => value !== values[0]);
}

function lower(text: string | undefined): string {
  return (text ?? '').toLowerCase().trim();
}

import { extname } from 'node:path';
import libmime from 'libmime';
import { decodeWords, firstValue, type HeaderField, parseStructured } from './headers.ts';

/** What the header of a MIME entity says about its body. */
export interface Entity {
  /** Lower case `type/subtype`, as declared or as implied; '' when it can't be read. */
  readonly mediaType: string;
  /** The declared media type with its parameters, fit for a message; see `declaredType`. */
  readonly declaredType: string;
  readonly multipart: boolean;
  readonly boundary?: string;
  readonly encoding: 'base64' | 'quoted-printable' | 'identity';
  readonly disposition: 'inline' | 'attachment' | 'none';
  readonly fileName?: string;
  readonly charset?: string;
  readonly flowed: boolean;
  readonly delSp: boolean;
  /** Without its angle brackets. */
  readonly contentId?: string;
}

const octetStream = 'application/octet-stream';
const maxTypeLength = 256;

/**
 * Reads the MIME fields of a header (RFC 2045, 2183, 2231, 2392, 3676) the way mailparser does, which is
 * the reference for what is an attachment and what it is called.
 */
export function readEntity(fields: readonly HeaderField[], root: boolean): Entity {
  const disposition = parseStructured(firstValue(fields, 'content-disposition'));
  const declared = fields.some((field) => field.key === 'content-type');
  const dispositionName = disposition.params.filename;
  const type = parseStructured(
    declared ? firstValue(fields, 'content-type') : impliedType(disposition.value, dispositionName),
  );
  const mediaType = type.value.toLowerCase().trim() || (root ? 'text/plain' : '');
  const multipart = mediaType.startsWith('multipart/');
  const boundary = multipart || type.params.boundary ? readBoundary(type.params.boundary ?? '') : undefined;
  const fileName = dispositionName
    ? readName(dispositionName, disposition.decodedParams.includes('filename'))
    : readName(type.params.name ?? '', type.decodedParams.includes('name'));
  const contentId = firstValue(fields, 'content-id').replace(/^<|>$/g, '').trim();
  const flowed = mediaType === 'text/plain' && lower(type.params.format) === 'flowed';
  return {
    mediaType,
    declaredType: declared ? declaredType(type.value, type.params) : octetStream,
    multipart,
    ...(boundary && { boundary }),
    encoding: readEncoding(firstValue(fields, 'content-transfer-encoding')),
    disposition: readDisposition(disposition.value),
    ...(fileName && { fileName }),
    ...(type.params.charset && { charset: type.params.charset }),
    flowed,
    delSp: flowed && lower(type.params.delsp) === 'yes',
    ...(contentId && { contentId }),
  };
}

/**
 * The content type that goes on the message: the media type as declared, with all its parameters but
 * the file name and `x-…` ones. Only tokens and quoted strings of printable ASCII get through, and at
 * most 256 characters, so that it can't smuggle anything; what is no media type is octet-stream.
 */
export function declaredType(value: string, params: Readonly<Record<string, string>>): string {
  const mediaType = value.toLowerCase().trim();
  if (!/^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/.test(mediaType) || mediaType.length > maxTypeLength)
    return octetStream;
  let whole = mediaType;
  for (const [name, parameter] of Object.entries(params)) {
    if (name === 'name' || name.startsWith('x-') || !/^[\w-]+$/.test(name)) continue;
    if (!/^[\x20-\x7e]+$/.test(parameter)) continue;
    const token = /^[\w!#$%&'*+.^`{|}~-]+$/.test(parameter);
    const longer = `${whole}; ${name}=${token ? parameter : `"${parameter.replace(/["\\]/g, '\\$&')}"`}`;
    if (longer.length <= maxTypeLength) whole = longer;
  }
  return whole;
}

function impliedType(disposition: string, name: string | undefined): string {
  const extension = name ? extname(name).slice(1) : '';
  if (extension) return libmime.detectMimeType(extension);
  return lower(disposition) === 'attachment' ? octetStream : 'text/plain';
}

/** RFC 2046, 5.1.1: ASCII, and no white space at its end. */
function readBoundary(boundary: string): string | undefined {
  const trimmed = boundary.trimEnd();
  return trimmed && Buffer.byteLength(trimmed) === trimmed.length ? trimmed : undefined;
}

function readEncoding(value: string): Entity['encoding'] {
  const open = value.indexOf('(');
  const close = value.lastIndexOf(')');
  const bare = open >= 0 && close > open ? value.slice(0, open) + value.slice(close + 1) : value;
  const encoding = lower(bare);
  return encoding === 'base64' || encoding === 'quoted-printable' ? encoding : 'identity';
}

function readDisposition(value: string): Entity['disposition'] {
  const disposition = lower(decodeWords(value.slice(0, 100)));
  if (disposition === '') return 'none';
  return disposition === 'inline' ? 'inline' : 'attachment';
}

function readName(name: string, decoded: boolean): string {
  return decoded ? name : decodeWords(name);
}

function lower(text: string | undefined): string {
  return (text ?? '').toLowerCase().trim();
}

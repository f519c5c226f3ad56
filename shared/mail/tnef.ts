import { decodeBytes } from './charsetDecoder.ts';
import { Cursor } from './cursor.ts';
import { decompressRtf, maxWinmailTextBytes, readRtf } from './rtf.ts';

/** What a winmail.dat holds. */
export interface Winmail {
  readonly attachments: readonly WinmailPart[];
  /** Forms of one text, the best last: plain text or HTML. */
  readonly body: readonly WinmailPart[];
  /** It is a meeting, a contact or a task, of which most is neither. */
  readonly holdsMore: boolean;
}

export interface WinmailPart {
  readonly mediaType: string;
  readonly charset?: string;
  readonly fileName?: string;
  readonly contentId?: string;
  readonly bytes: Buffer;
}

const signature = 0x223e9f78;
/** [MS-OXTNEF], 2.1.3.2, without the type in the upper half. */
const attribute = {
  messageClass: 0x8008,
  body: 0x800c,
  attachData: 0x800f,
  attachTitle: 0x8010,
  attachRendData: 0x9002,
  messageProperties: 0x9003,
  attachment: 0x9005,
  oemCodepage: 0x9007,
};
/** [MS-OXPROPS]. */
const property = {
  messageClass: 0x001a,
  body: 0x1000,
  rtfCompressed: 0x1009,
  bodyHtml: 0x1013,
  displayName: 0x3001,
  attachData: 0x3701,
  attachFileName: 0x3704,
  attachLongFileName: 0x3707,
  attachMimeTag: 0x370e,
  attachContentId: 0x3712,
  internetCodePage: 0x3fde,
};
const type = { object: 0x000d, string8: 0x001e, unicode: 0x001f, binary: 0x0102, multiple: 0x1000 };
/** Classes of messages, by either of their names, that are more than a text with attachments. */
const moreThanText = /^IPM\.(?:Appointment|(?:Microsoft )?Schedule|Contact|DistList|Task|Activity)/i;
/** What is shorter got behind the last one on its way. */
const minAttributeBytes = 11;
const maxProperties = 10_000;
const maxAttachments = 1000;
/** No file has a longer name. */
export const maxNameBytes = 4096;
/** An embedded object begins with the id of its interface. */
const interfaceIdBytes = 16;

interface Value {
  readonly type: number;
  readonly bytes: Buffer;
}

interface OpenAttachment {
  title?: string | undefined;
  data?: Buffer;
  properties?: ReadonlyMap<number, Value>;
}

/**
 * Unpacks the TNEF of Outlook and Exchange ([MS-OXTNEF]): its attachments, and its text from HTML, RTF or plain
 * text. An embedded message stays TNEF. Undefined for what is damaged, holds nothing, or holds a text that can't
 * be read; never takes more memory than the file and its text.
 */
export async function unpackTnef(file: Buffer): Promise<Winmail | undefined> {
  return readFile(new Cursor(file)).catch((error: unknown) => {
    if (error instanceof RangeError) return undefined;
    throw error;
  });
}

async function readFile(cursor: Cursor): Promise<Winmail | undefined> {
  if (cursor.uint32() !== signature) return undefined;
  cursor.uint16();
  let codePage = 'windows-1252';
  let plain: Value | undefined;
  let messageClass: Value | undefined;
  let message: ReadonlyMap<number, Value> = new Map();
  const attachments: OpenAttachment[] = [];
  while (cursor.left >= minAttributeBytes) {
    cursor.uint8();
    const id = cursor.uint32() & 0xffff;
    const data = cursor.take(cursor.uint32());
    if (cursor.uint16() !== checksum(data)) throw new RangeError('its checksum is wrong');
    const last = attachments.at(-1);
    if (id === attribute.oemCodepage && data.length >= 4) codePage = `cp${data.readUInt32LE(0)}`;
    else if (id === attribute.body) plain = { type: type.string8, bytes: data };
    else if (id === attribute.messageClass) messageClass = { type: type.string8, bytes: data };
    else if (id === attribute.messageProperties) message = readProperties(new Cursor(data));
    else if (id === attribute.attachRendData) {
      if (attachments.length >= maxAttachments) throw new RangeError('it has too many attachments');
      attachments.push({});
    } else if (last && id === attribute.attachData) last.data = data;
    else if (last && id === attribute.attachTitle)
      last.title = textOf({ type: type.string8, bytes: data }, codePage);
    else if (last && id === attribute.attachment) last.properties = readProperties(new Cursor(data));
  }
  const found = attachments.flatMap((each) => finishAttachment(each, codePage));
  const body = await readBody(message, plain, codePage);
  if (body === undefined || (found.length === 0 && body.length === 0)) return undefined;
  const className = textOf(message.get(property.messageClass) ?? messageClass, codePage) ?? '';
  return { attachments: found, body, holdsMore: moreThanText.test(className) };
}

function finishAttachment(
  { title, data, properties = new Map() }: OpenAttachment,
  codePage: string,
): WinmailPart[] {
  const text = (id: number) => textOf(properties.get(id), codePage);
  const object = properties.get(property.attachData);
  const embedded = object?.type === type.object ? object.bytes.subarray(interfaceIdBytes) : undefined;
  const isMessage = embedded !== undefined && embedded.length >= 4 && embedded.readUInt32LE(0) === signature;
  const bytes = isMessage ? embedded : data && data.length > 0 ? data : (embedded ?? object?.bytes ?? data);
  if (bytes === undefined) return [];
  const name =
    text(property.attachLongFileName) || text(property.attachFileName) || title || text(property.displayName);
  const fileName = isMessage ? `${name || 'message'}.dat` : name;
  const mimeTag = text(property.attachMimeTag)?.toLowerCase() ?? '';
  const contentId = text(property.attachContentId)?.replace(/^<|>$/g, '');
  const known = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/.test(mimeTag) && !mimeTag.startsWith('multipart/');
  return [
    {
      mediaType: isMessage ? 'application/ms-tnef' : known ? mimeTag : 'application/octet-stream',
      bytes,
      ...(fileName && { fileName }),
      ...(contentId && { contentId }),
    },
  ];
}

/** Undefined where there is a text that can't be read. */
async function readBody(
  message: ReadonlyMap<number, Value>,
  plain: Value | undefined,
  codePage: string,
): Promise<WinmailPart[] | undefined> {
  const forms: WinmailPart[] = [];
  const add = (mediaType: string, text = '') =>
    forms.push({ mediaType, charset: 'utf-8', bytes: Buffer.from(text) });
  const text = textOf(message.get(property.body) ?? plain, codePage, maxWinmailTextBytes);
  if (text) add('text/plain', text);
  const html = message.get(property.bodyHtml);
  if (html && html.bytes.length > 0) {
    const declared = message.get(property.internetCodePage);
    const charset = declared && `cp${declared.bytes.readUInt32LE(0)}`;
    if (html.type !== type.binary) add('text/html', textOf(html, charset ?? codePage, maxWinmailTextBytes));
    else forms.push({ mediaType: 'text/html', bytes: html.bytes, ...(charset && { charset }) });
    return forms;
  }
  const packed = message.get(property.rtfCompressed);
  if (packed === undefined || packed.bytes.length === 0) return forms;
  const rtf = decompressRtf(packed.bytes);
  if (rtf === undefined) return forms.length > 0 ? forms : undefined;
  const read = await readRtf(rtf);
  if (read.mediaType === 'text/html' || forms.length === 0) add(read.mediaType, read.text);
  return forms;
}

/** [MS-OXTNEF], 2.1.3.4: a list of properties; of one with several values the first is kept. */
function readProperties(cursor: Cursor): Map<number, Value> {
  const properties = new Map<number, Value>();
  const count = cursor.uint32();
  if (count > maxProperties) throw new RangeError('it has too many properties');
  for (let index = 0; index < count; index++) {
    const whole = cursor.uint16();
    const id = cursor.uint16();
    if (id >= 0x8000) skipName(cursor);
    const [first] = readValues(cursor, whole);
    if (first && !properties.has(id)) properties.set(id, { type: whole & ~type.multiple, bytes: first });
  }
  return properties;
}

function skipName(cursor: Cursor): void {
  cursor.take(16);
  if (cursor.uint32() === 0) cursor.uint32();
  else cursor.takePadded(cursor.uint32());
}

function readValues(cursor: Cursor, whole: number): Buffer[] {
  const base = whole & ~type.multiple;
  const fixed = fixedBytes(base);
  const isMultiple = (whole & type.multiple) !== 0;
  if (fixed !== undefined) {
    if (!isMultiple) return [cursor.take(fixed)];
    const each = base === 0x0002 ? 2 : fixed;
    return [cursor.takePadded(cursor.uint32() * each)];
  }
  if (![type.object, type.string8, type.unicode, type.binary].includes(base))
    throw new RangeError('an unknown type');
  const count = cursor.uint32();
  if (count > maxProperties) throw new RangeError('it has too many values');
  return Array.from({ length: count }, () => cursor.takePadded(cursor.uint32()));
}

function fixedBytes(base: number): number | undefined {
  if ([2, 3, 4, 10, 11].includes(base)) return 4;
  if ([5, 6, 7, 20, 64].includes(base)) return 8;
  return base === 72 ? 16 : undefined;
}

function textOf(value: Value | undefined, codePage: string, maxBytes = maxNameBytes): string | undefined {
  if (value === undefined) return undefined;
  if (value.bytes.length > maxBytes) throw new RangeError('a text in it is too large');
  const charset = value.type === type.unicode ? 'utf-16le' : codePage;
  const text = decodeBytes(value.bytes, charset);
  const end = text.indexOf('\0');
  return end < 0 ? text : text.slice(0, end);
}

function checksum(data: Buffer): number {
  let sum = 0;
  for (let at = 0; at < data.length; at++) sum = (sum + (data[at] ?? 0)) & 0xffff;
  return sum;
}

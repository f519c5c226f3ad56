import { isAscii } from 'node:buffer';
import { decodeBytes } from './charsetDecoder.ts';
import { giveWay } from './eventLoop.ts';
import { tableOf } from './table.ts';

/** No text in a winmail.dat is larger: neither as it stands there nor as the RTF that it is decompressed to. */
export const maxWinmailTextBytes = 8 * 1024 * 1024;
const dictionaryBytes = 4096;
/** [MS-OXRTFCP], 2.1.3.1: with this the dictionary begins. */
const dictionaryStart =
  '{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx';
const compressed = 0x75465a4c;
const uncompressed = 0x414c454d;

/** Undoes the compression of RTF in Outlook's mails ([MS-OXRTFCP]); undefined where it is damaged or too large. */
export function decompressRtf(bytes: Buffer): Buffer | undefined {
  if (bytes.length < 16) return undefined;
  const rawBytes = bytes.readUInt32LE(4);
  const type = bytes.readUInt32LE(8);
  if (rawBytes > maxWinmailTextBytes) return undefined;
  if (type === uncompressed) return bytes.subarray(16, 16 + rawBytes);
  if (type !== compressed) return undefined;
  const end = Math.min(bytes.readUInt32LE(0) + 4, bytes.length);
  const dictionary = Buffer.alloc(dictionaryBytes, ' ');
  let write = dictionary.write(dictionaryStart, 'latin1');
  const raw = Buffer.alloc(rawBytes);
  let length = 0;
  const put = (byte: number) => {
    dictionary[write] = byte;
    write = (write + 1) % dictionaryBytes;
    if (length < rawBytes) raw[length++] = byte;
  };
  for (let at = 16; at < end; ) {
    const control = bytes[at++] ?? 0;
    for (let bit = 0; bit < 8 && at < end; bit++) {
      if ((control & (1 << bit)) === 0) {
        put(bytes[at++] ?? 0);
        continue;
      }
      if (at + 2 > bytes.length) return undefined;
      const reference = bytes.readUInt16BE(at);
      at += 2;
      const offset = reference >> 4;
      if (offset === write) return length === rawBytes ? raw : undefined;
      for (let count = 0; count < (reference & 0xf) + 2; count++)
        put(dictionary[(offset + count) % dictionaryBytes] ?? 0);
    }
  }
  return length === rawBytes ? raw : undefined;
}

/** Groups in each other: a writer of RTF has some dozens. */
const maxGroups = 1000;
/** Pieces of text, which may be of a letter each, are joined when there are so many. */
const maxPieces = 1024;
/** The clock is asked no more often. */
const signsAtOnce = 1024;

/** Groups that are about the document and not in it. */
const destinations = new Set(
  'fonttbl colortbl stylesheet info pict object header footer headerl headerr footerl footerr listtable listoverridetable rsidtbl generator themedata latentstyles datastore xmlnstbl mmathPr'.split(
    ' ',
  ),
);
const controlSign =
  /\\(?:([a-zA-Z]{1,32})(-?\d{1,10})? ?|'([0-9a-fA-F]{2})|([^a-zA-Z]))|[{}]|\r?\n|[^\\{}\r\n]+/g;
const characters = tableOf(
  'par=\n line=\n tab=\t lquote=\u2018 rquote=\u2019 ldblquote=\u201c rdblquote=\u201d bullet=\u2022 ' +
    'endash=\u2013 emdash=\u2014',
);

interface GroupState {
  /** Nothing of it is shown. */
  hidden: boolean;
  /** Between \htmlrtf and \htmlrtf0: the RTF form of what stands there as HTML too. */
  htmlRtf: boolean;
  /** How many bytes stand behind a \u for those who don't know it. */
  skipped: number;
}

/**
 * The text of an RTF without formatting and pictures, or the HTML that it was made from where it carries that, its
 * tags in groups of their own ([MS-OXRTFEX], 2.1). Rejects with a RangeError for groups that are too deep.
 */
export async function readRtf(rtf: Buffer): Promise<{
  readonly mediaType: 'text/plain' | 'text/html';
  readonly text: string;
}> {
  const source = rtf.toString('latin1');
  const fromHtml = /\\fromhtml1\b/.test(source.slice(0, 2048));
  let codePage = 'windows-1252';
  let state: GroupState = { hidden: false, htmlRtf: false, skipped: 1 };
  const outer: GroupState[] = [];
  const texts: string[] = [];
  let pieces: string[] = [];
  const bytes = Buffer.allocUnsafe(rtf.length);
  let held = 0;
  let toSkip = 0;
  let isNewGroup = false;
  let isStarred = false;
  const add = (text: string) => {
    pieces.push(text);
    if (pieces.length < maxPieces) return;
    texts.push(pieces.join(''));
    pieces = [];
  };
  const flush = () => {
    const shown = bytes.subarray(0, held);
    // Decoding takes longer, and there may be millions of them.
    if (held > 0) add(isAscii(shown) ? shown.toString('latin1') : decodeBytes(shown, codePage));
    held = 0;
  };
  const show = (text: string) => {
    if (state.hidden || state.htmlRtf) return;
    flush();
    add(text);
  };
  let signs = 0;
  for (const [sign, word, parameter, hex, symbol] of source.matchAll(controlSign)) {
    signs += 1;
    if (signs % signsAtOnce === 0) await giveWay();
    const first = isNewGroup;
    const starred = isStarred;
    isNewGroup = sign === '{';
    isStarred = symbol === '*';
    if (sign === '{') {
      if (outer.push({ ...state }) > maxGroups) throw new RangeError('its groups are too deep');
    } else if (sign === '}') {
      state = outer.pop() ?? state;
      toSkip = 0;
    } else if (toSkip > 0 && word === undefined && sign.startsWith('\\')) {
      toSkip--;
    } else if (hex !== undefined || (symbol !== undefined && '\\{}'.includes(symbol))) {
      // These may be the second byte of a character.
      const byte = hex === undefined ? sign.charCodeAt(1) : Number.parseInt(hex, 16);
      if (!state.hidden && !state.htmlRtf) bytes[held++] = byte;
    } else if (symbol !== undefined) {
      if (symbol === '~') show('\u00a0');
      else if (symbol === '_') show('\u2011');
      else if (symbol === '\n' || symbol === '\r') show('\n');
    } else if (word !== undefined) {
      if (starred) {
        state.hidden = word !== 'htmltag' || !fromHtml;
        if (word === 'htmltag') state.htmlRtf = false;
      } else if (first && destinations.has(word)) state.hidden = true;
      else if (word === 'htmlrtf') state.htmlRtf = parameter !== '0';
      else if (word === 'ansicpg') codePage = `cp${parameter ?? 1252}`;
      else if (word === 'uc') state.skipped = Math.min(Math.abs(Number(parameter ?? 1)), 8);
      else if (word === 'u') {
        show(String.fromCharCode(Number(parameter ?? 63) & 0xffff));
        toSkip = state.skipped;
      } else if (characters.has(word)) show(characters.get(word) ?? '');
    } else if (sign.startsWith('\r') || sign.startsWith('\n')) {
      // Line ends of the source are none of the text.
    } else {
      const shown = sign.slice(toSkip);
      toSkip = Math.max(0, toSkip - sign.length);
      if (!state.hidden && !state.htmlRtf) held += bytes.write(shown, held, 'latin1');
    }
  }
  flush();
  return {
    mediaType: fromHtml ? 'text/html' : 'text/plain',
    text: [...texts, ...pieces].join('').replaceAll('\0', '').toWellFormed(),
  };
}

import { isAscii, isUtf8 } from 'node:buffer';
import iconv from 'iconv-lite';
import { normalizeCharset } from 'libmime/lib/charset';
import { Unsplittable } from './unsplittable.ts';

/** How far into an HTML text its `<meta charset>` is looked for (the HTML standard says 1,024 bytes). */
const metaBytes = 1024;
/** So much is decoded at a time. */
const pieceBytes = 64 * 1024;
/** A line without a place where it can be cut is decoded as one piece up to here, and cut anywhere beyond. */
const maxPieceBytes = 128 * 1024;
/** How much of a text that is no UTF-8 is looked at, and how many whole characters outweigh a broken one. */
const sampleBytes = 256 * 1024;
const wholePerBroken = 8;
const ESC = 0x1b;
const LF = 0x0a;
/** A line of ASCII behind another: no wide characters are made of these bytes. */
const asciiLine = /\r\n[\x1b -~]{4}/;
const damaged = 'a text in it can’t be decoded';
const noBytes = Buffer.alloc(0);

/** A charset that we can decode. */
export type Charset =
  /** A table of `iconv-lite`; ASCII stands for itself in it, and a line end ends all state. */
  | { readonly kind: 'table'; readonly codec: string }
  | { readonly kind: 'utf-8' }
  | { readonly kind: 'utf-16' | 'utf-32'; readonly order: ByteOrder }
  /** Seven bits with shifts between sets: becomes its eight-bit sister first. */
  | { readonly kind: 'shifted'; readonly form: ShiftedForm }
  | { readonly kind: 'johab' }
  | { readonly kind: 'utf-7' };

type ByteOrder = 'le' | 'be' | 'by mark';
type ShiftedForm = 'iso-2022-jp' | 'iso-2022-kr' | 'hz';

/** US-ASCII by all its names (RFC 1345, IANA), and what senders write who know no charset. */
const asciiNames = new Set(
  'ascii usascii ansix341968 ansix341986 csascii cp367 ibm367 iso646us iso646irv1991 iso646 us isoir6 7bit 8bit none default unknown xunknown unknown8bit'.split(
    ' ',
  ),
);

const utf8: Charset = { kind: 'utf-8' };
const table = (codec: string): Charset => ({ kind: 'table', codec });
const windows1252 = table('windows-1252');
const shifted = (form: ShiftedForm): Charset => ({ kind: 'shifted', form });
const utf16 = (order: ByteOrder): Charset => ({ kind: 'utf-16', order });
const utf32 = (order: ByteOrder): Charset => ({ kind: 'utf-32', order });
const called = (charset: Charset, names: string) =>
  names.split(' ').map((name): [string, Charset] => [name, charset]);

/** By name without punctuation: what the tables of libmime and iconv-lite lack, or must not decide. */
const byName: ReadonlyMap<string, Charset> = new Map([
  ...called(utf8, 'utf8 utf8mb4 xutf8 unicode11utf8 unicode20utf8 xunicode20utf8 cp65001 csutf8'),
  ...called(
    { kind: 'utf-7' },
    'utf7 unicode11utf7 csunicode11utf7 unicode20utf7 csutf7 xunicode20utf7 cp65000',
  ),
  ...called(utf16('by mark'), 'utf16 unicode csunicode iso10646ucs2 ucs2 csutf16'),
  ...called(utf16('le'), 'utf16le unicodefeff ucs2le csutf16le'),
  ...called(utf16('be'), 'utf16be unicodefffe ucs2be csutf16be'),
  ...called(utf32('by mark'), 'utf32 ucs4 iso10646ucs4 csucs4 csutf32'),
  ...called(utf32('le'), 'utf32le'),
  ...called(utf32('be'), 'utf32be'),
  ...called(shifted('iso-2022-jp'), 'cp50220 cp50221 cp50222 csiso2022jp csiso2022jp2 jis csjisencoding'),
  ...called(shifted('iso-2022-kr'), 'iso2022kr csiso2022kr cp50225'),
  ...called(shifted('hz'), 'hz hzgb2312 cp52936 cshzgb2312'),
  ...called({ kind: 'johab' }, 'johab cp1361 ms1361 ksc56011992'),
  ...called(table('cp949'), 'uhc cp949 ms949 windows949 cp51949 xwindows949 ksx1001'),
  ...called(table('iso-8859-8'), 'csiso88598i csiso88598e logical visual'),
  ...called(table('shift_jis'), 'cp943 ibm943 xmscp932 xmssjis mskanji cswindows31j'),
  ...called(table('iso-8859-13'), 'latin7 l7'),
  ...called(table('iso-8859-14'), 'latin8 l8'),
  ...called(table('iso-8859-15'), 'latin9 l9'),
  ...called(table('iso-8859-16'), 'latin10 l10'),
  ...called(table('cp858'), 'ibm00858 ccsid00858'),
  ...called(table('big5-hkscs'), 'hkscs'),
  ...called(
    table('euc-jp'),
    'cp51932 eucjpms xeucjp cseucpkdfmtjapanese extendedunixcodepackedformatforjapanese ujis',
  ),
  ...called(table('gbk'), 'euccn xeuccn cp936 ms936 windows936 cp51936'),
  ...called(table('cp862'), 'dos862 cp862'),
  ...called(table('macintosh'), 'xmacroman mac csmacintosh macroman'),
  ...called(windows1252, 'ansi xansi xuserdefined winansi'),
]);

/** Names in iconv-lite that are no charsets. */
const noCharsets = new Set(['base64', 'hex', 'binary', 'utf7imap', 'internal', 'cesu8']);

/** Answers of `findCharset`, since asking for an unknown charset is slow and a mail may do so often. */
const known = new Map<string, Charset | 'undeclared'>();
const maxKnown = 200;

/** `undeclared` for US-ASCII, which says nothing of bytes beyond it, and for a name that nobody knows. */
export function findCharset(name: string | undefined): Charset | 'undeclared' {
  if (name === undefined) return 'undeclared';
  const answer = known.get(name);
  if (answer !== undefined) return answer;
  if (known.size >= maxKnown) known.clear();
  const found = lookUp(name);
  known.set(name, found);
  return found;
}

/** What stands around the name that the tables know: the year of a standard, IANA's `cs`, and `x-`. */
const around = /[:_-](?:19|20)\d\d$|^(?:cs|x-)/gi;

function lookUp(name: string): Charset | 'undeclared' {
  // RFC 2231, 5: a language may follow the charset. And there are senders that write `charset="charset=utf-8"`.
  const bare = name
    .replace(/\*.*$/s, '')
    .replace(/^\s*charset\s*=/i, '')
    .trim();
  return lookUpBare(bare) ?? lookUpBare(bare.replace(around, '')) ?? 'undeclared';
}

function lookUpBare(bare: string): Charset | 'undeclared' | undefined {
  const key = bare.toLowerCase().replace(/[^a-z0-9]/g, '');
  if (key === '' || asciiNames.has(key)) return 'undeclared';
  const own = byName.get(key);
  if (own) return own;
  if (/^(?:cs)?iso2022jp/.test(key)) return shifted('iso-2022-jp');
  for (const each of [normalizeCharset(bare), bare, key]) {
    const codec = each.toLowerCase().replace(/[^a-z0-9]/g, '');
    if (!noCharsets.has(codec) && iconv.encodingExists(each)) return byName.get(codec) ?? table(each);
  }
  try {
    const { encoding } = new TextDecoder(bare);
    const known = byName.get(encoding.replace(/[^a-z0-9]/g, ''));
    return known ?? (iconv.encodingExists(encoding) ? table(encoding) : undefined);
  } catch {
    return undefined;
  }
}

/**
 * The charset that a text is decoded from: the declared one. Undeclared text is UTF-8 where it is valid, else
 * what its HTML says, else windows-1252, and so is what is declared as UTF-8 and isn't. A byte order mark says more
 * than all of these.
 */
export function chooseCharset(
  bytes: Buffer,
  declared: string | undefined,
  html: boolean,
): { readonly charset: Charset; readonly misdeclared: boolean } {
  const found = findCharset(declared);
  const marked = markedCharset(bytes);
  if (marked && (found === 'undeclared' || (found.kind !== 'utf-16' && found.kind !== 'utf-32')))
    return { charset: marked, misdeclared: found !== 'undeclared' && found.kind !== marked.kind };
  if (found !== 'undeclared' && found.kind === 'shifted' && isUtf8(bytes) && !isAscii(bytes))
    return { charset: utf8, misdeclared: true };
  if (found !== 'undeclared' && found.kind !== 'utf-8') return { charset: found, misdeclared: false };
  const valid = isUtf8(bytes);
  if (!valid && found !== 'undeclared' && isMostlyUtf8(bytes)) return { charset: utf8, misdeclared: true };
  const mayShift = html && found === 'undeclared' && bytes.includes(ESC);
  if (valid && !mayShift) return { charset: utf8, misdeclared: false };
  const meta = html ? findCharset(metaCharset(bytes)) : 'undeclared';
  const misdeclared = found !== 'undeclared';
  if (meta !== 'undeclared' && meta.kind !== 'utf-8') return { charset: meta, misdeclared };
  return { charset: valid ? utf8 : windows1252, misdeclared };
}

/** By the byte order mark; one of UTF-16 alone, without any zero, may be two letters. */
function markedCharset(bytes: Buffer): Charset | undefined {
  const [first, second, third] = bytes;
  if (first === 0xef && second === 0xbb && third === 0xbf) return isUtf8(bytes) ? utf8 : undefined;
  const isUtf16 = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  return isUtf16 && bytes.includes(0) ? utf16('by mark') : undefined;
}

/** A broken character here and there, or one that was cut off, makes no text one of another charset. */
function isMostlyUtf8(bytes: Buffer): boolean {
  const text = bytes.toString('utf8', 0, Math.min(bytes.length, sampleBytes));
  const broken = text.split('\ufffd').length - 1;
  const whole = text.replace(/[\x00-\x7f\ufffd]/g, '').length;
  return whole > broken * wholePerBroken;
}

function metaCharset(bytes: Buffer): string | undefined {
  const head = bytes.toString('latin1', 0, Math.min(metaBytes, bytes.length));
  const found = /<meta[^>]{1,200}charset\s*=\s*["']?\s*([\w.:-]{1,40})/i.exec(head)?.[1];
  // A text in which an ASCII meta tag can be read is not UTF-16; and a page must not turn itself into UTF-7.
  return found === undefined || /^utf-?(?:7|16|32)/i.test(found) ? undefined : found;
}

/**
 * Decodes a text in pieces of about 64 KiB, without a byte order mark at its beginning. Throws `Unsplittable` where
 * there is what its charset of pairs or wide characters can't have, unless it `takesDamage`: what stands beside that
 * may be text that comes out as other letters.
 */
export function* decodePieces(bytes: Buffer, charset: Charset, takesDamage = false): Generator<string> {
  const { write, end } = createDecoder(bytes, charset, takesDamage);
  let first = true;
  for (const piece of cut(bytes, charset.kind === 'utf-8')) {
    const text = write(piece);
    yield first && text.startsWith('\ufeff') ? text.slice(1) : text;
    first = false;
  }
  const rest = end?.();
  if (rest) yield rest;
}

/** Decodes what is short, as a header's value; bytes in an unknown charset are read as undeclared text is. */
export function decodeBytes(bytes: Buffer, name: string | undefined): string {
  const found = findCharset(name);
  const charset = found === 'undeclared' ? (isUtf8(bytes) ? utf8 : windows1252) : found;
  return [...decodePieces(bytes, charset, true)].join('');
}

function createDecoder(
  bytes: Buffer,
  charset: Charset,
  takesDamage: boolean,
): { write: (piece: Buffer) => string; end?: () => string | undefined } {
  switch (charset.kind) {
    case 'utf-8':
      return { write: (piece) => piece.toString('utf8') };
    case 'table':
      return { write: (piece) => iconv.decode(piece, charset.codec, { stripBOM: false }) };
    case 'utf-16':
    case 'utf-32': {
      const order = charset.order === 'by mark' ? byteOrder(bytes, charset.kind) : charset.order;
      const decoder = iconv.getDecoder(`${charset.kind}${order}`, { stripBOM: false });
      const isCut = bytes.length % (charset.kind === 'utf-16' ? 2 : 4) > 0;
      const write = (piece: Buffer) => {
        if (!takesDamage && (isCut || asciiLine.test(piece.toString('latin1'))))
          throw new Unsplittable(damaged);
        return decoder.write(piece);
      };
      return { write, end: () => decoder.end() };
    }
    case 'shifted': {
      const { form } = charset;
      const { codec } = shiftedForms[form];
      const state: ShiftState = { set: 'ascii', held: noBytes, takesDamage };
      const write = (piece: Buffer, isLast = false) =>
        iconv.decode(raise(piece, form, state, isLast), codec, { stripBOM: false });
      return { write, end: () => write(noBytes, true) };
    }
    case 'johab':
      return { write: decodeJohab };
    case 'utf-7':
      return { write: decodeUtf7 };
  }
}

/** Cuts a text where no character can be unfinished: behind what is no second byte of any, nor base64 in UTF-7. */
function* cut(bytes: Buffer, isUtf8Text: boolean): Generator<Buffer> {
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.length - at <= pieceBytes ? bytes.length : cutPlace(bytes, at, isUtf8Text);
    yield bytes.subarray(at, end);
    at = end;
  }
}

function cutPlace(bytes: Buffer, start: number, isUtf8Text: boolean): number {
  const lineEnd = bytes.lastIndexOf(LF, start + pieceBytes - 1);
  if (lineEnd >= start) return lineEnd + 1;
  const furthest = Math.min(start + maxPieceBytes, bytes.length);
  for (let at = start + pieceBytes; at < furthest; at++) {
    const byte = bytes[at] ?? 0;
    const before = bytes[at - 1] ?? 0;
    if (isUtf8Text ? (byte & 0xc0) !== 0x80 : before < 0x30 && before !== 0x2b && before !== 0x2f) return at;
  }
  return furthest;
}

/** By the byte order mark, else by where the zeros of its ASCII characters are. */
function byteOrder(bytes: Buffer, kind: 'utf-16' | 'utf-32'): 'le' | 'be' {
  const width = kind === 'utf-16' ? 2 : 4;
  const head = bytes.subarray(0, 200);
  if (head[0] === 0xff && head[1] === 0xfe) return 'le';
  if (head[width - 2] === 0xfe && head[width - 1] === 0xff) return 'be';
  let big = 0;
  for (let at = 0; at + width <= head.length; at += width) {
    if (head[at] === 0 && head[at + width - 1] !== 0) big++;
    if (head[at] !== 0 && head[at + width - 1] === 0) big--;
  }
  return big > 0 ? 'be' : 'le';
}

/** RFC 1468, RFC 1557 and RFC 1843, each by way of the eight-bit charset that has the same sets. */
const shiftedForms = {
  'iso-2022-jp': { codec: 'euc-jp', shift: /\x1b(?:\$[@B]|\$\([@BDO-Q]|\([A-Z]|&@)/y },
  'iso-2022-kr': { codec: 'cp949', shift: /\x1b\$\)C|[\x0e\x0f]/y },
  hz: { codec: 'gbk', shift: /~[{}~\n]/y },
} as const;
const maxShiftBytes = 4;

/** Where a piece of text ends. */
interface ShiftState {
  set: 'ascii' | 'double' | 'double-2' | 'kana';
  /** A shift or a pair whose end has not come. */
  held: Buffer;
  readonly takesDamage: boolean;
}

/** Sets the high bit of what is in another set than ASCII, and takes the shifts out. */
function raise(next: Buffer, form: ShiftedForm, state: ShiftState, isLast: boolean): Buffer {
  const { shift } = shiftedForms[form];
  const piece = Buffer.concat([state.held, next]);
  state.held = noBytes;
  const text = piece.toString('latin1');
  const raised = Buffer.allocUnsafe(piece.length * 2);
  let length = 0;
  for (let at = 0; at < piece.length; at++) {
    const byte = piece[at] ?? 0;
    if (byte === ESC || byte === 0x7e || byte === 0x0e || byte === 0x0f) {
      shift.lastIndex = at;
      const found = shift.exec(text)?.[0];
      if (found !== undefined) {
        at += found.length - 1;
        state.set = setBehind(found) ?? state.set;
        if (found === '~~') raised[length++] = byte;
        continue;
      }
      if (!isLast && at + maxShiftBytes > piece.length) {
        state.held = piece.subarray(at);
        break;
      }
    }
    if (byte === LF && form !== 'iso-2022-jp') state.set = 'ascii';
    const { set } = state;
    const mayBePair = (set === 'double' || set === 'double-2') && isGraphic(byte);
    const second = piece[at + 1] ?? 0;
    if (mayBePair && isGraphic(second)) {
      if (set === 'double-2') raised[length++] = 0x8f;
      raised[length++] = byte | 0x80;
      raised[length++] = second | 0x80;
      at++;
    } else if (mayBePair && !isLast && at + 1 === piece.length) {
      state.held = piece.subarray(at);
    } else if (set === 'kana' && isGraphic(byte) && byte < 0x60) {
      raised[length++] = 0x8e;
      raised[length++] = byte | 0x80;
    } else {
      // The shift to ASCII got lost, and what is in pairs beside it is no such letter either.
      if (mayBePair && !state.takesDamage) throw new Unsplittable(damaged);
      raised[length++] = byte;
    }
  }
  return raised.subarray(0, length);
}

function isGraphic(byte: number): boolean {
  return byte > 0x20 && byte < 0x7f;
}

/** The set that a shift leads to; undefined for one that leads to none. */
function setBehind(shift: string): ShiftState['set'] | undefined {
  if (shift === '\x1b(I') return 'kana';
  if (shift === '\x1b$(D') return 'double-2';
  if (/^(?:\x1b\$[@B(]|~\{|\x0e)/.test(shift)) return 'double';
  return /^(?:\x1b\(|~\}|\x0f)/.test(shift) ? 'ascii' : undefined;
}

/** RFC 2152: UTF-16 in base64 between a `+` and the first character that is none of base64. */
function decodeUtf7(piece: Buffer): string {
  return piece.toString('latin1').replace(/\+([A-Za-z0-9+/]*)-?/g, (shifted, base64: string) => {
    if (base64 === '') return shifted === '+-' ? '+' : '';
    const units = Buffer.from(base64, 'base64');
    return units
      .subarray(0, units.length & ~1)
      .swap16()
      .toString('utf16le');
  });
}

const johabInitials = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20];
const johabMedials = [3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 18, 19, 20, 21, 22, 23, 26, 27, 28, 29];
const johabFinals = [
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29,
];

/** KS C 5601-1992, annex 3: syllables are put together from five bits a letter, the rest is KS C 5601 moved. */
function decodeJohab(piece: Buffer): string {
  return piece
    .toString('latin1')
    .replace(/[\x80-\xff]([1-\xff]?)/g, (pair, second: string) =>
      second === '' ? '\ufffd' : johabPair(pair.charCodeAt(0), second.charCodeAt(0)),
    );
}

function johabPair(first: number, second: number): string {
  if (first >= 0x84 && first <= 0xd3) {
    const code = first * 256 + second;
    const [initial, medial, final] = [
      johabInitials.indexOf((code >> 10) & 31),
      johabMedials.indexOf((code >> 5) & 31),
      johabFinals.indexOf(code & 31),
    ];
    if (initial < 0 || medial < 0 || final < 0) return '\ufffd';
    return String.fromCharCode(0xac00 + (initial * 21 + medial) * 28 + final);
  }
  if (first < 0xd9 || first > 0xf9 || first === 0xdf) return '\ufffd';
  const row = first < 0xe0 ? 2 * (first - 0xd9) : 2 * first - 0x197;
  const column = second < 0x91 ? second - 0x31 : second - 0x43;
  const over = column >= 0x5e;
  const pair = Buffer.from([(row + (over ? 1 : 0) + 0x21) | 0x80, (over ? column - 0x5e : column) + 0xa1]);
  return iconv.decode(pair, 'euc-kr').slice(0, 1);
}

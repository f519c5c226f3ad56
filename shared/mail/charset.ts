import { isAscii, isUtf8 } from 'node:buffer';
import iconv from 'iconv-lite';
import { normalizeCharset } from 'libmime/lib/charset';

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

/** A charset that we can decode. */
export type Charset =
  /** A table of `iconv-lite`; ASCII stands for itself in it, and a line end ends all state. */
  | { readonly kind: 'table'; readonly codec: string }
  | { readonly kind: 'utf-8' }
  | { readonly kind: 'utf-16' | 'utf-32'; readonly order: 'le' | 'be' | 'by mark' }
  /** Seven bits with shifts between sets: becomes its eight-bit sister first. */
  | { readonly kind: 'shifted'; readonly form: 'iso-2022-jp' | 'iso-2022-kr' | 'hz' }
  | { readonly kind: 'johab' }
  | { readonly kind: 'utf-7' };

/** US-ASCII by all its names (RFC 1345, IANA), and what senders write who know no charset. */
const asciiNames = new Set(
  'ascii usascii ansix341968 ansix341986 csascii cp367 ibm367 iso646us iso646irv1991 iso646 us isoir6 7bit 8bit none default unknown xunknown unknown8bit'.split(
    ' ',
  ),
);

const shifted = (form: 'iso-2022-jp' | 'iso-2022-kr' | 'hz'): Charset => ({ kind: 'shifted', form });
const table = (codec: string): Charset => ({ kind: 'table', codec });
const utf16: Charset = { kind: 'utf-16', order: 'by mark' };

/** By name without punctuation: what the tables of libmime and iconv-lite lack, or must not decide. */
const byName: ReadonlyMap<string, Charset> = new Map([
  ...[
    'utf8',
    'utf8mb4',
    'xutf8',
    'unicode11utf8',
    'unicode20utf8',
    'xunicode20utf8',
    'cp65001',
    'csutf8',
  ].map((name): [string, Charset] => [name, { kind: 'utf-8' }]),
  ...['utf7', 'unicode11utf7', 'csunicode11utf7', 'unicode20utf7', 'csutf7', 'xunicode20utf7', 'cp65000'].map(
    (name): [string, Charset] => [name, { kind: 'utf-7' }],
  ),
  ...['utf16', 'unicode', 'csunicode', 'iso10646ucs2', 'ucs2', 'csutf16'].map((name): [string, Charset] => [
    name,
    utf16,
  ]),
  ...['utf16le', 'unicodefeff', 'ucs2le', 'csutf16le', 'cp1200'].map((name): [string, Charset] => [
    name,
    { kind: 'utf-16', order: 'le' },
  ]),
  ...['utf16be', 'unicodefffe', 'ucs2be', 'csutf16be', 'cp1201'].map((name): [string, Charset] => [
    name,
    { kind: 'utf-16', order: 'be' },
  ]),
  ...['utf32', 'ucs4', 'iso10646ucs4', 'csucs4', 'csutf32'].map((name): [string, Charset] => [
    name,
    { kind: 'utf-32', order: 'by mark' },
  ]),
  ['utf32le', { kind: 'utf-32', order: 'le' }],
  ['utf32be', { kind: 'utf-32', order: 'be' }],
  ...['cp50220', 'cp50221', 'cp50222', 'csiso2022jp', 'csiso2022jp2', 'jis', 'csjisencoding'].map(
    (name): [string, Charset] => [name, shifted('iso-2022-jp')],
  ),
  ...['iso2022kr', 'csiso2022kr', 'cp50225'].map((name): [string, Charset] => [name, shifted('iso-2022-kr')]),
  ...['hz', 'hzgb2312', 'cp52936', 'cshzgb2312'].map((name): [string, Charset] => [name, shifted('hz')]),
  ...['johab', 'cp1361', 'ms1361', 'ksc56011992'].map((name): [string, Charset] => [name, { kind: 'johab' }]),
  ...['uhc', 'cp949', 'ms949', 'windows949', 'cp51949', 'xwindows949'].map((name): [string, Charset] => [
    name,
    table('cp949'),
  ]),
  ...['csiso88598i', 'csiso88598e', 'logical', 'visual'].map((name): [string, Charset] => [
    name,
    table('iso-8859-8'),
  ]),
  ...['cp943', 'ibm943', 'xmscp932', 'xmssjis', 'mskanji', 'cswindows31j'].map((name): [string, Charset] => [
    name,
    table('shift_jis'),
  ]),
  ...[
    'cp51932',
    'eucjpms',
    'xeucjp',
    'cseucpkdfmtjapanese',
    'extendedunixcodepackedformatforjapanese',
    'ujis',
  ].map((name): [string, Charset] => [name, table('euc-jp')]),
  ...[
    ['latin7', 'iso-8859-13'],
    ['l7', 'iso-8859-13'],
    ['latin8', 'iso-8859-14'],
    ['l8', 'iso-8859-14'],
    ['latin9', 'iso-8859-15'],
    ['l9', 'iso-8859-15'],
    ['latin10', 'iso-8859-16'],
    ['l10', 'iso-8859-16'],
    ['ibm00858', 'cp858'],
    ['ccsid00858', 'cp858'],
    ['hkscs', 'big5-hkscs'],
    ['ksx1001', 'cp949'],
  ].map(([name = '', codec = '']): [string, Charset] => [name, table(codec)]),
  ...['euccn', 'xeuccn', 'cp936', 'ms936', 'windows936', 'cp51936'].map((name): [string, Charset] => [
    name,
    table('gbk'),
  ]),
  ...['dos862', 'cp862'].map((name): [string, Charset] => [name, table('cp862')]),
  ...['xmacroman', 'mac', 'csmacintosh', 'macroman'].map((name): [string, Charset] => [
    name,
    table('macintosh'),
  ]),
  ...['ansi', 'xansi', 'xuserdefined', 'winansi'].map((name): [string, Charset] => [
    name,
    table('windows-1252'),
  ]),
]);

/** Names in iconv-lite that are no charsets. */
const noCharsets = new Set(['base64', 'hex', 'binary', 'utf7imap', 'internal', 'cesu8']);

/** Answers of `findCharset`, since asking for an unknown charset is slow and a mail may do so often. */
const known = new Map<string, Charset | 'undeclared'>();
const maxKnown = 200;

/**
 * The charset of that name, by the names of IANA, of the WHATWG's Encoding Standard and of what senders write;
 * `undeclared` for US-ASCII, which says nothing of bytes beyond it, and for a name that nobody knows.
 */
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

export interface ChosenCharset {
  readonly charset: Charset;
  /** The bytes are not what the mail says they are. */
  readonly misdeclared: boolean;
}

const utf8: Charset = { kind: 'utf-8' };
const windows1252 = table('windows-1252');

/**
 * The charset that a text is decoded from: the declared one. Undeclared text is UTF-8 where it is valid, else
 * what its HTML says, else windows-1252, and so is what is declared as UTF-8 and isn't. A byte order mark says more
 * than all of these.
 */
export function chooseCharset(bytes: Buffer, declared: string | undefined, html: boolean): ChosenCharset {
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
  return isUtf16 && bytes.includes(0) ? utf16 : undefined;
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

/** Decodes a text in pieces of about 64 KiB, without a byte order mark at its beginning. */
export function* decodePieces(bytes: Buffer, charset: Charset): Generator<string> {
  let first = true;
  for (const piece of decodeRaw(bytes, charset)) {
    const text = first && piece.startsWith('\ufeff') ? piece.slice(1) : piece;
    first = false;
    if (text !== '') yield text;
  }
}

/** Decodes what is short, as a header's value; bytes in an unknown charset are read as undeclared text is. */
export function decodeBytes(bytes: Buffer, name: string | undefined): string {
  const found = findCharset(name);
  const charset = found === 'undeclared' ? (isUtf8(bytes) ? utf8 : windows1252) : found;
  return [...decodePieces(bytes, charset)].join('');
}

function* decodeRaw(bytes: Buffer, charset: Charset): Generator<string> {
  switch (charset.kind) {
    case 'utf-8':
      for (const piece of cut(bytes, true)) yield piece.toString('utf8');
      return;
    case 'table':
      for (const piece of cut(bytes, false)) yield iconv.decode(piece, charset.codec, { stripBOM: false });
      return;
    case 'utf-16':
    case 'utf-32':
      yield* decodeWide(bytes, charset.kind, charset.order);
      return;
    case 'shifted':
      yield* decodeShifted(bytes, charset.form);
      return;
    case 'johab':
      for (const piece of cut(bytes, false)) yield decodeJohab(piece);
      return;
    case 'utf-7':
      for (const piece of cut(bytes, false)) yield decodeUtf7(piece);
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

function* decodeWide(
  bytes: Buffer,
  kind: 'utf-16' | 'utf-32',
  order: 'le' | 'be' | 'by mark',
): Generator<string> {
  const real = order === 'by mark' ? byteOrder(bytes, kind) : order;
  const decoder = iconv.getDecoder(`${kind}${real}`, { stripBOM: false });
  for (let at = 0; at < bytes.length; at += pieceBytes)
    yield decoder.write(bytes.subarray(at, at + pieceBytes));
  const rest = decoder.end();
  if (rest) yield rest;
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
function* decodeShifted(bytes: Buffer, form: 'iso-2022-jp' | 'iso-2022-kr' | 'hz'): Generator<string> {
  const codec = { 'iso-2022-jp': 'euc-jp', 'iso-2022-kr': 'cp949', hz: 'gbk' }[form];
  const state: ShiftState = { set: 'ascii' };
  for (const piece of cut(bytes, false)) {
    const raised = form === 'iso-2022-jp' ? raiseJapanese(piece, state) : raiseOther(piece, state, form);
    yield iconv.decode(raised, codec, { stripBOM: false });
  }
}

interface ShiftState {
  set: 'ascii' | 'double' | 'double-2' | 'kana';
}

function raiseJapanese(piece: Buffer, state: ShiftState): Buffer {
  const raised = Buffer.allocUnsafe(piece.length * 2);
  let length = 0;
  for (let at = 0; at < piece.length; at++) {
    const byte = piece[at] ?? 0;
    if (byte === ESC) {
      const designation = /^(?:\$[@B]|\$\([@BDO-Q]|\([A-Z]|&@)/.exec(
        piece.toString('latin1', at + 1, at + 5),
      )?.[0];
      if (designation) {
        at += designation.length;
        if (designation === '&@') continue;
        if (designation.startsWith('(')) state.set = designation === '(I' ? 'kana' : 'ascii';
        else state.set = designation === '$(D' ? 'double-2' : 'double';
        continue;
      }
    }
    const next = piece[at + 1] ?? 0;
    const pair = byte > 0x20 && byte < 0x7f && next > 0x20 && next < 0x7f;
    if (state.set === 'kana' && byte > 0x20 && byte < 0x60) {
      raised[length++] = 0x8e;
      raised[length++] = byte | 0x80;
    } else if ((state.set === 'double' || state.set === 'double-2') && pair) {
      if (state.set === 'double-2') raised[length++] = 0x8f;
      raised[length++] = byte | 0x80;
      raised[length++] = next | 0x80;
      at++;
    } else {
      raised[length++] = byte;
    }
  }
  return raised.subarray(0, length);
}

function raiseOther(piece: Buffer, state: ShiftState, form: 'iso-2022-kr' | 'hz'): Buffer {
  const raised = Buffer.allocUnsafe(piece.length);
  let length = 0;
  for (let at = 0; at < piece.length; at++) {
    const byte = piece[at] ?? 0;
    const next = piece[at + 1] ?? 0;
    if (form === 'hz' && byte === 0x7e && (next === 0x7b || next === 0x7d || next === 0x7e || next === LF)) {
      at++;
      if (next === 0x7b) state.set = 'double';
      else if (next === 0x7d) state.set = 'ascii';
      else if (next === 0x7e) raised[length++] = next;
    } else if (form === 'iso-2022-kr' && byte === ESC && piece.toString('latin1', at + 1, at + 4) === '$)C') {
      at += 3;
    } else if (form === 'iso-2022-kr' && (byte === 0x0e || byte === 0x0f)) {
      state.set = byte === 0x0e ? 'double' : 'ascii';
    } else {
      if (byte === LF) state.set = 'ascii';
      raised[length++] = state.set === 'double' && byte > 0x20 && byte < 0x7f ? byte | 0x80 : byte;
    }
  }
  return raised.subarray(0, length);
}

const base64Alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const base64Values = new Int8Array(256).fill(-1);
for (let value = 0; value < 64; value++) base64Values[base64Alphabet.charCodeAt(value)] = value;

/** RFC 2152: UTF-16 in base64 between a `+` and the first character that is none of base64. */
function decodeUtf7(piece: Buffer): string {
  const units = new Uint16Array(piece.length);
  let length = 0;
  for (let at = 0; at < piece.length; at++) {
    const byte = piece[at] ?? 0;
    if (byte !== 0x2b) {
      units[length++] = byte;
      continue;
    }
    let bits = 0;
    let held = 0;
    const start = at + 1;
    for (at = start; at < piece.length; at++) {
      const value = base64Values[piece[at] ?? 0] ?? -1;
      if (value < 0) break;
      bits = ((bits << 6) | value) & 0x3fffff;
      held += 6;
      if (held < 16) continue;
      held -= 16;
      units[length++] = (bits >> held) & 0xffff;
    }
    if (piece[at] === 0x2d) {
      if (at === start) units[length++] = byte;
    } else {
      at--;
    }
  }
  return Buffer.from(units.buffer, 0, length * 2).toString('utf16le');
}

const johabInitials = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20];
const johabMedials = [3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 18, 19, 20, 21, 22, 23, 26, 27, 28, 29];
const johabFinals = [
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29,
];

/** KS C 5601-1992, annex 3: syllables are put together from five bits a letter, the rest is KS C 5601 moved. */
function decodeJohab(piece: Buffer): string {
  const units = new Uint16Array(piece.length);
  let length = 0;
  for (let at = 0; at < piece.length; at++) {
    const first = piece[at] ?? 0;
    const second = piece[at + 1] ?? 0;
    const isPair = first >= 0x80 && second >= 0x31;
    units[length++] = first < 0x80 ? first : ((isPair ? johabPair(first, second) : undefined) ?? 0xfffd);
    if (isPair) at++;
  }
  return Buffer.from(units.buffer, 0, length * 2).toString('utf16le');
}

function johabPair(first: number, second: number): number | undefined {
  if (first >= 0x84 && first <= 0xd3) {
    const code = first * 256 + second;
    const [initial, medial, final] = [
      johabInitials.indexOf((code >> 10) & 31),
      johabMedials.indexOf((code >> 5) & 31),
      johabFinals.indexOf(code & 31),
    ];
    if (initial < 0 || medial < 0 || final < 0) return undefined;
    return 0xac00 + (initial * 21 + medial) * 28 + final;
  }
  if (first < 0xd9 || first > 0xf9 || first === 0xdf) return undefined;
  const row = first < 0xe0 ? 2 * (first - 0xd9) : 2 * first - 0x197;
  const column = second < 0x91 ? second - 0x31 : second - 0x43;
  const over = column >= 0x5e;
  const pair = Buffer.from([(row + (over ? 1 : 0) + 0x21) | 0x80, (over ? column - 0x5e : column) + 0xa1]);
  return iconv.decode(pair, 'euc-kr').charCodeAt(0);
}

import iconv from 'iconv-lite';
import { type Charset, chooseCharset, findCharset, type ShiftedForm } from './charset.ts';
import { Unsplittable } from './unsplittable.ts';

/** So much is decoded at a time. */
const pieceBytes = 64 * 1024;
/** A line without a place where it can be cut is decoded as one piece up to here, and cut anywhere beyond. */
const maxPieceBytes = 128 * 1024;
const ESC = 0x1b;
const LF = 0x0a;
/** A line of ASCII behind another: no wide characters are made of these bytes. */
const asciiLine = /\r\n[\x1b -~]{4}/;
const damaged = 'a text in it can’t be decoded';
const noBytes = Buffer.alloc(0);

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
  const charset = found === 'undeclared' ? chooseCharset(bytes, undefined, false).charset : found;
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
    case 'table': {
      const { codec } = charset;
      const write = (piece: Buffer) => iconv.decode(piece, codec, { stripBOM: false });
      return { write: codec === 'windows-1252' ? (piece) => withControls(write(piece), piece) : write };
    }
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

/** The Encoding Standard's windows-1252 has a control character for the five bytes that have no letter. */
function withControls(text: string, bytes: Buffer): string {
  return text.replace(/\ufffd/g, (_, at: number) => String.fromCharCode(bytes[at] ?? 0));
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

import { isAscii, isUtf8 } from 'node:buffer';
import iconv from 'iconv-lite';
import { normalizeCharset } from 'libmime/lib/charset';

/** How far into an HTML text its `<meta charset>` is looked for (the HTML standard says 1,024 bytes). */
const metaBytes = 1024;
/** How much of a text that is no UTF-8 is looked at, and how many whole characters outweigh a broken one. */
const sampleBytes = 256 * 1024;
const wholePerBroken = 8;
/** Some Chinese words in UTF-16 are ASCII too, but not a line of them. */
const minNarrowBytes = 16;

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
export type ShiftedForm = 'iso-2022-jp' | 'iso-2022-kr' | 'hz';

const ESC = 0x1b;
/** What follows it: `(B`, `(J`, `$@` and `$B`. */
const [toAscii, toRoman, toJis78, toJis83] = [0x2842, 0x284a, 0x2440, 0x2442];

/** US-ASCII by all its names (RFC 1345, IANA), and what senders write who know no charset. */
const asciiNames = new Set(
  'ascii usascii ansix341968 ansix341986 csascii cp367 ibm367 iso646us iso646irv1991 iso646 us isoir6 7bit 8bit none default unknown xunknown unknown8bit'.split(
    ' ',
  ),
);

const utf8: Charset = { kind: 'utf-8' };
const table = (codec: string): Charset => ({ kind: 'table', codec });
const windows1252: Charset = table('windows-1252');
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
  ...called(utf16('le'), 'utf16le unicodefeff ucs2le csutf16le cp1200'),
  ...called(utf16('be'), 'utf16be unicodefffe ucs2be csutf16be cp1201'),
  ...called(utf32('by mark'), 'utf32 ucs4 iso10646ucs4 csucs4 csutf32'),
  ...called(utf32('le'), 'utf32le'),
  ...called(utf32('be'), 'utf32be'),
  ...called(shifted('iso-2022-jp'), 'cp50220 cp50221 cp50222 csiso2022jp csiso2022jp2 jis csjisencoding'),
  ...called(shifted('iso-2022-kr'), 'iso2022kr csiso2022kr cp50225'),
  ...called(shifted('hz'), 'hz hzgb2312 cp52936 cshzgb2312'),
  ...called({ kind: 'johab' }, 'johab cp1361 ms1361 ksc56011992'),
  ...called(table('cp949'), 'uhc cp949 ms949 windows949 cp51949 cp20949 xwindows949 ksx1001'),
  ...called(table('iso-8859-8'), 'csiso88598i csiso88598e logical visual'),
  ...called(table('shift_jis'), 'cp943 ibm943 xmscp932 xmssjis mskanji cswindows31j'),
  ...[7, 8, 9, 10].flatMap((latin) => called(table(`iso-8859-${latin + 6}`), `latin${latin} l${latin}`)),
  ...called(table('cp858'), 'ibm00858 ccsid00858'),
  ...called(table('big5-hkscs'), 'hkscs'),
  ...called(
    table('euc-jp'),
    'cp51932 cp20932 eucjpms xeucjp cseucpkdfmtjapanese extendedunixcodepackedformatforjapanese ujis',
  ),
  // As the Encoding Standard has it: GB 18030 is GBK and more, which some write who declare only that.
  ...called(
    table('gb18030'),
    'gbk gb2312 gb231280 gb23121980 euccn xeuccn cp936 ms936 windows936 cp20936 cp51936 cp54936 chinese isoir58 csiso58gb231280',
  ),
  ...called(table('macintosh'), 'xmacroman mac csmacintosh macroman cp10000'),
  // Microsoft's numbers of those of the Macintosh.
  ...called(table('macgreek'), 'cp10006'),
  ...called(table('maccyrillic'), 'cp10007'),
  ...called(table('maccenteuro'), 'cp10029'),
  ...called(table('macturkish'), 'cp10081'),
  ...called(table('big5'), 'big5eten'),
  ...called(table('cp1125'), 'cp866u ruscii'),
  ...called(table('rk1048'), 'kz1048'),
  ...called(table('pt154'), 'ptcp154 cp154 cyrillicasian'),
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

/** What stands around the name that the tables know: the year of a standard, IANA's `cs`, who has made it. */
const around =
  /[:_-](?:19|20)\d\d$|-(?:win|open)$|^(?:cs|x-|microsoft-|iso-?(?=latin)|(?:ms|ansi|oem|dos|windows)-?(?=\d))/gi;

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
  for (const each of [normalizeCharset(bare), bare, key, normalizeCharset(`iso-${bare}`)]) {
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
 * The charset that a text is decoded from: the declared one. Undeclared text is UTF-8 where it is valid, else what
 * its HTML says, else windows-1252, and so is what is declared as UTF-8 and isn't; valid UTF-8 is that where it can't
 * be what it declares. A byte order mark says more than all of these. Undeclared text in the shifts of ISO-2022-JP is
 * that: as ASCII it would be nothing.
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
  if (found !== 'undeclared' && isUtf8(bytes) && cantBe(found, bytes))
    return { charset: utf8, misdeclared: true };
  if (found !== 'undeclared' && found.kind !== 'utf-8') return { charset: found, misdeclared: false };
  if (found === 'undeclared' && isIso2022Jp(bytes))
    return { charset: shifted('iso-2022-jp'), misdeclared: false };
  const valid = isUtf8(bytes);
  if (!valid && found !== 'undeclared' && isMostlyUtf8(bytes)) return { charset: utf8, misdeclared: true };
  const mayShift = html && found === 'undeclared' && bytes.includes(ESC);
  if (valid && !mayShift) return { charset: utf8, misdeclared: false };
  const meta = html ? findCharset(metaCharset(bytes)) : 'undeclared';
  const misdeclared = found !== 'undeclared';
  // A text in which an ASCII meta tag can be read is not UTF-16; and a page must not turn itself into UTF-7.
  if (meta !== 'undeclared' && !meta.kind.startsWith('utf')) return { charset: meta, misdeclared };
  return { charset: valid ? utf8 : windows1252, misdeclared };
}

/** Whether decoding what is valid UTF-8 would lose it: bytes beyond ASCII are none of the charset, or it has wider ones. */
function cantBe(charset: Charset, bytes: Buffer): boolean {
  if (charset.kind === 'utf-16' || charset.kind === 'utf-32')
    return bytes.length > minNarrowBytes && !bytes.includes(0);
  if (isAscii(bytes)) return false;
  if (charset.kind !== 'table') return charset.kind === 'shifted';
  return iconv.decode(bytes.subarray(0, sampleBytes), charset.codec).includes('\ufffd');
}

/** RFC 1468: seven bits, no other escapes, pairs between them, and ASCII at the end. In one pass, for any text. */
function isIso2022Jp(bytes: Buffer): boolean {
  if (!bytes.includes(ESC) || !isAscii(bytes)) return false;
  let hasPairs = false;
  let pairsFrom: number | undefined;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === ESC) {
      if (pairsFrom !== undefined && (at - pairsFrom) % 2 > 0) return false;
      const shift = ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
      if (shift !== toAscii && shift !== toRoman && shift !== toJis78 && shift !== toJis83) return false;
      at += 2;
      pairsFrom = shift === toJis78 || shift === toJis83 ? at + 1 : undefined;
      hasPairs ||= pairsFrom !== undefined;
    } else if (pairsFrom !== undefined && (byte <= 0x20 || byte === 0x7f)) return false;
  }
  return hasPairs && pairsFrom === undefined;
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
  return /<meta[^>]{1,200}charset\s*=\s*["']?\s*([\w.:-]{1,40})/i.exec(head)?.[1];
}

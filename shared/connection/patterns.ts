/** Whether a filter takes something that has these values: one subject, or all addresses of a mail. */
export type Takes = (values: readonly string[]) => boolean;

export interface Patterns {
  /** As a whole: the pattern `*@example.com` takes `ann@example.com`. */
  readonly takesWhole: Takes;
  /** Anywhere: the pattern `order` takes `Your order 17`. */
  readonly takesPart: Takes;
}

export const maxPatternsLength = 4096;

/** One pattern: pieces with any text between them. */
interface Glob {
  readonly excludes: boolean;
  readonly pieces: readonly Piece[];
}

/** A string where it has no `?`, which is found faster. */
type Piece = string | LoosePiece;

/** A piece with `?` in it. */
interface LoosePiece {
  /** Code points; `undefined` stands for any. */
  readonly characters: readonly (number | undefined)[];
  /** Which places each code point may have, a bit a place. */
  readonly places: ReadonlyMap<number, bigint>;
  /** The places that any may have. */
  readonly anyPlace: bigint;
}

/**
 * Reads patterns separated by commas: `*` is any text, `?` one character, `!` in front excludes. Case does not
 * count, nor how an accent is composed. Undefined where there is no pattern, or one that has nothing after `!`.
 *
 * A list of values is taken when one of them matches one of the including patterns (or there is none) and none
 * matches an excluding one. Takes time in proportion to the text, also with hostile text.
 */
export function parsePatterns(text: string): Patterns | undefined {
  const globs = text
    .split(',')
    .map((pattern) => pattern.trim())
    .filter((pattern) => pattern !== '')
    .map(parseGlob);
  if (text.length > maxPatternsLength || globs.length === 0) return undefined;
  const including: Glob[] = [];
  const excluding: Glob[] = [];
  for (const glob of globs) {
    if (glob === undefined) return undefined;
    (glob.excludes ? excluding : including).push(glob);
  }
  const taking =
    (anchored: boolean): Takes =>
    (values) => {
      const folded = values.map(fold);
      const matchesAny = (glob: Glob) => folded.some((value) => matches(glob.pieces, value, anchored));
      return (including.length === 0 || including.some(matchesAny)) && !excluding.some(matchesAny);
    };
  return { takesWhole: taking(true), takesPart: taking(false) };
}

function parseGlob(pattern: string): Glob | undefined {
  const excludes = pattern.startsWith('!');
  const rest = fold(excludes ? pattern.slice(1).trim() : pattern);
  return rest === '' ? undefined : { excludes, pieces: rest.split('*').map(parsePiece) };
}

function parsePiece(text: string): Piece {
  if (!text.includes('?')) return text;
  const characters = Array.from(text, (character) =>
    character === '?' ? undefined : character.codePointAt(0),
  );
  const own = new Map<number, bigint>();
  let anyPlace = 0n;
  for (const [place, code] of characters.entries()) {
    const bit = 1n << BigInt(place);
    if (code === undefined) anyPlace |= bit;
    else own.set(code, (own.get(code) ?? 0n) | bit);
  }
  const places = new Map([...own].map(([code, bits]) => [code, bits | anyPlace]));
  return { characters, places, anyPlace };
}

/**
 * The same for texts that differ in case, or in how an accent is composed. The small letter of İ is i with a dot above
 * it, and that of I is ı in Turkish, so all of them count as i. A capital sigma becomes one small letter
 * at the end of a word and another within, and a pattern's end is not the word's. Rows of combining marks longer than
 * a language has are broken up by a joiner (Unicode Standard Annex 15, 13): putting them in order takes time that grows
 * with the square.
 */
export function fold(text: string): string {
  const lower = text.toLowerCase().replace(/i\u0307|ı/g, 'i');
  const streamSafe = lower.replace(/\p{M}{30}(?=\p{M})/gu, '$&\u034f');
  return streamSafe.normalize('NFC').replaceAll('ς', 'σ');
}

/**
 * The first piece at the start and the last at the end, where `anchored`; the others each as early as possible,
 * which leaves the most room for those behind it, so that no choice has to be taken back.
 */
function matches(pieces: readonly Piece[], text: string, anchored: boolean): boolean {
  const between = anchored ? pieces.slice(1, -1) : pieces;
  const [first = ''] = pieces;
  const last = pieces.at(-1) ?? '';
  let at = 0;
  let end = text.length;
  if (anchored) {
    at = endOf(first, text, 0);
    if (at < 0 || pieces.length === 1) return at === text.length;
    end = startOf(last, text);
    if (end < at) return false;
  }
  for (const piece of between) {
    at = find(piece, text, at);
    if (at < 0 || at > end) return false;
  }
  return true;
}

/** Where the piece ends that begins at `start`; -1 where it doesn't stand there. */
function endOf(piece: Piece, text: string, start: number): number {
  if (typeof piece === 'string') return text.startsWith(piece, start) ? start + piece.length : -1;
  let at = start;
  for (const character of piece.characters) {
    const code = text.codePointAt(at);
    if (code === undefined || (character !== undefined && character !== code)) return -1;
    at += code > 0xffff ? 2 : 1;
  }
  return at;
}

/** Where the piece begins that the text ends with; -1 where it doesn't. */
function startOf(piece: Piece, text: string): number {
  if (typeof piece === 'string') return text.endsWith(piece) ? text.length - piece.length : -1;
  let start = text.length;
  for (let left = piece.characters.length; left > 0; left -= 1) {
    const isPair = start > 1 && (text.codePointAt(start - 2) ?? 0) > 0xffff;
    start -= isPair ? 2 : 1;
  }
  return start >= 0 && endOf(piece, text, start) === text.length ? start : -1;
}

/**
 * Where the first such piece from `start` on ends; -1 where there is none. With `?` by Shift-And (Baeza-Yates and
 * Gonnet, 1992), which keeps in a bit each beginning of the piece that ends here, and so looks at no character twice.
 */
function find(piece: Piece, text: string, start: number): number {
  if (typeof piece === 'string') {
    const found = text.indexOf(piece, start);
    return found < 0 ? -1 : found + piece.length;
  }
  const { characters, places, anyPlace } = piece;
  const whole = 1n << BigInt(characters.length - 1);
  let begun = 0n;
  for (let at = start; at < text.length; ) {
    const code = text.codePointAt(at) ?? 0;
    at += code > 0xffff ? 2 : 1;
    begun = ((begun << 1n) | 1n) & (places.get(code) ?? anyPlace);
    if (begun >= whole) return at;
  }
  return -1;
}

/** Whether a filter takes something that has these values: one subject, or all addresses of a mail. */
export type Takes = (values: readonly string[]) => boolean;

export interface Patterns {
  /** As a whole: the pattern `*@example.com` takes `ann@example.com`. */
  readonly takesWhole: Takes;
  /** Anywhere: the pattern `order` takes `Your order 17`. */
  readonly takesPart: Takes;
}

export const maxPatternsLength = 4096;

/** A longer list of patterns compares less of a list of values; a list of 1 KiB compares one of 256 KiB whole. */
const maxComparisons = 2 ** 28;

interface Glob {
  readonly excludes: boolean;
  readonly whole: RegExp;
  readonly part: RegExp;
}

/**
 * Reads patterns separated by commas: `*` is any text, `?` one character, `!` in front excludes. Case does not
 * count, nor how an accent is composed. Undefined where there is no pattern, or one that has nothing after `!`.
 *
 * A list of values is taken when one of them matches one of the including patterns (or there is none) and none
 * matches an excluding one. Takes a bounded time, also with hostile text.
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
    (form: 'whole' | 'part'): Takes =>
    (values) => {
      let room = maxComparisons / text.length;
      const compared = values.filter((value) => {
        room -= value.length + 1;
        return room >= 0;
      });
      const folded = compared.map(fold);
      const matchesAny = (glob: Glob) => folded.some((value) => glob[form].test(value));
      return (including.length === 0 || including.some(matchesAny)) && !excluding.some(matchesAny);
    };
  return { takesWhole: taking('whole'), takesPart: taking('part') };
}

/**
 * Each piece between two `*` is found as early as possible, which leaves the most room for those behind it: no choice
 * is taken back, which a lookahead sees to, and the last piece stands at the end of what is matched whole.
 */
function parseGlob(pattern: string): Glob | undefined {
  const excludes = pattern.startsWith('!');
  const rest = fold(excludes ? pattern.slice(1).trim() : pattern);
  if (rest === '') return undefined;
  const pieces = rest
    .split(/\*+/)
    .map((piece) => piece.replace(/[\\^$.+()[\]{}|/]/g, '\\$&').replaceAll('?', '[^]'));
  const find = (piece: string, index: number) => `(?=([^]*?${piece}))\\${index + 1}`;
  const [first = '', ...others] = pieces;
  const last = others.pop();
  const whole = last === undefined ? first : `${first}${others.map(find).join('')}[^]*${last}`;
  const part = pieces.map(find).join('');
  return { excludes, whole: new RegExp(`^${whole}$`, 'u'), part: new RegExp(`^${part}`, 'u') };
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

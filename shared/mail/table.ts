/** A table of short words, written as `key=value` with blanks between. */
export function tableOf(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split(' ').map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
  );
}

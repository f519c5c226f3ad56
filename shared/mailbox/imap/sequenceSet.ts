/** What one command line may hold of UIDs, in characters; RFC 7162 section 4 asks servers to take 8,192. */
const maxSetCharacters = 7_900;

/**
 * Writes UIDs as IMAP sequence sets (RFC 9051 section 9), ranges compacted: several sets when one would
 * make a command line of more than 8 KB.
 */
export function compactUids(uids: readonly number[], maxCharacters = maxSetCharacters): string[] {
  const sets: string[] = [];
  let set = '';
  for (const range of rangesOf([...new Set(uids)].sort((one, other) => one - other))) {
    if (set !== '' && set.length + 1 + range.length > maxCharacters) {
      sets.push(set);
      set = '';
    }
    set = set === '' ? range : `${set},${range}`;
  }
  if (set !== '') sets.push(set);
  return sets;
}

function* rangesOf(ascending: readonly number[]): Generator<string> {
  let first: number | undefined;
  let last: number | undefined;
  for (const uid of ascending) {
    if (first !== undefined && last !== undefined && uid === last + 1) {
      last = uid;
      continue;
    }
    if (first !== undefined) yield formatRange(first, last ?? first);
    first = uid;
    last = uid;
  }
  if (first !== undefined) yield formatRange(first, last ?? first);
}

function formatRange(first: number, last: number): string {
  return first === last ? `${first}` : `${first}:${last}`;
}

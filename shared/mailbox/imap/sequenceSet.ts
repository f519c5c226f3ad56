/** What one command line may hold of UIDs, in characters; RFC 7162 section 4 asks servers to take 8,192. */
const maxSetCharacters = 7_900;

/** Writes UIDs as IMAP sequence sets (RFC 9051, 9), ranges compacted, each fit for a command line of 8 KB. */
export function compactUids(uids: readonly number[], maxCharacters = maxSetCharacters): string[] {
  const ranges: { readonly first: number; last: number }[] = [];
  for (const uid of [...new Set(uids)].sort((one, other) => one - other)) {
    const range = ranges.at(-1);
    if (range?.last === uid - 1) range.last = uid;
    else ranges.push({ first: uid, last: uid });
  }
  const sets: string[] = [];
  for (const { first, last } of ranges) {
    const range = first === last ? `${first}` : `${first}:${last}`;
    const set = sets.at(-1);
    const fits = set !== undefined && set.length + 1 + range.length <= maxCharacters;
    if (fits) sets[sets.length - 1] = `${set},${range}`;
    else sets.push(range);
  }
  return sets;
}

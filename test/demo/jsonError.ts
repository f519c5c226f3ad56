/** Where a text stops being JSON (RFC 8259): lines and columns count from 1. */
export interface JsonError {
  readonly line: number;
  readonly column: number;
}

/** Finds it without quoting the text, which may hold a secret; `JSON.parse` doesn't say where, or quotes. */
export function findJsonError(text: string): JsonError | undefined {
  let at = 0;

  const take = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    if (!pattern.test(text)) return false;
    at = pattern.lastIndex;
    return true;
  };
  const takeMark = (mark: string): boolean => {
    take(/[ \t\r\n]*/y);
    if (text[at] !== mark) return false;
    at += 1;
    return true;
  };
  const takeString = (): boolean => {
    take(/[ \t\r\n]*/y);
    if (take(/"(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/uy)) return true;
    // Up to where it goes wrong: its end, or a character that may not stand in it.
    take(/"(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/uy);
    return false;
  };
  const takeMembers = (end: string, takeMember: () => boolean): boolean => {
    if (takeMark(end)) return true;
    do {
      if (!takeMember()) return false;
    } while (takeMark(','));
    return takeMark(end);
  };
  const takeValue = (depth: number): boolean => {
    if (depth > 100) return false;
    if (takeMark('{')) return takeMembers('}', () => takeString() && takeMark(':') && takeValue(depth + 1));
    if (takeMark('[')) return takeMembers(']', () => takeValue(depth + 1));
    return take(/(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)/y) || takeString();
  };

  if (takeValue(0)) {
    take(/[ \t\r\n]*/y);
    if (at === text.length) return undefined;
  }
  const lines = text.slice(0, at).split('\n');
  return { line: lines.length, column: (lines.at(-1) ?? '').length + 1 };
}

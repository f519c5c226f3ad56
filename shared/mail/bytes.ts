const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

/** How many bytes at the beginning are the byte order mark of UTF-8: three or none. */
export function byteOrderMarkLength(bytes: Buffer): number {
  return bytes.subarray(0, byteOrderMark.length).equals(byteOrderMark) ? byteOrderMark.length : 0;
}

/** Whether there is nothing but white space and control characters. */
export function isBlank(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at++) if ((bytes[at] ?? 0) > 0x20) return false;
  return true;
}

/** Bytes of which some are written as a sign and two hex digits, which `escapes` find. */
export function unescapeHex(text: string, escapes: RegExp): Buffer {
  const bytes = Buffer.from(text).toString('latin1');
  const decoded = bytes.replace(escapes, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(decoded, 'latin1');
}

/** All of them as one; a single one is not copied. */
export function join(pieces: readonly Buffer[]): Buffer {
  const [first] = pieces;
  return pieces.length === 1 && first ? first : Buffer.concat(pieces);
}

const maxQuotedCharacters = 200;

/**
 * Makes a text that a server sent fit to stand in a sentence: one line of printable characters, at most
 * 200 of them, in which each of `secrets` (and its base64 form, as in SASL) is struck out. Empty for
 * a text that holds nothing printable.
 */
export function quoteServerText(text: string, secrets: readonly string[] = []): string {
  let quoted = printable(text);
  for (const secret of secrets) {
    for (const form of writtenForms(secret)) quoted = quoted.replaceAll(form, '***');
  }
  const characters = Array.from(quoted);
  if (characters.length <= maxQuotedCharacters) return quoted;
  return `${characters.slice(0, maxQuotedCharacters - 1).join('')}…`;
}

function printable(text: string): string {
  return text.replace(/[\p{C}\p{Z}\uFFFD]+/gu, ' ').trim();
}

/** A server may quote a secret as it got it, or as cleaning leaves it; the longest forms come first. */
function writtenForms(secret: string): readonly string[] {
  const base64 = Buffer.from(secret, 'utf8').toString('base64');
  const forms = new Set([base64, base64.replace(/=+$/, ''), secret, printable(secret)]);
  return [...forms].filter((form) => form !== '').sort((one, other) => other.length - one.length);
}

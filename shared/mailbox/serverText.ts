const maxQuotedCharacters = 200;

/**
 * Makes a text that a server sent fit for a sentence: one line of printable characters, at most 200 of them, without
 * `secrets` in any form that a server may write them in. Empty where nothing printable is left.
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

/**
 * The forms of a secret, longest first: as it is, as cleaning leaves it, escaped as in a quoted string (RFC 3501, 4.3)
 * or in JSON, for an address, in hex, or in base64, also within a longer text such as a SASL response.
 */
function writtenForms(secret: string): readonly string[] {
  const bytes = Buffer.from(secret, 'utf8');
  const base64 = bytes.toString('base64');
  const plain = [
    secret,
    secret.replace(/[\\"]/g, '\\$&'),
    JSON.stringify(secret).slice(1, -1),
    encodeURIComponent(secret.toWellFormed()),
    bytes.toString('latin1'),
  ];
  const forms = new Set([
    ...plain,
    ...plain.map(printable),
    ...[base64, base64.replace(/=+$/, ''), bytes.toString('base64url')],
    ...[0, 1, 2].flatMap((before) => base64Within(bytes, before)),
    ...(bytes.length < leastHexBytes ? [] : [bytes.toString('hex'), bytes.toString('hex').toUpperCase()]),
  ]);
  return [...forms].filter((form) => form !== '').sort((one, other) => other.length - one.length);
}

/** Fewer make a form so short that it stands in innocent text. */
const leastBase64Characters = 5;
const leastHexBytes = 3;

/** What stands for these bytes, and for nothing else, in the base64 of a text in which so many bytes come before. */
function base64Within(bytes: Buffer, before: number): readonly string[] {
  const encoded = Buffer.concat([Buffer.alloc(before), bytes])
    .toString('base64')
    .replace(/=+$/, '');
  const first = Math.ceil((before * 8) / 6);
  const last = Math.floor(((before + bytes.length) * 8) / 6);
  const inner = encoded.slice(first, last);
  if (inner.length < leastBase64Characters) return [];
  return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')];
}

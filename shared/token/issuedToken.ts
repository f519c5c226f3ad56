const maxTokenLength = 16_384;

/**
 * Whether a token can stand in a SASL response: printable ASCII without spaces, so that it can neither end
 * the line nor the field, and not so long that mail servers cut it.
 */
export function checkAccessToken(token: string): boolean {
  return token.length <= maxTokenLength && /^[\x21-\x7e]+$/.test(token);
}

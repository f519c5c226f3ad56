const blank = '[\\s\\p{C}\\p{Z}\\u115f\\u1160\\u2800\\u3164\\uffa0]';
const start = new RegExp(`^${blank}`, 'u');
const end = new RegExp(`${blank}$`, 'u');

/**
 * A sentence for whoever was refused with this value: that white space, or a character that nobody sees (a byte
 * order mark, a zero-width or no-break space), stands around it. Undefined where none does. `what` begins it:
 * "The password". Such characters may be meant, so they are never taken off.
 */
export function outerBlanksHint(what: string, value: string): string | undefined {
  const places = [...(start.test(value) ? ['start'] : []), ...(end.test(value) ? ['end'] : [])];
  if (places.length === 0) return undefined;
  return `${what} has a blank or an invisible character at its ${places.join(' and ')}; if that is not meant, store it without.`;
}

import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import { isLoopback } from '../settings/reader.ts';

const label = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;

/**
 * The host as sockets take it: an IP address without brackets, or a host name in ASCII. Undefined for
 * anything else: a scheme, port, path or space, and numbers such as `0x7f.1` that resolvers read as addresses.
 */
export function toHost(text: string): string | undefined {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  if (isIP(bare) === 6 && !bare.includes('%')) return bare;
  if (isIP(text) === 4) return text;
  // domainToASCII drops line breaks and tabs silently.
  if (/[\s\x00-\x1f\x7f]/.test(text)) return undefined;
  const ascii = /^[\x21-\x7e]+$/.test(text) ? text : domainToASCII(text);
  const labels = ascii.split('.');
  const last = labels.at(-1) ?? '';
  if (/^(\d+|0x[0-9a-f]*)$/i.test(last)) return undefined;
  return ascii.length <= 253 && labels.every((part) => label.test(part)) ? ascii : undefined;
}

/** Whether the zone is an IANA name that this Node knows. */
export function isTimeZone(text: string): boolean {
  if (!/^[A-Za-z][A-Za-z0-9_+/-]*$/.test(text)) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: text });
    return true;
  } catch {
    return false;
  }
}

/** Whether tokens may be asked for at this URL: https, or http that stays on this machine. */
export function isTokenEndpoint(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  if (url.username !== '' || url.password !== '' || url.hash !== '') return false;
  if (url.protocol === 'https:') return true;
  return url.protocol === 'http:' && isLoopback(url.hostname);
}

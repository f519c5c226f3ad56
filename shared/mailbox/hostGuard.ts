import { lookup as lookupDns } from 'node:dns/promises';
import { isIP } from 'node:net';
import { Failure } from '../failure/failure.ts';
import { withDeadline } from '../wait/deadline.ts';
import { codeOf } from './networkFailure.ts';
import { isPublicAddress } from './publicAddress.ts';
import { quoteServerText } from './serverText.ts';

/** Which hosts a config may name; from MAIL_HOSTS_ALLOWED and MAIL_DENY_PRIVATE_NETWORKS. */
export interface HostRules {
  /** Lower-case host names, IP addresses and patterns such as `*.example.com`; absent: any host. */
  readonly allowed?: readonly string[];
  /** Refuses hosts that have no address on the public internet. */
  readonly denyPrivate: boolean;
  /** Gives all addresses of a name, in the order in which they should be tried; absent: as the system does. */
  readonly lookUp?: (host: string) => Promise<readonly { readonly address: string }[]>;
}

/**
 * Checks a host against the rules; `subject` is how a failure calls it, and the column to correct. With `denyPrivate`
 * the name is resolved once, within `timeoutMs`, and only `addresses` may be connected to: a second look-up could give
 * others. Rejects with a `Failure`: `host-denied`, `unknown-host` or `timeout`.
 */
export async function resolveHost(
  host: string,
  { allowed, denyPrivate, lookUp = (name) => lookupDns(name, { all: true }) }: HostRules,
  timeoutMs: number,
  subject: { readonly name: string; readonly column: string } = { name: 'Host', column: 'host' },
): Promise<{ readonly addresses?: readonly string[] }> {
  const named = `${subject.name} ${quoteServerText(host)}`;
  const denied = (why: string) => new Failure('host-denied', `${named} is not allowed: ${why}`);
  if (allowed !== undefined && !matchesHostPattern(host, allowed)) {
    throw denied(`it is not in MAIL_HOSTS_ALLOWED. Add it there, or correct ${subject.column}.`);
  }
  if (!denyPrivate) return {};
  const unknown = (why: string) =>
    new Failure('unknown-host', `${named} is unknown: DNS has no address for it (${why}). Check its name.`);
  const late = () =>
    new Failure('timeout', `${named} could not be resolved in time. Check its name and DNS.`);
  const found = await withDeadline(lookUp(host), timeoutMs, late).catch((error: unknown) => {
    throw error instanceof Failure ? error : unknown(codeOf(error) || 'no answer');
  });
  const all = found.map(({ address }) => address);
  const addresses = all.filter(isPublicAddress);
  if (addresses.length > 0) return { addresses };
  if (all.length === 0) throw unknown('no address');
  const listed = all.slice(0, 3).join(', ');
  const what = isIP(host) === 0 ? `it resolves to a private address (${listed})` : 'it is a private address';
  throw denied(`${what} and MAIL_DENY_PRIVATE_NETWORKS is on. Use a public host.`);
}

/** Whether a host is one of the patterns: the same name or address, or below the domain of a `*.` pattern. */
export function matchesHostPattern(host: string, patterns: readonly string[]): boolean {
  const name = toComparable(host);
  return patterns.some((pattern) => {
    if (!pattern.startsWith('*.')) return toComparable(pattern) === name;
    const domain = toComparable(pattern.slice(1));
    return isIP(name) === 0 && name.length > domain.length && name.endsWith(domain);
  });
}

/** Lower case and without the root's dot, as DNS compares names; IPv6 addresses in their shortest form. */
function toComparable(host: string): string {
  const name = host.toLowerCase().replace(/\.$/, '');
  return isIP(name) === 6 && !name.includes('%') ? new URL(`http://[${name}]`).hostname : name;
}

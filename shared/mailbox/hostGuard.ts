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
  /** How long DNS may take. */
  readonly timeoutMs: number;
}

/** Gives all addresses of a name, in the order in which they should be tried. */
export type LookUpHost = (host: string) => Promise<readonly { readonly address: string }[]>;

/**
 * Checks a mail server's host against the rules. With `denyPrivate` the name is resolved once, and only `addresses` may
 * be connected to: a second look-up could give others. Rejects with a `Failure`: `host-denied`, `unknown-host` or
 * `timeout`.
 */
export async function resolveMailHost(
  host: string,
  rules: HostRules,
  lookUp: LookUpHost = lookUpAll,
): Promise<{ readonly addresses?: readonly string[] }> {
  if (rules.allowed !== undefined && !matchesHostPattern(host, rules.allowed)) {
    throw new Failure(
      'host-denied',
      `Host ${quoteServerText(host)} is not allowed: it is not in MAIL_HOSTS_ALLOWED. Add it there, or correct host.`,
    );
  }
  if (!rules.denyPrivate) return {};
  return { addresses: await resolvePublicAddresses('Host', host, rules.timeoutMs, lookUp) };
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

/** A host's addresses on the public internet; `subject` begins a failure's sentence. Rejects as `resolveMailHost`. */
export async function resolvePublicAddresses(
  subject: string,
  host: string,
  timeoutMs: number,
  lookUp: LookUpHost = lookUpAll,
): Promise<readonly string[]> {
  const named = `${subject} ${quoteServerText(host)}`;
  const unknown = (why: string) =>
    new Failure('unknown-host', `${named} is unknown: DNS has no address for it (${why}). Check its name.`);
  const late = () =>
    new Failure('timeout', `${named} could not be resolved in time. Check its name and DNS.`);
  const found = await withDeadline(lookUp(host), timeoutMs, late).catch((error: unknown) => {
    throw error instanceof Failure ? error : unknown(codeOf(error) || 'no answer');
  });
  const addresses = found.map(({ address }) => address);
  const open = addresses.filter(isPublicAddress);
  if (open.length > 0) return open;
  if (addresses.length === 0) throw unknown('no address');
  const listed = addresses.slice(0, 3).join(', ');
  const what = isIP(host) === 0 ? `it resolves to a private address (${listed})` : 'it is a private address';
  throw new Failure(
    'host-denied',
    `${named} is not allowed: ${what} and MAIL_DENY_PRIVATE_NETWORKS is on. Use a public host.`,
  );
}

function lookUpAll(host: string): Promise<readonly { readonly address: string }[]> {
  return lookupDns(host, { all: true });
}

/** Lower case and without the root's dot, as DNS compares names; IPv6 addresses in their shortest form. */
function toComparable(host: string): string {
  const name = host.toLowerCase().replace(/\.$/, '');
  return isIP(name) === 6 && !name.includes('%') ? new URL(`http://[${name}]`).hostname : name;
}

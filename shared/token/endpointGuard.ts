import { Failure } from '../failure/failure.ts';
import {
  type HostRules,
  type LookUpHost,
  matchesHostPattern,
  resolvePublicAddresses,
} from '../mailbox/hostGuard.ts';
import { quoteServerText } from '../mailbox/serverText.ts';

/** Which token endpoints a config may name; the same rules as for mail servers. */
export interface EndpointRules extends Omit<HostRules, 'timeoutMs'> {
  readonly lookUp?: LookUpHost;
}

/** Endpoints of the large providers: a secret sent there reaches nobody who could not have had it. */
const providerHosts = [
  ...['login.microsoftonline.com', 'login.microsoftonline.us', 'login.partner.microsoftonline.cn'],
  ...['login.live.com', 'oauth2.googleapis.com', 'accounts.google.com', 'api.login.yahoo.com'],
];

/**
 * Checks an endpoint before anything is sent to it. With `denyPrivate` its name is resolved, once, and
 * `addresses` are what must be connected to. Rejects with a `Failure`.
 */
export async function guardEndpoint(
  url: URL,
  rules: EndpointRules,
  timeoutMs: number,
): Promise<{ readonly addresses?: readonly string[] }> {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  if (rules.allowed !== undefined && !matchesHostPattern(host, [...providerHosts, ...rules.allowed])) {
    throw new Failure(
      'host-denied',
      `Token endpoint ${quoteServerText(host)} is not allowed: it is not in MAIL_HOSTS_ALLOWED. Add it there, or correct oauth2TokenEndpoint.`,
    );
  }
  if (!rules.denyPrivate) return {};
  return { addresses: await resolvePublicAddresses('Token endpoint', host, timeoutMs, rules.lookUp) };
}

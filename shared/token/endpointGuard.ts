import { type HostRules, type LookUpHost, resolveHost } from '../mailbox/hostGuard.ts';

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
  const { allowed, lookUp, ...others } = rules;
  return await resolveHost(
    { name: 'Token endpoint', column: 'oauth2TokenEndpoint' },
    url.hostname.replace(/^\[(.*)\]$/, '$1'),
    { ...others, timeoutMs, ...(allowed && { allowed: [...providerHosts, ...allowed] }) },
    lookUp,
  );
}

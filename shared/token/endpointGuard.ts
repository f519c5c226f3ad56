import { type HostRules, resolveHost } from '../mailbox/hostGuard.ts';

/** Endpoints of the large providers: a secret sent there reaches nobody who could not have had it. */
const providerHosts = [
  ...['login.microsoftonline.com', 'login.microsoftonline.us', 'login.partner.microsoftonline.cn'],
  ...['login.live.com', 'oauth2.googleapis.com', 'accounts.google.com', 'api.login.yahoo.com'],
];

/**
 * Checks an endpoint, by the rules for mail servers, before anything is sent to it. With `denyPrivate` its name is resolved, once, and
 * `addresses` are what must be connected to. Rejects with a `Failure`.
 */
export async function guardEndpoint(
  url: URL,
  rules: HostRules,
  timeoutMs: number,
): Promise<{ readonly addresses?: readonly string[] }> {
  const { allowed } = rules;
  return await resolveHost(
    url.hostname.replace(/^\[(.*)\]$/, '$1'),
    { ...rules, ...(allowed && { allowed: [...providerHosts, ...allowed] }) },
    timeoutMs,
    { name: 'Token endpoint', column: 'oauth2TokenEndpoint' },
  );
}

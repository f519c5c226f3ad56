import * as oauth from 'oauth4webapi';
import { type HostRules, resolveHost } from '../mailbox/hostGuard.ts';
import { describeRefusal, describeUnusable, type EndpointGrant, requireAnswer } from './endpointFailure.ts';
import { defaultLimits, exchange, type HttpAnswer, type RequestLimits } from './exchange.ts';
import { checkAccessToken, type IssuedToken } from './tokenCache.ts';

/** For a response without `expires_in`, which RFC 6749 only recommends. */
const unknownLifeSeconds = 300;
const maxRefreshTokenLength = 8192;

/**
 * Asks a token endpoint for a token (RFC 6749, sections 4.4 and 6). `askedAt` is the time now, in
 * milliseconds since 1970. Rejects with a `Failure`, after at most two tries of ten seconds each.
 */
export async function requestToken(
  grant: EndpointGrant,
  rules: HostRules,
  askedAt: number,
  limits: RequestLimits = defaultLimits,
): Promise<IssuedToken> {
  const url = endpointUrl(grant);
  const ruled = grant.authority.kind === 'tenant' ? {} : await guardEndpoint(url, rules, limits.tryTimeoutMs);
  const server = { issuer: url.origin, token_endpoint: url.href };
  const client = { client_id: grant.clientId };
  const { clientSecret, scope } = grant;
  const isRefresh = grant.kind === 'refreshToken';
  const parameters = {
    ...(scope === undefined ? {} : { scope }),
    ...(isRefresh ? { refresh_token: grant.refreshToken } : {}),
  };
  const response = await oauth.genericTokenEndpointRequest(
    server,
    client,
    // Sent in the body, as every provider of mailboxes takes it.
    clientSecret === undefined ? oauth.None() : oauth.ClientSecretPost(clientSecret),
    isRefresh ? 'refresh_token' : 'client_credentials',
    parameters,
    {
      [oauth.customFetch]: async (_url: string, { body, headers }: Posted) => {
        const answer = await exchange({ url, headers, body: body.toString(), ...ruled }, limits);
        return toResponse(requireAnswer(answer, url, grant, limits), url, grant);
      },
      [oauth.allowInsecureRequests]: url.protocol === 'http:',
    },
  );
  const reading = oauth.processGenericTokenEndpointResponse(server, client, response);
  const issued = await reading.catch(() => {
    // The library's errors hold the whole answer, so none is kept as a cause.
    throw describeUnusable(url, 'no bearer token');
  });
  const { access_token: accessToken, refresh_token: refreshToken } = issued;
  if (issued.token_type !== 'bearer') throw describeUnusable(url, 'a token that is no bearer token');
  if (!checkAccessToken(accessToken)) throw describeUnusable(url, 'a malformed access token');
  return {
    accessToken,
    expiresAt: askedAt + 1000 * (issued.expires_in ?? unknownLifeSeconds),
    ...(refreshToken !== undefined && isStorable(refreshToken) ? { refreshToken } : {}),
  };
}

function endpointUrl({ authority }: EndpointGrant): URL {
  if (authority.kind === 'endpoint') return new URL(authority.url);
  const tenant = encodeURIComponent(authority.tenantId);
  return new URL(`https://login.microsoftonline.com/${tenant}/oauth2/v2.0/token`);
}

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

type Posted = oauth.CustomFetchOptions<'POST', URLSearchParams>;

/** What the library is to check of an answer; throws the refusal that it is. */
function toResponse({ status, body }: HttpAnswer, url: URL, grant: EndpointGrant): Response {
  const members = readMembers(body);
  // Zoho refuses with 200.
  const isGrant = status === 200 && (members.error === undefined || members.access_token !== undefined);
  if (isGrant) return Response.json(members);
  throw describeRefusal(status, members, url, grant);
}

/**
 * The members of an answer, none where it is no JSON object; without what the library would refuse and nobody asks for:
 * ID tokens, which it would check against an issuer that nobody has named, scopes, members that are there but empty,
 * and a life that is none.
 */
function readMembers(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    const members: Readonly<Record<string, unknown>> = { ...JSON.parse(new TextDecoder().decode(body)) };
    const seconds = Number.parseFloat(String(members.expires_in));
    const life = Number.isFinite(seconds) && seconds >= 0 ? seconds : null;
    const asked = Object.entries<unknown>({ ...members, id_token: null, scope: null, expires_in: life });
    return Object.fromEntries(asked.filter(([, value]) => value !== null && value !== ''));
  } catch {
    return {};
  }
}

function isStorable(refreshToken: string): boolean {
  return refreshToken.length <= maxRefreshTokenLength && /^[\x20-\x7e]+$/.test(refreshToken);
}

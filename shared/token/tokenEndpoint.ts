import * as oauth from 'oauth4webapi';
import { Failure } from '../failure/failure.ts';
import type { HostRules } from '../mailbox/hostGuard.ts';
import {
  describeExchange,
  describeRefusal,
  describeUnusable,
  type EndpointGrant,
} from './endpointFailure.ts';
import { guardEndpoint } from './endpointGuard.ts';
import { defaultLimits, exchange, type RequestLimits, type TokenAnswer } from './exchange.ts';
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
  const client: oauth.Client = { client_id: grant.clientId };
  const response = await send(grant, url, client, async (body, headers) => {
    const answer = await exchange({ url, headers, body: body.toString(), ...ruled }, limits);
    const failure = describeExchange(answer, url, grant, limits);
    if (failure !== undefined || answer.kind !== 'answer') throw failure ?? describeUnusable(url, 'nothing');
    return toResponse(answer);
  });
  const issued = await readResponse(response, grant, url, client);
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

type Exchange = (body: URLSearchParams, headers: Readonly<Record<string, string>>) => Promise<Response>;

function send(grant: EndpointGrant, url: URL, client: oauth.Client, post: Exchange): Promise<Response> {
  const server = serverAt(url);
  const scopes = grant.scope === undefined ? {} : { scope: grant.scope };
  // Sent in the body, as every provider of mailboxes takes it.
  const authentication =
    grant.clientSecret === undefined ? oauth.None() : oauth.ClientSecretPost(grant.clientSecret);
  const options = {
    [oauth.customFetch]: (
      _url: string,
      { body, headers }: oauth.CustomFetchOptions<'POST', URLSearchParams>,
    ) => post(body, headers),
    [oauth.allowInsecureRequests]: url.protocol === 'http:',
  };
  if (grant.kind === 'clientCredentials') {
    return oauth.clientCredentialsGrantRequest(server, client, authentication, scopes, options);
  }
  return oauth.refreshTokenGrantRequest(server, client, authentication, grant.refreshToken, {
    ...options,
    additionalParameters: scopes,
  });
}

async function readResponse(
  response: Response,
  grant: EndpointGrant,
  url: URL,
  client: oauth.Client,
): Promise<oauth.TokenEndpointResponse> {
  const { status } = response;
  try {
    return grant.kind === 'clientCredentials'
      ? await oauth.processClientCredentialsResponse(serverAt(url), client, response)
      : await oauth.processRefreshTokenResponse(serverAt(url), client, response);
  } catch (error) {
    // The library's errors hold the whole answer, so none is kept as a cause.
    if (error instanceof Failure) throw error;
    if (error instanceof oauth.ResponseBodyError) {
      const { error: code, error_description: description } = error;
      throw describeRefusal({ status, error: code, ...(description ? { description } : {}) }, url, grant);
    }
    if (status !== 200) throw describeRefusal({ status }, url, grant);
    throw describeUnusable(url, 'no bearer token');
  }
}

function serverAt(url: URL): oauth.AuthorizationServer {
  return { issuer: url.origin, token_endpoint: url.href };
}

/**
 * What the library is to see of an answer. Challenges are left out, for which it would drop the error
 * response; and so is what it would refuse and nobody asks for: ID tokens, which it would check against an issuer
 * that nobody has named, scopes, members that are there but empty, a life that is none, and the content type.
 */
function toResponse({ status, body }: Extract<TokenAnswer, { kind: 'answer' }>): Response {
  const members = membersOf(new TextDecoder().decode(body));
  const seconds = Number.parseFloat(String(members.expires_in));
  const life = Number.isFinite(seconds) && seconds >= 0 ? seconds : null;
  const asked = Object.entries<unknown>({ ...members, id_token: null, scope: null, expires_in: life });
  const json = Object.fromEntries(asked.filter(([, value]) => value !== null && value !== ''));
  // Zoho refuses with 200.
  const isRefusal = status === 200 && 'error' in json && !('access_token' in json);
  return Response.json(json, { status: isRefusal ? 400 : status });
}

/** None where it is no JSON object: the library then says the same of it. */
function membersOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const json: unknown = JSON.parse(text);
    return { ...(json as object) };
  } catch {
    return {};
  }
}

function isStorable(refreshToken: string): boolean {
  return refreshToken.length <= maxRefreshTokenLength && /^[\x20-\x7e]+$/.test(refreshToken);
}

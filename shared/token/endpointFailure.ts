import type { OAuth2Grant } from '../connection/config.ts';
import { Failure } from '../failure/failure.ts';
import { quoteServerText } from '../mailbox/serverText.ts';
import type { HttpAnswer, RequestLimits, TokenAnswer } from './exchange.ts';

/** A grant that goes to a token endpoint. */
export type EndpointGrant = Exclude<OAuth2Grant, { kind: 'managedIdentity' }>;

/** What the endpoint did not grant, with the `error` of its answer (RFC 6749, section 5.2). */
export class GrantRefused extends Failure {
  readonly code: string;

  constructor(code: string, sentence: string) {
    super('token', sentence);
    this.code = code;
  }
}

/** What an exchange brought that can be a token response or a refusal; else throws why it is none. */
export function requireAnswer(
  answer: TokenAnswer,
  url: URL,
  { authority }: EndpointGrant,
  limits: RequestLimits,
): HttpAnswer {
  const check = authority.kind === 'tenant' ? 'Check the network.' : 'Check oauth2TokenEndpoint and network.';
  const fail = (sentence: string) => new Failure('token', `${nameOf(url)} ${sentence}`);
  if (answer.kind === 'unreachable') throw fail(`could not be reached (${answer.code}). ${check}`);
  if (answer.kind === 'timeout') {
    const within = `${limits.tryTimeoutMs / 1000} s in ${limits.tries} tries`;
    throw fail(`did not answer within ${within}. ${check}`);
  }
  if (answer.kind === 'oversized') {
    throw fail('answered with more than a token response may hold. Check oauth2TokenEndpoint.');
  }
  const { status } = answer;
  if (status === 429) throw fail('is asked too often (HTTP 429). The next run asks again.');
  if (status >= 500) throw fail(`failed (HTTP ${status}). The next run asks again.`);
  if (status === 200 || status >= 400) return answer;
  if (status >= 300) {
    throw fail(
      `answered with a redirect (HTTP ${status}), which is not followed. Set oauth2TokenEndpoint to the address that issues tokens.`,
    );
  }
  throw fail(`gave an answer that is none to a token request (HTTP ${status}). ${check}`);
}

/** The refusal of a grant, from the error response's members or, when it has none, from the HTTP status. */
export function describeRefusal(
  status: number,
  { error, error_description }: Readonly<Record<string, unknown>>,
  url: URL,
  grant: EndpointGrant,
): GrantRefused {
  const code = errorCode(error, grant) ?? `HTTP ${status}`;
  const detail = /\bAADSTS\d{4,10}\b/.exec(String(error_description))?.[0];
  const client = quoteServerText(grant.clientId, secretsOf(grant));
  const why = detail === undefined ? code : `${code} (${detail})`;
  return new GrantRefused(
    code,
    `${nameOf(url)} refused client ${client}: ${why}. ${advice(code, detail, grant)}`,
  );
}

/** The failure of an answer that claims success and gives no usable bearer token. */
export function describeUnusable(url: URL, what: string): Failure {
  return new Failure(
    'token',
    `${nameOf(url)} answered with ${what}. Check that oauth2TokenEndpoint is a token endpoint.`,
  );
}

/** Only what looks like a code is quoted: an endpoint may send anything back, also the secret. */
function errorCode(error: unknown, grant: EndpointGrant): string | undefined {
  if (typeof error !== 'string' || !/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/.test(error)) return undefined;
  return secretsOf(grant).some((secret) => secret.includes(error) || error.includes(secret))
    ? undefined
    : error;
}

function secretsOf(grant: EndpointGrant): readonly string[] {
  const secrets = [grant.clientSecret, grant.kind === 'refreshToken' ? grant.refreshToken : undefined];
  return secrets.filter((secret) => secret !== undefined);
}

const noSuchTenant = 'AADSTS90002';
const noSuchClient = 'AADSTS700016';

function advice(code: string, detail: string | undefined, grant: EndpointGrant): string {
  if (detail === noSuchTenant) return 'Check oauth2TenantId.';
  if (detail === noSuchClient) return 'Check oauth2ClientId and oauth2TenantId.';
  switch (code) {
    case 'invalid_client':
      return grant.clientSecret === undefined
        ? 'Check oauth2ClientId, and whether the client needs oauth2ClientSecret.'
        : 'Check oauth2ClientId and renew oauth2ClientSecret, or the app setting or vault secret that holds it.';
    case 'invalid_grant':
      return grant.kind === 'refreshToken'
        ? `Sign in anew and renew ${tokenPlace(grant)}.`
        : 'Check the grant.';
    case 'unauthorized_client':
      return `Allow the client the grant ${grant.kind} at the provider.`;
    case 'invalid_scope':
      return 'Check oauth2Scope.';
    default:
      return 'Check the connection’s oauth2 columns and the client at the provider.';
  }
}

/** Where the config's own refresh token stands. */
export function tokenPlace(grant: Extract<EndpointGrant, { kind: 'refreshToken' }>): string {
  return {
    column: 'oauth2RefreshToken',
    setting: 'the app setting that oauth2RefreshTokenSetting names',
    vault: 'the secret in Key Vault that oauth2RefreshTokenVaultSecret names',
  }[grant.refreshTokenFrom];
}

function nameOf(url: URL): string {
  return `The token endpoint ${quoteServerText(url.host)}`;
}

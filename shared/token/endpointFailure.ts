import type { OAuth2Grant } from '../connection/config.ts';
import { Failure } from '../failure/failure.ts';
import { quoteServerText } from '../mailbox/serverText.ts';
import type { RequestLimits, TokenAnswer } from './exchange.ts';

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

/** Why an exchange brought nothing that could be a token response or a refusal; undefined when it did. */
export function describeExchange(
  answer: TokenAnswer,
  url: URL,
  grant: EndpointGrant,
  limits: RequestLimits,
): Failure | undefined {
  const endpoint = nameOf(url);
  const check =
    grant.authority.kind === 'tenant' ? 'Check the network.' : 'Check oauth2TokenEndpoint and network.';
  const fail = (sentence: string) => new Failure('token', sentence);
  if (answer.kind === 'unreachable') {
    return fail(`${endpoint} could not be reached (${answer.code}). ${check}`);
  }
  if (answer.kind === 'timeout') {
    const within = `${limits.tryTimeoutMs / 1000} s in ${limits.tries} tries`;
    return fail(`${endpoint} did not answer within ${within}. ${check}`);
  }
  if (answer.kind === 'oversized') {
    return fail(`${endpoint} answered with more than a token response may hold. Check oauth2TokenEndpoint.`);
  }
  const { status } = answer;
  if (status === 429) return fail(`${endpoint} is asked too often (HTTP 429). The next run asks again.`);
  if (status === 200 || (status >= 400 && status < 500)) return undefined;
  if (status >= 300 && status < 400) {
    return fail(
      `${endpoint} answered with a redirect (HTTP ${status}), which is not followed. Set oauth2TokenEndpoint to the address that issues tokens.`,
    );
  }
  if (status >= 500) return fail(`${endpoint} failed (HTTP ${status}). The next run asks again.`);
  return fail(`${endpoint} gave an answer that is none to a token request (HTTP ${status}). ${check}`);
}

/** The refusal of a grant, from the error response's members or, when it has none, from the HTTP status. */
export function describeRefusal(
  refusal: { readonly status: number; readonly error?: string; readonly description?: string },
  url: URL,
  grant: EndpointGrant,
): GrantRefused {
  const code = errorCode(refusal.error, grant) ?? `HTTP ${refusal.status}`;
  const detail = /\bAADSTS\d{4,10}\b/.exec(refusal.description ?? '')?.[0];
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
function errorCode(error: string | undefined, grant: EndpointGrant): string | undefined {
  if (error === undefined || !/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/.test(error)) return undefined;
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

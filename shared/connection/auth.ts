import type { ConfigColumnName } from './columns.ts';
import type { ConnectionAuth, OAuth2Authority, OAuth2Grant } from './config.ts';
import type { Columns } from './schema.ts';
import { literalSecret, type ReadSetting, type Secret, settingSecret } from './secret.ts';

/** What the rules over several columns see and say. */
export interface Findings {
  /** Keeps the first sentence of a column. */
  readonly report: (column: string, message: string) => void;
  /** Whether the column was given, right or wrong. */
  readonly has: (column: ConfigColumnName) => boolean;
}

const exchangeScope = 'https://outlook.office365.com/.default';

/** How to log in, or undefined after reporting what is missing or wrong. */
export function decodeAuth(
  columns: Columns,
  findings: Findings,
  readSetting: ReadSetting,
): ConnectionAuth | undefined {
  if (columns.authType !== 'oauth2') {
    const password = decodeSecret('password', columns, findings, readSetting);
    if (password !== undefined) return { kind: 'password', password: password.value };
    requireOneOf(findings, 'password', 'passwordSetting', 'authType=password');
    return undefined;
  }
  const grant = decodeGrant(columns, findings, readSetting);
  return grant === undefined ? undefined : { kind: 'oauth2', grant };
}

function decodeGrant(
  columns: Columns,
  findings: Findings,
  readSetting: ReadSetting,
): OAuth2Grant | undefined {
  const { oauth2Grant: kind, oauth2ClientId: clientId, oauth2Scope } = columns;
  if (kind === undefined) {
    requireColumn(findings, 'oauth2Grant', 'authType=oauth2');
    return undefined;
  }
  if (kind === 'managedIdentity') {
    const scope = oauth2Scope ?? exchangeScope;
    return clientId === undefined ? { kind, scope } : { kind, clientId, scope };
  }
  const need = `oauth2Grant=${kind}`;
  if (clientId === undefined) requireColumn(findings, 'oauth2ClientId', need);
  const authority = decodeAuthority(columns, findings, need);
  const secret = decodeSecret('oauth2ClientSecret', columns, findings, readSetting);
  const scopes =
    oauth2Scope !== undefined
      ? { scope: oauth2Scope }
      : authority?.kind === 'tenant'
        ? { scope: exchangeScope }
        : {};
  if (kind === 'clientCredentials') {
    if (secret === undefined) {
      requireOneOf(findings, 'oauth2ClientSecret', 'oauth2ClientSecretSetting', need);
    }
    if (clientId === undefined || authority === undefined || secret === undefined) return undefined;
    return { kind, authority, clientId, clientSecret: secret.value, ...scopes };
  }
  const token = decodeSecret('oauth2RefreshToken', columns, findings, readSetting);
  if (token === undefined) requireOneOf(findings, 'oauth2RefreshToken', 'oauth2RefreshTokenSetting', need);
  if (clientId === undefined || authority === undefined || token === undefined) return undefined;
  return {
    kind,
    authority,
    clientId,
    ...(secret === undefined ? {} : { clientSecret: secret.value }),
    refreshToken: token.value,
    refreshTokenFrom: token.from,
    ...scopes,
  };
}

function decodeAuthority(columns: Columns, findings: Findings, need: string): OAuth2Authority | undefined {
  const { oauth2TenantId: tenantId, oauth2TokenEndpoint: url } = columns;
  if (findings.has('oauth2TenantId') && findings.has('oauth2TokenEndpoint')) {
    reportBoth(findings, 'oauth2TokenEndpoint', 'oauth2TenantId');
    return undefined;
  }
  if (tenantId !== undefined) return { kind: 'tenant', tenantId };
  if (url !== undefined) return { kind: 'endpoint', url };
  requireOneOf(findings, 'oauth2TenantId', 'oauth2TokenEndpoint', need);
  return undefined;
}

type SecretColumn = 'password' | 'oauth2ClientSecret' | 'oauth2RefreshToken';

function decodeSecret(
  column: SecretColumn,
  columns: Columns,
  findings: Findings,
  readSetting: ReadSetting,
): Extract<Secret, { ok: true }> | undefined {
  const settingColumn = `${column}Setting` as const;
  if (findings.has(column) && findings.has(settingColumn)) {
    reportBoth(findings, settingColumn, column);
    return undefined;
  }
  const literal = columns[column];
  const setting = columns[settingColumn];
  const secret =
    literal !== undefined
      ? literalSecret(column, literal)
      : setting !== undefined
        ? settingSecret(settingColumn, setting, readSetting)
        : undefined;
  if (secret === undefined || secret.ok) return secret;
  findings.report(secret.column, secret.message);
  return undefined;
}

function reportBoth({ report }: Findings, column: ConfigColumnName, other: ConfigColumnName): void {
  report(column, `${column} is given together with ${other}; only one of them may be given.`);
}

function requireColumn({ report, has }: Findings, column: ConfigColumnName, need: string): void {
  if (!has(column)) report(column, `${column} is missing; it must be given with ${need}.`);
}

function requireOneOf(
  { report, has }: Findings,
  a: ConfigColumnName,
  b: ConfigColumnName,
  need: string,
): void {
  if (!has(a) && !has(b)) report(a, `${a} is missing; it or ${b} must be given with ${need}.`);
}

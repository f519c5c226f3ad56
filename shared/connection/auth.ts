import { matchesHostPattern } from '../mailbox/hostGuard.ts';
import { type ConfigColumnName, type SecretColumn, secretReferences } from './columns.ts';
import type { ConnectionAuth, OAuth2Authority, OAuth2Grant } from './config.ts';
import type { Columns } from './schema.ts';
import {
  type ConfiguredSecret,
  type DecodedSecret,
  literalSecret,
  type SecretSources,
  settingSecret,
  vaultSecret,
} from './secret.ts';
import { toHost } from './syntax.ts';

/** What the rules over several columns see and say. */
export interface Findings {
  /** Keeps the first sentence of a column. */
  readonly report: (column: string, message: string) => undefined;
  /** Whether the column was given, right or wrong. */
  readonly has: (column: ConfigColumnName) => boolean;
}

const exchangeScope = 'https://outlook.office365.com/.default';

/** How to log in, or undefined after reporting what is missing or wrong. */
export function decodeAuth(
  columns: Columns,
  findings: Findings,
  sources: SecretSources,
): ConnectionAuth | undefined {
  if (columns.authType !== 'oauth2') {
    const password = decodeSecret('password', 'authType=password', columns, findings, sources);
    return password && { kind: 'password', password: password.value };
  }
  const grant = decodeGrant(columns, findings, sources);
  return grant && { kind: 'oauth2', grant };
}

function decodeGrant(
  columns: Columns,
  findings: Findings,
  sources: SecretSources,
): OAuth2Grant<ConfiguredSecret> | undefined {
  const { oauth2Grant: kind, oauth2ClientId: clientId, oauth2Scope } = columns;
  if (kind === undefined) return requireColumn(findings, 'oauth2Grant', 'authType=oauth2');
  if (kind === 'managedIdentity') {
    checkIdentityTarget(columns, findings, sources.identityHosts ?? []);
    const scope = oauth2Scope ?? exchangeScope;
    return clientId === undefined ? { kind, scope } : { kind, clientId, scope };
  }
  const need = `oauth2Grant=${kind}`;
  requireColumn(findings, 'oauth2ClientId', need);
  const authority = decodeAuthority(columns, findings, need);
  const secretNeed = kind === 'clientCredentials' ? need : undefined;
  const secret = decodeSecret('oauth2ClientSecret', secretNeed, columns, findings, sources);
  const clientSecret = secret && { clientSecret: secret.value };
  const token =
    kind === 'refreshToken'
      ? decodeSecret('oauth2RefreshToken', need, columns, findings, sources)
      : undefined;
  if (clientId === undefined || authority === undefined) return undefined;
  const scope = oauth2Scope ?? (authority.kind === 'tenant' ? exchangeScope : undefined);
  const client = { authority, clientId, ...(scope === undefined ? {} : { scope }) };
  if (kind === 'clientCredentials') return clientSecret && { kind, ...client, ...clientSecret };
  return (
    token && { kind, ...client, ...clientSecret, refreshToken: token.value, refreshTokenFrom: token.from }
  );
}

/** Microsoft's own mail servers, in its clouds. */
const exchangeHosts = [
  'outlook.office365.com',
  'outlook.office.com',
  'outlook.office365.us',
  'outlook-dod.office365.us',
  'partner.outlook.cn',
];

/** A token of the app's own identity opens more than one mailbox: it goes to no host of a connection's choice. */
function checkIdentityTarget(
  { host: text = '', useSsl, startTls }: Columns,
  { report }: Findings,
  identityHosts: readonly string[],
): void {
  const host = toHost(text);
  if (host === undefined) return;
  if (!matchesHostPattern(host, [...exchangeHosts, ...identityHosts])) {
    report(
      'oauth2Grant',
      "oauth2Grant is managedIdentity, and a token of the app's identity goes to Microsoft's mail hosts only, such as outlook.office365.com; correct host, or add it to the app setting MANAGED_IDENTITY_HOSTS.",
    );
  } else if (!useSsl && !startTls) {
    report(
      'oauth2Grant',
      "oauth2Grant is managedIdentity, and a token of the app's identity is sent over TLS only; set useSsl or startTls to true.",
    );
  }
}

function decodeAuthority(columns: Columns, findings: Findings, need: string): OAuth2Authority | undefined {
  const { oauth2TenantId: tenantId, oauth2TokenEndpoint: url } = columns;
  if (findings.has('oauth2TenantId') && findings.has('oauth2TokenEndpoint')) {
    return reportBoth(findings, 'oauth2TokenEndpoint', 'oauth2TenantId');
  }
  if (tenantId !== undefined) return { kind: 'tenant', tenantId };
  if (url !== undefined) return { kind: 'endpoint', url };
  if (findings.has('oauth2TenantId') || findings.has('oauth2TokenEndpoint')) return undefined;
  return findings.report(
    'oauth2TenantId',
    `oauth2TenantId is missing; it or oauth2TokenEndpoint must be given with ${need}.`,
  );
}

/** A secret wherever it stands; without `need` it may be missing. */
function decodeSecret(
  column: SecretColumn,
  need: string | undefined,
  columns: Columns,
  findings: Findings,
  sources: SecretSources,
): DecodedSecret | undefined {
  const { setting, vaultSecret: inVault } = secretReferences[column];
  const [first, ...others] = ([column, setting, inVault] as const).filter((name) => findings.has(name));
  if (first === undefined) {
    if (need === undefined) return undefined;
    const sentence = `${column} is missing; it, ${setting} or ${inVault} must be given with ${need}.`;
    return findings.report(column, sentence);
  }
  for (const other of others) reportBoth(findings, other, first);
  const text = columns[first];
  if (others.length > 0 || text === undefined) return undefined;
  const refuse = (rest: string) => findings.report(first, `${first} ${rest}`);
  if (first === column) return literalSecret(column, text, refuse);
  if (first === setting) return settingSecret(text, sources, refuse);
  return vaultSecret(inVault, text, sources, refuse);
}

function reportBoth({ report }: Findings, column: ConfigColumnName, other: ConfigColumnName): undefined {
  return report(column, `${column} is given together with ${other}; only one of them may be given.`);
}

function requireColumn({ report, has }: Findings, column: ConfigColumnName, need: string): undefined {
  return has(column) ? undefined : report(column, `${column} is missing; it must be given with ${need}.`);
}

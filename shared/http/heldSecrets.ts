import {
  type ConfigColumnName,
  normalizeColumn,
  type SecretColumn,
  secretReferences,
} from '../connection/columns.ts';
import { type ColumnError, type ConnectionConfig, defaultPort, securityOf } from '../connection/config.ts';
import type { ConnectionEntity, StoredColumns } from '../connection/connectionStore.ts';
import { toPem } from '../mailbox/pem.ts';
import { refuseColumns } from './answer.ts';
import type { ConnectionBody } from './connectionBody.ts';

type Columns = ConnectionEntity['columns'];

/**
 * What of a change may be saved. A stored secret that the body leaves out is kept only where it goes to the very
 * target that it was stored for (else the change is refused): whoever may write connections could have it sent to a
 * server of his own. One that the new config doesn't use is dropped with the target, so that it can't follow in two
 * steps.
 */
export function keepSecrets(
  { columns, config, kept }: ConnectionBody,
  stored: ConnectionEntity | undefined,
): StoredColumns {
  const moved = [...kept].filter((secret) => !goesToSameTarget(secret, columns, stored?.columns ?? {}));
  const used = usedSecrets(config);
  const errors = moved
    .filter((secret) => used.includes(secret))
    .map((secret) => ({
      column: secret,
      message: `${secret} is stored for where the saved connection points (${targetNames(secret)}) and is not kept for another target; enter it again.`,
    }));
  if (errors.length > 0) refuseColumns(errors);
  return Object.fromEntries(Object.entries(columns).filter(([name]) => !moved.some((each) => each === name)));
}

/**
 * Refuses a test of unsaved columns that may not use its secrets. One that the caller doesn't know (it is stored,
 * stands in an app setting or the vault, or is the app's identity) goes only where the saved connection sends it
 * already; else a test would hand it to any host that is typed in, and leave no trace.
 */
export function refuseHeldSecrets(
  { columns, config, kept }: ConnectionBody,
  stored: ConnectionEntity | undefined,
): void {
  // Where nothing is saved it has no host, and so another target than any that can be tested.
  const saved = stored?.columns ?? {};
  const errors: ColumnError[] = [];
  for (const secret of usedSecrets(config)) {
    const isSameTarget = goesToSameTarget(secret, columns, saved);
    const { setting, vaultSecret } = secretReferences[secret];
    const reference = [setting, vaultSecret].find((name) => columns[name] !== undefined);
    if (kept.has(secret)) {
      if (isSameTarget) continue;
      errors.push({
        column: secret,
        message: `${secret} is stored for where the saved connection points, and is not sent elsewhere in a test; enter it again, or save the connection first.`,
      });
    } else if (reference !== undefined) {
      if (isSameTarget && columns[reference] === columnOf(saved, reference)) continue;
      errors.push({
        column: reference,
        message: `${reference} names a secret that a test sends only where the saved connection points; save the connection first, or enter ${secret} itself.`,
      });
    }
  }
  const { auth } = config;
  const usesIdentity = auth.kind === 'oauth2' && auth.grant.kind === 'managedIdentity';
  if (usesIdentity && target(columns) !== target(saved)) {
    errors.push({
      column: 'oauth2Grant',
      message:
        "oauth2Grant is managedIdentity, and a test sends a token of the app's identity only where the saved connection points; save the connection first.",
    });
  }
  if (errors.length > 0) refuseColumns(errors);
}

function usedSecrets({ auth }: ConnectionConfig): readonly SecretColumn[] {
  if (auth.kind === 'password') return ['password'];
  if (auth.grant.kind === 'managedIdentity') return [];
  return auth.grant.kind === 'refreshToken'
    ? ['oauth2RefreshToken', 'oauth2ClientSecret']
    : ['oauth2ClientSecret'];
}

function goesToSameTarget(secret: SecretColumn, one: Columns, other: Columns): boolean {
  const targetOf = secret === 'password' ? mailboxTarget : target;
  return targetOf(one) === targetOf(other);
}

function targetNames(secret: SecretColumn): string {
  const mailbox = 'host, port, encryption, CA, user';
  return secret === 'password' ? mailbox : `${mailbox}, token endpoint, client, scope`;
}

/** Everything that decides where a token and the secret that it is got with are sent. */
function target(columns: Columns): string {
  const names = [
    'authType',
    'oauth2Grant',
    'oauth2TenantId',
    'oauth2TokenEndpoint',
    'oauth2ClientId',
    'oauth2Scope',
  ] as const;
  return JSON.stringify([mailboxTarget(columns), ...names.map((name) => columnOf(columns, name) ?? null)]);
}

/**
 * Everything that decides which server is logged in to, as whom, and whether it is the right one. Made of the
 * columns as they stand, since what was stored may be wrong in another column.
 */
function mailboxTarget(columns: Columns): string {
  const hostType = columnOf(columns, 'hostType');
  const useSsl = columnOf(columns, 'useSsl') ?? true;
  const host = columnOf(columns, 'host');
  const certificates = columnOf(columns, 'caCertificate');
  return JSON.stringify([
    hostType,
    typeof host === 'string' ? host.toLowerCase() : host,
    columnOf(columns, 'port') ?? defaultPort(hostType === 'POP3' ? 'pop3' : 'imap', useSsl === true),
    securityOf(useSsl === true, columnOf(columns, 'startTls') === true),
    typeof certificates === 'string' ? (toPem(certificates) ?? certificates) : certificates,
    columnOf(columns, 'username'),
  ]);
}

function columnOf(columns: Columns, name: ConfigColumnName): unknown {
  return normalizeColumn(name, columns[name]);
}

import { normalizeColumn } from '../connection/columns.ts';
import type { ColumnError, ConnectionConfig, OAuth2Grant } from '../connection/config.ts';
import type { ConnectionEntity } from '../connection/connectionStore.ts';
import type { ReadConnection } from './connectionBody.ts';

type GoodBody = Extract<ReadConnection, { ok: true }>;
type SecretColumn = 'password' | 'oauth2ClientSecret' | 'oauth2RefreshToken';

/**
 * Whose secrets a test of unsaved columns may use. One that the caller doesn't know (it is stored, stands in
 * an app setting, or is the app's identity) goes only where the saved connection sends it already; else a
 * test would hand it to any host that is typed in, and leave no trace.
 */
export function refuseHeldSecrets(
  { columns, config, kept }: GoodBody,
  saved: ConnectionConfig | undefined,
  stored: ConnectionEntity | undefined,
): ColumnError[] {
  const isSameTarget = saved !== undefined && target(saved) === target(config);
  const errors: ColumnError[] = [];
  for (const secret of usedSecrets(config)) {
    const settingColumn = `${secret}Setting` as const;
    const setting = columns[settingColumn];
    const isSameSetting =
      setting === undefined || setting === normalizeColumn(settingColumn, stored?.columns[settingColumn]);
    if (isSameTarget && isSameSetting) continue;
    if (kept.has(secret)) {
      errors.push({
        column: secret,
        message: `${secret} is stored for where the saved connection points, and is not sent elsewhere in a test; enter it again, or save the connection first.`,
      });
    } else if (setting !== undefined) {
      errors.push({
        column: settingColumn,
        message: `${settingColumn} names a secret that a test sends only where the saved connection points; save the connection first, or enter ${secret} itself.`,
      });
    }
  }
  const { auth } = config;
  if (!isSameTarget && auth.kind === 'oauth2' && auth.grant.kind === 'managedIdentity') {
    errors.push({
      column: 'oauth2Grant',
      message:
        "oauth2Grant is managedIdentity, and a test sends a token of the app's identity only where the saved connection points; save the connection first.",
    });
  }
  return errors;
}

function usedSecrets({ auth }: ConnectionConfig): readonly SecretColumn[] {
  if (auth.kind === 'password') return ['password'];
  if (auth.grant.kind === 'managedIdentity') return [];
  return auth.grant.kind === 'refreshToken'
    ? ['oauth2RefreshToken', 'oauth2ClientSecret']
    : ['oauth2ClientSecret'];
}

/** Everything that decides where a secret, or a token got with it, is sent. */
function target({ host, port, security, auth }: ConnectionConfig): string {
  const grant = auth.kind === 'oauth2' ? publicPart(auth.grant) : undefined;
  return JSON.stringify([host.toLowerCase(), port, security, grant]);
}

function publicPart(grant: OAuth2Grant): unknown {
  const authority = grant.kind === 'managedIdentity' ? undefined : grant.authority;
  return [grant.kind, authority, grant.clientId, grant.scope];
}

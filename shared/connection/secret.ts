import { type SecretColumn, secretReferences } from './columns.ts';

/** Gives an app setting's value; undefined when there is none. */
export type ReadSetting = (name: string) => string | undefined;

/** What of the app a connection may use to log in: secrets that are not in the connection itself, and its identity. */
export interface SecretSources {
  /** What the names of settings must begin with that connections may name as secrets. */
  readonly settingsPrefix: string;
  readonly readSetting: ReadSetting;
  /** What the names of the vault's secrets must begin with; absent: the app has no vault. */
  readonly vaultPrefix?: string;
  /** Patterns of hosts, beside Microsoft's own, that may get a token of the app's identity. */
  readonly identityHosts?: readonly string[];
}

/** A secret as the config gives it: itself, or by its name in the app's Key Vault. */
export type ConfiguredSecret = string | VaultSecret;

export interface VaultSecret {
  readonly vaultSecret: string;
  /** The column that names it, for what is said where it can't be read. */
  readonly column: string;
}

export type SecretPlace = 'column' | 'setting' | 'vault';

export type DecodedSecret =
  | { readonly ok: true; readonly value: ConfiguredSecret; readonly from: SecretPlace }
  | { readonly ok: false; readonly column: string; readonly message: string };

const keyVaultReference = /^\s*@Microsoft\.KeyVault\(/i;

/** A secret that stands in the config itself. */
export function literalSecret(column: SecretColumn, value: string): DecodedSecret {
  if (keyVaultReference.test(value)) {
    const { setting, vaultSecret } = secretReferences[column];
    return {
      ok: false,
      column,
      message: `${column} is a Key Vault reference, which works in app settings only; put it into one and name that in ${setting}, or name the secret in ${vaultSecret}.`,
    };
  }
  return { ok: true, value, from: 'column' };
}

/**
 * A secret that stands in an app setting. Only settings that begin with the prefix are looked at: a config that
 * could name any would carry the storage key to a mail server of its choice. The value is in no message; nor is
 * a name without the prefix, which may be the secret itself in the wrong column.
 */
export function settingSecret(column: string, name: string, sources: SecretSources): DecodedSecret {
  const refuse = (rest: string): DecodedSecret => ({ ok: false, column, message: `${column} names ${rest}` });
  const { settingsPrefix, readSetting } = sources;
  if (!name.startsWith(settingsPrefix)) {
    return refuse(
      `an app setting that does not begin with ${settingsPrefix}; rename the setting so, since only those may be used as secrets (SECRET_SETTINGS_PREFIX).`,
    );
  }
  const value = spellings(name)
    .map(readSetting)
    .find((found) => found !== undefined && found !== '');
  if (value === undefined) {
    return refuse(`the app setting ${name}, which does not exist or is empty; add it to the function app.`);
  }
  if (keyVaultReference.test(value)) {
    return refuse(
      `the app setting ${name}, whose Key Vault reference is not resolved; check the reference and that the app's identity may read the secret.`,
    );
  }
  if (!isUsableSecret(value)) {
    return refuse(
      `the app setting ${name}, whose value must be text of at most ${maxSecretLength} characters without line breaks or NUL; store it so.`,
    );
  }
  return { ok: true, value, from: 'setting' };
}

/** A secret that the app reads from its Key Vault when it is needed. */
export function vaultSecret(column: string, name: string, { vaultPrefix }: SecretSources): DecodedSecret {
  const refuse = (message: string): DecodedSecret => ({ ok: false, column, message });
  if (vaultPrefix === undefined) {
    return refuse(
      `${column} names a secret in Key Vault, and the app has no vault; set the app setting SECRETS_VAULT to its address.`,
    );
  }
  // The vault takes a name in any case.
  if (!name.toLowerCase().startsWith(vaultPrefix.toLowerCase())) {
    return refuse(
      `${column} names a secret that does not begin with ${vaultPrefix}; rename the secret so, since only those may be used (SECRETS_VAULT_PREFIX).`,
    );
  }
  return { ok: true, value: { vaultSecret: name, column }, from: 'vault' };
}

export const maxSecretLength = 8192;

/** Whether it can't end a command line of a mail server, and isn't longer than one takes. */
export function isUsableSecret(value: string): boolean {
  return value !== '' && value.length <= maxSecretLength && !/[\r\n\0]/.test(value);
}

/** The setting as it was named, and as Linux puts it into the environment: `.` as `_`, `:` as `__`. */
function spellings(name: string): readonly string[] {
  const onLinux = name.replaceAll('.', '_').replaceAll(':', '__');
  return onLinux === name ? [name] : [name, onLinux];
}

/** Reads app settings of this environment; what objects have by inheritance is none of them. */
export function settingsOf(env: Readonly<Record<string, string | undefined>>): ReadSetting {
  return (name) => (Object.hasOwn(env, name) ? env[name] : undefined);
}

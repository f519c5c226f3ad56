import { keyVaultReference } from '../settings/reader.ts';
import { linuxName } from '../settings/secrets.ts';
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

export interface DecodedSecret {
  readonly value: ConfiguredSecret;
  readonly from: SecretPlace;
}

/** Reports a sentence of which `rest` is what comes behind the column's name. */
type Refuse = (rest: string) => undefined;

/** A secret that stands in the config itself. */
export function literalSecret(
  column: SecretColumn,
  value: string,
  refuse: Refuse,
): DecodedSecret | undefined {
  if (!keyVaultReference.test(value)) return { value, from: 'column' };
  const { setting, vaultSecret } = secretReferences[column];
  return refuse(
    `is a Key Vault reference, which works in app settings only; put it into one and name that in ${setting}, or name the secret in ${vaultSecret}.`,
  );
}

/**
 * A secret that stands in an app setting. Only settings that begin with the prefix are looked at: a config that
 * could name any would carry the storage key to a mail server of its choice. The value is in no message; nor is
 * a name without the prefix, which may be the secret itself in the wrong column.
 */
export function settingSecret(
  name: string,
  { settingsPrefix, readSetting }: SecretSources,
  refuse: Refuse,
): DecodedSecret | undefined {
  if (!name.startsWith(settingsPrefix)) {
    return refuse(
      `names an app setting that does not begin with ${settingsPrefix}; rename the setting so, since only those may be used as secrets (SECRET_SETTINGS_PREFIX).`,
    );
  }
  const named = `names the app setting ${name}`;
  // As it was named, and as Linux puts it into the environment.
  const value = readSetting(name) || readSetting(linuxName(name));
  if (!value) return refuse(`${named}, which does not exist or is empty; add it to the function app.`);
  if (keyVaultReference.test(value)) {
    return refuse(
      `${named}, whose Key Vault reference is not resolved; check the reference and that the app's identity may read the secret.`,
    );
  }
  return isUsableSecret(value) ? { value, from: 'setting' } : refuse(`${named}, ${usableRule}`);
}

/** A secret that the app reads from its Key Vault when it is needed. */
export function vaultSecret(
  column: string,
  name: string,
  { vaultPrefix }: SecretSources,
  refuse: Refuse,
): DecodedSecret | undefined {
  if (vaultPrefix === undefined) {
    return refuse(
      'names a secret in Key Vault, and the app has no vault; set the app setting SECRETS_VAULT to its address.',
    );
  }
  // The vault takes a name in any case.
  if (name.toLowerCase().startsWith(vaultPrefix.toLowerCase())) {
    return { value: { vaultSecret: name, column }, from: 'vault' };
  }
  return refuse(
    `names a secret that does not begin with ${vaultPrefix}; rename the secret so, since only those may be used (SECRETS_VAULT_PREFIX).`,
  );
}

const maxSecretLength = 8192;
/** The end of a sentence about a secret that `isUsableSecret` refuses. */
export const usableRule = `whose value must be text of at most ${maxSecretLength} characters without line breaks or NUL; store it so.`;

/** Whether it can't end a command line of a mail server, and isn't longer than one takes. */
export function isUsableSecret(value: string): boolean {
  return value !== '' && value.length <= maxSecretLength && !/[\r\n\0]/.test(value);
}

/** Reads app settings of this environment; what objects have by inheritance is none of them. */
export function settingsOf(env: Readonly<Record<string, string | undefined>>): ReadSetting {
  return (name) => (Object.hasOwn(env, name) ? env[name] : undefined);
}

import { type SecretSources, settingsOf } from '../connection/secret.ts';
import type { ReadVaultSecret } from '../connection/withSecrets.ts';
import type { HostRules } from '../mailbox/hostGuard.ts';
import type { Identity } from '../settings/account.ts';
import type { Env } from '../settings/reader.ts';
import type { Settings } from '../settings/settings.ts';
import type { GetCredential } from '../storage/access.ts';
import type { Log } from '../telemetry/log.ts';
import { lazily } from '../wait/lazy.ts';

/** What of the app connections may log in with. */
export function secretSources(settings: Settings, env: Env): SecretSources {
  return {
    settingsPrefix: settings.secretSettingsPrefix,
    readSetting: settingsOf(env),
    identityHosts: settings.managedIdentityHosts,
    ...(settings.secretsVault === undefined ? {} : { vaultPrefix: settings.secretsVaultPrefix }),
  };
}

/** Which hosts connections may name. */
export function hostRules({ denyPrivateNetworks: denyPrivate, mailHostsAllowed }: Settings): HostRules {
  return mailHostsAllowed === undefined ? { denyPrivate } : { denyPrivate, allowed: mailHostsAllowed };
}

/** Reads secrets of the app's Key Vault; one for the whole process, since it remembers them. */
export function createVaultReader(
  settings: Settings,
  getCredential: GetCredential,
): (log: Log) => ReadVaultSecret {
  const vault = lazily(async () => {
    const { openSecretsVault } = await import('../connection/secretsVault.ts');
    return openSecretsVault({
      url: settings.secretsVault ?? '',
      getCredential: () => getCredential(ownIdentity(settings)),
    });
  });
  return (log) => async (secret, refused) => await (await vault()).read(secret, log, refused);
}

/** The identity that opens storage or Service Bus opens the vault too; with connection strings, the app's own. */
function ownIdentity({ storage, serviceBus }: Settings): Identity {
  if (storage.kind === 'identity') return storage.identity;
  return serviceBus.kind === 'identity' ? serviceBus.identity : { kind: 'default' };
}

import { bareUrl, type SettingReader } from './reader.ts';

/**
 * What the names of the app's and the platform's own settings begin with. Whoever may write a connection could
 * send them to a mail server of his choice, were they in reach of the prefix.
 */
const reserved = [
  ...['AzureWebJobs', 'AzureFunctions', 'ServiceBusConnection', 'APPLICATIONINSIGHTS_', 'APPINSIGHTS_'],
  ...['APPSETTING_', 'WEBSITE_', 'IDENTITY_', 'MSI_', 'AZURE_', 'FUNCTIONS_', 'CONTAINER_', 'MACHINEKEY'],
  ...['MICROSOFT_PROVIDER_', 'DOCKER_', 'DIAGNOSTICS_', 'CUSTOMCONNSTR_', 'SQLCONNSTR_', 'SQLAZURECONNSTR_'],
  ...['MYSQLCONNSTR_', 'POSTGRESQLCONNSTR_', 'APIHUBCONNSTR_', 'DOCDBCONNSTR_', 'EVENTHUBCONNSTR_'],
  ...['NOTIFICATIONHUBCONNSTR_', 'REDISCACHECONNSTR_', 'SERVICEBUSCONNSTR_'],
];

/** SECRET_SETTINGS_PREFIX. */
export function readSecretPrefix(reader: SettingReader): string {
  const name = 'SECRET_SETTINGS_PREFIX';
  const prefix = reader.get(name) ?? 'MAILBOX_';
  if (!/^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$/.test(prefix)) {
    reader.wrong(name, prefix, "the beginning of an app setting's name, such as MAILBOX_");
    return prefix;
  }
  const upper = linuxName(prefix).toUpperCase();
  const covered = reserved.find((own) => {
    const ownUpper = own.toUpperCase();
    return ownUpper.startsWith(upper) || upper.startsWith(ownUpper);
  });
  if (covered !== undefined) {
    const rule = `a beginning that no setting of the app or the platform has, and ${covered}… has it`;
    reader.wrong(name, prefix, rule);
  }
  return prefix;
}

/** A setting's name as Linux puts it into the environment. */
export function linuxName(name: string): string {
  return name.replaceAll('.', '_').replaceAll(':', '__');
}

/** SECRETS_VAULT; the library behind it sends nothing by http. */
export function readVaultAddress(reader: SettingReader): string | undefined {
  const name = 'SECRETS_VAULT';
  const text = reader.get(name);
  if (text === undefined) return undefined;
  const url = bareUrl(text);
  if (url?.protocol === 'https:' && url.pathname === '/') return url.origin;
  const rule = 'the address of a Key Vault, such as https://example.vault.azure.net';
  return reader.wrong(name, text, rule, 'not valid');
}

/** Gives an app setting's value; undefined when there is none. */
export type ReadSetting = (name: string) => string | undefined;

export type Secret =
  | { readonly ok: true; readonly value: string; readonly from: 'column' | 'setting' }
  | { readonly ok: false; readonly column: string; readonly message: string };

/**
 * Settings that belong to the app or the platform, which hands out each also with the prefix APPSETTING_.
 * A config that could name them as its password would carry the storage key to a mail server of its choice.
 */
const reserved =
  /^(AzureWebJobs|AzureFunctions|ServiceBusConnection|APPLICATIONINSIGHTS_|APPINSIGHTS_|APPSETTING_|WEBSITE_|IDENTITY_|MSI_|AZURE_|FUNCTIONS_|CONTAINER_|MACHINEKEY|MICROSOFT_PROVIDER_|[A-Z]*CONNSTR_)/i;

const keyVaultReference = /^\s*@Microsoft\.KeyVault\(/i;

/** A secret that stands in the config itself. */
export function literalSecret(column: string, value: string): Secret {
  if (keyVaultReference.test(value)) {
    return {
      ok: false,
      column,
      message: `${column} is a Key Vault reference, which works in app settings only; put it into one and name that in ${column}Setting.`,
    };
  }
  return { ok: true, value, from: 'column' };
}

/** A secret that stands in an app setting. Its value is in no message; the setting's name is. */
export function settingSecret(column: string, setting: string, readSetting: ReadSetting): Secret {
  const refuse = (rest: string): Secret => ({ ok: false, column, message: `${column} names ${rest}` });
  if (reserved.test(setting)) {
    return refuse(`${setting}, which belongs to the app itself; name a setting that holds only this secret.`);
  }
  const value = readSetting(setting);
  if (value === undefined || value === '') {
    return refuse(
      `the app setting ${setting}, which does not exist or is empty; add it to the function app.`,
    );
  }
  if (keyVaultReference.test(value)) {
    return refuse(
      `the app setting ${setting}, whose Key Vault reference is not resolved; check the reference and that the app's identity may read the secret.`,
    );
  }
  if (/[\r\n\0]/.test(value)) {
    return refuse(
      `the app setting ${setting}, whose value holds a line break or NUL; store the secret without one.`,
    );
  }
  return { ok: true, value, from: 'setting' };
}

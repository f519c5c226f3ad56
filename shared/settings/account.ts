import { type SettingReader, wrongSetting } from './reader.ts';

/** How to get at tables, blobs and queues. */
export type StorageSettings =
  | { readonly kind: 'connectionString'; readonly connectionString: string }
  | {
      readonly kind: 'identity';
      /** Without a slash at the end. */
      readonly blobServiceUri: string;
      readonly queueServiceUri: string;
      readonly tableServiceUri: string;
      readonly identity: Identity;
    };

export type ServiceBusSettings =
  | { readonly kind: 'connectionString'; readonly connectionString: string }
  | { readonly kind: 'identity'; readonly fullyQualifiedNamespace: string; readonly identity: Identity };

/** Whose token is used. */
export type Identity =
  /** Whatever the machine offers: managed identity in Azure, a developer's login elsewhere. */
  | { readonly kind: 'default'; readonly clientId?: string }
  /** `__credential` is `managedidentity`; `clientId` picks a user-assigned one. */
  | { readonly kind: 'managedIdentity'; readonly clientId?: string };

const storageName = 'AzureWebJobsStorage';
const serviceBusName = 'ServiceBusConnection';
const services = ['blob', 'queue', 'table'] as const;

/** The storage account, as the Functions host reads it: a connection string comes before an identity. */
export function readStorage(reader: SettingReader): StorageSettings | undefined {
  const connectionString = reader.get(storageName);
  if (connectionString !== undefined) {
    if (!checkSecret(reader, storageName, connectionString)) return undefined;
    if (isStorageConnectionString(connectionString)) return { kind: 'connectionString', connectionString };
    reader.report(
      `App setting ${storageName} is not valid; it must be a storage connection string (AccountName=…;AccountKey=…), "UseDevelopmentStorage=true", or be replaced by ${storageName}__accountName.`,
    );
    return undefined;
  }
  const accountName = reader.get(`${storageName}__accountName`);
  if (accountName !== undefined && !/^[a-z0-9]{3,24}$/.test(accountName)) {
    const rule = 'a storage account name of 3 to 24 lower-case letters and digits';
    reader.report(wrongSetting(`${storageName}__accountName`, accountName, rule));
    return undefined;
  }
  const [blob, queue, table] = services.map((service) => readServiceUri(reader, service, accountName));
  const identity = readIdentity(reader, storageName);
  if (blob === undefined && queue === undefined && table === undefined) {
    reader.report(
      `App setting ${storageName} is missing; set it to a storage connection string, or ${storageName}__accountName to use a managed identity.`,
    );
    return undefined;
  }
  for (const [index, uri] of [blob, queue, table].entries()) {
    if (uri !== undefined) continue;
    const name = `${storageName}__${services[index]}ServiceUri`;
    reader.report(
      `App setting ${name} is missing; set it too, or ${storageName}__accountName for all three.`,
    );
  }
  if (!blob || !queue || !table || identity === undefined) return undefined;
  return { kind: 'identity', blobServiceUri: blob, queueServiceUri: queue, tableServiceUri: table, identity };
}

/** The Service Bus namespace: a connection string comes before an identity. */
export function readServiceBus(reader: SettingReader): ServiceBusSettings | undefined {
  const connectionString = reader.get(serviceBusName);
  if (connectionString !== undefined) {
    if (!checkSecret(reader, serviceBusName, connectionString)) return undefined;
    if (isServiceBusConnectionString(connectionString)) return { kind: 'connectionString', connectionString };
    reader.report(
      `App setting ${serviceBusName} is not valid; it must be a Service Bus connection string (Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…), or be replaced by ${serviceBusName}__fullyQualifiedNamespace.`,
    );
    return undefined;
  }
  const name = `${serviceBusName}__fullyQualifiedNamespace`;
  const namespace = reader.get(name);
  const identity = readIdentity(reader, serviceBusName);
  if (namespace === undefined) {
    reader.report(
      `App setting ${serviceBusName} is missing; set it to a Service Bus connection string, or ${name} to use a managed identity.`,
    );
    return undefined;
  }
  if (!/^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(namespace)) {
    const rule = 'a host name such as example.servicebus.windows.net, without scheme or path';
    reader.report(wrongSetting(name, namespace, rule));
    return undefined;
  }
  return identity && { kind: 'identity', fullyQualifiedNamespace: namespace, identity };
}

function readServiceUri(
  reader: SettingReader,
  service: (typeof services)[number],
  accountName: string | undefined,
): string | undefined {
  const name = `${storageName}__${service}ServiceUri`;
  const uri = reader.get(name);
  if (uri === undefined) return accountName && `https://${accountName}.${service}.core.windows.net`;
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  const bare = url !== undefined && url.search === '' && url.hash === '' && url.username === '';
  if (!bare || url.protocol !== 'https:') {
    // The value may carry a shared access signature, so it is not quoted.
    reader.report(
      `App setting ${name} is not valid; it must be an https URL such as https://example.${service}.core.windows.net, without a query.`,
    );
  }
  return uri.replace(/\/+$/, '');
}

function readIdentity(reader: SettingReader, prefix: string): Identity | undefined {
  const credential = reader.get(`${prefix}__credential`);
  const clientId = reader.get(`${prefix}__clientId`);
  if (credential !== undefined && credential.toLowerCase() !== 'managedidentity') {
    reader.report(wrongSetting(`${prefix}__credential`, credential, 'managedidentity, or left out'));
    return undefined;
  }
  const kind = credential === undefined ? 'default' : 'managedIdentity';
  return clientId === undefined ? { kind } : { kind, clientId };
}

function checkSecret(reader: SettingReader, name: string, value: string): boolean {
  if (!/^@Microsoft\.KeyVault\(/i.test(value)) return true;
  reader.report(
    `App setting ${name} is a Key Vault reference that is not resolved; check the reference and that the app's identity may read the secret.`,
  );
  return false;
}

function isStorageConnectionString(text: string): boolean {
  const fields = connectionStringFields(text);
  if (fields.get('usedevelopmentstorage')?.toLowerCase() === 'true') return true;
  if (fields.has('accountname') && fields.has('accountkey')) return true;
  return fields.has('sharedaccesssignature') && services.every((service) => fields.has(`${service}endpoint`));
}

function isServiceBusConnectionString(text: string): boolean {
  const fields = connectionStringFields(text);
  const keyed = fields.has('sharedaccesskeyname') && fields.has('sharedaccesskey');
  return /^sb:\/\/[^/]/i.test(fields.get('endpoint') ?? '') && (keyed || fields.has('sharedaccesssignature'));
}

/** `Name=value;…` with the names in lower case; fields without a value are left out. */
function connectionStringFields(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const field of text.split(';')) {
    const equals = field.indexOf('=');
    const value = field.slice(equals + 1).trim();
    if (equals > 0 && value !== '') fields.set(field.slice(0, equals).trim().toLowerCase(), value);
  }
  return fields;
}

import {
  parseServiceBusConnectionString,
  parseStorageConnectionString,
  readTransport,
  type StorageAccount,
  type StorageEndpoints,
  services,
  type Transport,
} from './connectionString.ts';
import { bareUrl, type SettingReader } from './reader.ts';

/** How to get at tables, blobs and queues: where they are, without a slash at the end, and what opens them. */
export type StorageSettings =
  | StorageAccount
  | (StorageEndpoints & { readonly kind: 'identity'; readonly identity: Identity });

export type ServiceBusSettings = {
  /** Whether AMQP goes over TCP (port 5671) or over web sockets (port 443). */
  readonly transport: Transport;
} & (
  | {
      readonly kind: 'connectionString';
      /** As `@azure/service-bus` takes it, whatever the setting's spelling. */
      readonly connectionString: string;
    }
  | { readonly kind: 'identity'; readonly fullyQualifiedNamespace: string; readonly identity: Identity }
);

/** Whose token is used. */
export type Identity =
  /** Whatever the machine offers: managed identity in Azure, a developer's login elsewhere. */
  | { readonly kind: 'default'; readonly clientId?: string }
  /** A managed identity and nothing else; at most one of the three is there, and picks a user-assigned one. */
  | {
      readonly kind: 'managedIdentity';
      readonly clientId?: string;
      readonly resourceId?: string;
      readonly objectId?: string;
    };

const storageName = 'AzureWebJobsStorage';
const serviceBusName = 'ServiceBusConnection';

/** The storage account, as the Functions host reads it: a connection string comes before an identity. */
export function readStorage(reader: SettingReader): StorageSettings | undefined {
  const connectionString = reader.get(storageName);
  if (connectionString !== undefined) {
    const account = parseStorageConnectionString(connectionString);
    if (account.ok) return account.value;
    const rule = `a storage connection string (AccountName=…;AccountKey=…), "UseDevelopmentStorage=true", or be replaced by ${storageName}__accountName`;
    return reader.wrong(storageName, connectionString, rule, `not valid: ${account.problem}`);
  }
  const accountName = reader.get(`${storageName}__accountName`);
  if (accountName !== undefined && !/^[a-z0-9]{3,24}$/.test(accountName)) {
    const rule = 'a storage account name of 3 to 24 lower-case letters and digits';
    return reader.wrong(`${storageName}__accountName`, accountName, rule);
  }
  const [blob, queue, table] = services.map((service) => readServiceUri(reader, service, accountName));
  const identity = readIdentity(reader, storageName);
  if (blob === undefined && queue === undefined && table === undefined) {
    return reader.report(
      `App setting ${storageName} is missing; set it to a storage connection string, or ${storageName}__accountName to use a managed identity.`,
    );
  }
  for (const [index, uri] of [blob, queue, table].entries()) {
    if (uri !== undefined) continue;
    const name = `${storageName}__${services[index]}ServiceUri`;
    reader.report(
      `App setting ${name} is missing; set it too, or ${storageName}__accountName for all three.`,
    );
  }
  if (!blob || !queue || !table || identity === undefined) return undefined;
  return { kind: 'identity', blobEndpoint: blob, queueEndpoint: queue, tableEndpoint: table, identity };
}

/** The Service Bus namespace: a connection string comes before an identity. */
export function readServiceBus(reader: SettingReader): ServiceBusSettings | undefined {
  const connectionString = reader.get(serviceBusName);
  if (connectionString !== undefined) {
    const namespace = parseServiceBusConnectionString(connectionString);
    if (namespace.ok) return { kind: 'connectionString', ...namespace.value };
    const rule = `a Service Bus connection string (Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…), or be replaced by ${serviceBusName}__fullyQualifiedNamespace`;
    return reader.wrong(serviceBusName, connectionString, rule, `not valid: ${namespace.problem}`);
  }
  const name = `${serviceBusName}__fullyQualifiedNamespace`;
  const namespace = reader.get(name);
  const identity = readIdentity(reader, serviceBusName);
  if (namespace === undefined) {
    return reader.report(
      `App setting ${serviceBusName} is missing; set it to a Service Bus connection string, or ${name} to use a managed identity.`,
    );
  }
  if (!/^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(namespace)) {
    const rule = 'a host name such as example.servicebus.windows.net, without scheme or path';
    return reader.wrong(name, namespace, rule);
  }
  const transportName = `${serviceBusName}__transportType`;
  const transportText = reader.get(transportName);
  const transport = readTransport(transportText);
  if (transport === undefined) {
    return reader.wrong(transportName, transportText ?? '', 'Amqp or AmqpWebSockets');
  }
  return identity && { kind: 'identity', fullyQualifiedNamespace: namespace, identity, transport };
}

function readServiceUri(
  reader: SettingReader,
  service: (typeof services)[number],
  accountName: string | undefined,
): string | undefined {
  const name = `${storageName}__${service}ServiceUri`;
  const uri = reader.get(name);
  if (uri === undefined) return accountName && `https://${accountName}.${service}.core.windows.net`;
  if (bareUrl(uri)?.protocol !== 'https:') {
    // The value may carry a shared access signature, so it is not quoted.
    const rule = `an https URL such as https://example.${service}.core.windows.net, without a query`;
    reader.wrong(name, uri, rule, 'not valid');
  }
  return uri.replace(/\/+$/, '');
}

/** What names a user-assigned identity: the setting's ending, and the property it becomes. */
const identityNames = [
  ['clientId', 'clientId'],
  ['managedIdentityResourceId', 'resourceId'],
  ['managedIdentityObjectId', 'objectId'],
] as const;

/** Endings that the Functions host takes too, for identities of other kinds, which this app has no use for. */
const unsupported = ['clientSecret', 'tenantId', 'certificate', 'managedIdentityClientId'] as const;

function readIdentity(reader: SettingReader, prefix: string): Identity | undefined {
  const name = (ending: string) => `${prefix}__${ending}`;
  const credential = reader.get(name('credential'));
  const foreign = unsupported.find((ending) => reader.get(name(ending)) !== undefined);
  if (foreign !== undefined) {
    return reader.report(
      `App setting ${name(foreign)} is not supported; remove it, and use a managed identity (${name('credential')} = managedidentity) or a connection string.`,
    );
  }
  if (credential !== undefined && credential.toLowerCase() !== 'managedidentity') {
    return reader.wrong(name('credential'), credential, 'managedidentity, or left out');
  }
  const given = identityNames.flatMap(([ending, property]) => {
    const value = reader.get(name(ending));
    return value === undefined ? [] : [{ ending, property, value }];
  });
  const [first, second] = given;
  if (first !== undefined && second !== undefined) {
    return reader.report(
      `App settings ${name(first.ending)} and ${name(second.ending)} are both given; an identity is named by one of them.`,
    );
  }
  const named = first === undefined ? {} : { [first.property]: first.value };
  // A resource or object id can only mean a managed identity.
  const isManaged = credential !== undefined || (first !== undefined && first.property !== 'clientId');
  return { kind: isManaged ? 'managedIdentity' : 'default', ...named };
}

import { bareUrl, fieldsOf } from './reader.ts';

/** Where the services of an account are. Without a slash at the end. */
export type StorageEndpoints = Readonly<Record<'blobEndpoint' | 'queueEndpoint' | 'tableEndpoint', string>>;

/** An account by connection string: a key or a signature, and where its services are. */
export type StorageAccount = StorageEndpoints &
  (
    | { readonly kind: 'key'; readonly accountName: string; readonly accountKey: string }
    /** A shared access signature, without `?`. */
    | { readonly kind: 'signature'; readonly signature: string }
  );

/** A Service Bus connection string as `@azure/service-bus` takes it, and the way to the namespace. */
export interface ServiceBusNamespace {
  readonly connectionString: string;
  readonly transport: Transport;
}

/** `webSockets`: AMQP over port 443, for networks in which 5671 is closed. */
export type Transport = 'tcp' | 'webSockets';

/** `problem` completes a sentence that names the setting; it quotes no value. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: string };

export const services = ['blob', 'queue', 'table'] as const;

/** Azurite's and the old emulator's, published by Microsoft and the same for everyone. */
const emulator = {
  accountName: 'devstoreaccount1',
  accountKey: 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==',
  ports: { blob: 10_000, queue: 10_001, table: 10_002 },
} as const;

/**
 * Reads a storage connection string as the .NET SDK does, which the Functions host is written in: names in any
 * case, protocol, suffix and endpoints optional where there is an account name, and `?` before a signature.
 * https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string
 */
export function parseStorageConnectionString(text: string): Parsed<StorageAccount> {
  return attempt(() => {
    const fields = readFields(text);
    const development = fields.get('usedevelopmentstorage');
    if (development !== undefined) return readEmulator(development, fields.get('developmentstorageproxyuri'));
    const accountName = fields.get('accountname');
    const accountKey = fields.get('accountkey');
    const signature = fields.get('sharedaccesssignature')?.replace(/^\?/, '');
    if (accountKey === undefined && signature === undefined) {
      throw new Problem(
        `${accountName === undefined ? 'AccountName and AccountKey are' : 'AccountKey is'} missing`,
      );
    }
    if (accountKey !== undefined && signature !== undefined) {
      throw new Problem('it holds both AccountKey and SharedAccessSignature');
    }
    if (accountKey !== undefined && accountName === undefined) throw new Problem('AccountName is missing');
    const endpoints = readEndpoints(fields, accountName);
    if (signature !== undefined) {
      if (!/(^|&)sig=[^&]/i.test(signature)) throw new Problem('its SharedAccessSignature has no sig=…');
      return { kind: 'signature', signature, ...endpoints };
    }
    if (!/^[A-Za-z0-9+/]+={0,2}$/.test(accountKey ?? '')) throw new Problem('its AccountKey is not base64');
    return { kind: 'key', accountName: accountName ?? '', accountKey: accountKey ?? '', ...endpoints };
  });
}

/**
 * Reads a Service Bus connection string as the .NET SDK does: names in any case, an endpoint with any scheme or
 * none, and `TransportType`.
 */
export function parseServiceBusConnectionString(text: string): Parsed<ServiceBusNamespace> {
  return attempt(() => {
    const fields = readFields(text);
    const endpoint = fields.get('endpoint');
    if (endpoint === undefined) throw new Problem('Endpoint is missing');
    const keyName = fields.get('sharedaccesskeyname');
    const key = fields.get('sharedaccesskey');
    const signature = fields.get('sharedaccesssignature');
    if (signature !== undefined && key !== undefined) {
      throw new Problem('it holds both SharedAccessKey and SharedAccessSignature');
    }
    const written = [`Endpoint=sb://${readNamespace(endpoint)}/`];
    if (signature !== undefined) {
      if (!signature.startsWith('SharedAccessSignature ')) {
        throw new Problem('its SharedAccessSignature does not begin with "SharedAccessSignature "');
      }
      written.push(`SharedAccessSignature=${signature}`);
    } else if (keyName === undefined || key === undefined) {
      const missing = Object.entries({ SharedAccessKeyName: keyName, SharedAccessKey: key })
        .filter(([, value]) => value === undefined)
        .map(([name]) => name);
      throw new Problem(`${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} missing`);
    } else {
      written.push(`SharedAccessKeyName=${keyName}`, `SharedAccessKey=${key}`);
    }
    const entityPath = fields.get('entitypath');
    if (entityPath !== undefined) written.push(`EntityPath=${entityPath}`);
    if (fields.get('usedevelopmentemulator')?.toLowerCase() === 'true') {
      written.push('UseDevelopmentEmulator=true');
    }
    const transport = readTransport(fields.get('transporttype'));
    if (transport === undefined) throw new Problem('its TransportType is neither Amqp nor AmqpWebSockets');
    return { connectionString: `${written.join(';')};`, transport };
  });
}

/** `Amqp`, `AmqpTcp` or `AmqpWebSockets` in any case; undefined for anything else. */
export function readTransport(text = 'Amqp'): Transport | undefined {
  return /^amqp(tcp)?$/i.test(text) ? 'tcp' : /^amqpwebsockets$/i.test(text) ? 'webSockets' : undefined;
}

/** What a connection string lacks; never leaves this file. */
class Problem extends Error {}

function attempt<T>(parse: () => T): Parsed<T> {
  try {
    return { ok: true, value: parse() };
  } catch (error) {
    if (error instanceof Problem) return { ok: false, problem: error.message };
    throw error;
  }
}

/** An empty value counts as a missing one. */
function readFields(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const [name, value] of fieldsOf(text)) {
    if (name === '') throw new Problem('it holds something that is not Name=value');
    if (value === '') continue;
    const known = fields.get(name);
    if (known !== undefined && known !== value) throw new Problem('it gives one of its values twice');
    fields.set(name, value);
  }
  return fields;
}

function readEmulator(text: string, proxyUri: string | undefined): StorageAccount {
  if (text.toLowerCase() !== 'true') throw new Problem('its UseDevelopmentStorage is not true');
  const { accountName, accountKey, ports } = emulator;
  const { protocol, hostname } = readUrl('DevelopmentStorageProxyUri', proxyUri ?? 'http://127.0.0.1');
  const at = (service: keyof typeof ports) => `${protocol}//${hostname}:${ports[service]}/${accountName}`;
  return {
    ...{ kind: 'key', accountName, accountKey },
    ...{ blobEndpoint: at('blob'), queueEndpoint: at('queue'), tableEndpoint: at('table') },
  };
}

function readEndpoints(
  fields: ReadonlyMap<string, string>,
  accountName: string | undefined,
): StorageEndpoints {
  const protocol = (fields.get('defaultendpointsprotocol') ?? 'https').toLowerCase();
  if (protocol !== 'https' && protocol !== 'http') {
    throw new Problem('its DefaultEndpointsProtocol is neither https nor http');
  }
  const suffix = fields.get('endpointsuffix') ?? 'core.windows.net';
  if (!/^[a-z0-9-]+(\.[a-z0-9-]+)*\.?(:\d+)?\/*$/i.test(suffix))
    throw new Problem('its EndpointSuffix is no host name such as core.windows.net');
  const [blobEndpoint = '', queueEndpoint = '', tableEndpoint = ''] = services.map((service) => {
    const name = `${service.charAt(0).toUpperCase()}${service.slice(1)}Endpoint`;
    const given = fields.get(name.toLowerCase());
    if (given !== undefined) return withoutSlash(readUrl(name, given).href);
    if (accountName === undefined) throw new Problem(`AccountName is missing, or ${name}`);
    if (!/^[a-z0-9]{3,24}$/.test(accountName)) {
      throw new Problem('its AccountName is not 3 to 24 lower-case letters and digits');
    }
    return withoutSlash(readUrl('EndpointSuffix', `${protocol}://${accountName}.${service}.${suffix}`).href);
  });
  return { blobEndpoint, queueEndpoint, tableEndpoint };
}

function readUrl(name: string, text: string): URL {
  const url = bareUrl(text);
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new Problem(`its ${name} is no http or https address`);
  }
  return url;
}

function withoutSlash(url: string): string {
  return url.replace(/\/+$/, '');
}

/** Host and, where it is no default, port of the namespace; the scheme counts for nothing. */
function readNamespace(endpoint: string): string {
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(endpoint) ? endpoint : `sb://${endpoint}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (
    url === undefined ||
    !/^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9a-f:.]+\])$/i.test(url.hostname)
  ) {
    throw new Problem('its Endpoint is no address such as sb://example.servicebus.windows.net/');
  }
  return url.host;
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import fc from 'fast-check';
import {
  parseServiceBusConnectionString,
  parseStorageConnectionString,
} from '../../shared/settings/connectionString.ts';

const key = 'a2V5IG9mIG5vYm9keQ==';
const acme = {
  kind: 'key',
  accountName: 'acme',
  accountKey: key,
  blobEndpoint: 'https://acme.blob.core.windows.net',
  queueEndpoint: 'https://acme.queue.core.windows.net',
  tableEndpoint: 'https://acme.table.core.windows.net',
};

const sameAccount: readonly string[] = [
  `DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=${key};EndpointSuffix=core.windows.net`,
  `AccountName=acme;AccountKey=${key}`,
  `accountname=acme;ACCOUNTKEY=${key};defaultEndpointsProtocol=HTTPS`,
  `;;AccountName=acme;;AccountKey=${key};;`,
  ` "AccountName=acme; AccountKey = ${key} ;" `,
  `'AccountName=acme;AccountKey="${key}"'`,
  `AccountName=acme;AccountKey=${key};BlobEndpoint=https://acme.blob.core.windows.net/`,
  `AccountName=acme;AccountName=acme;AccountKey=${key}`,
];

for (const text of sameAccount) {
  test(`storage: the same account as ${text.replaceAll(key, '…')}`, () => {
    assert.deepEqual(parseStorageConnectionString(text), { ok: true, value: acme });
  });
}

test('storage: another cloud, and plain http', () => {
  const read = parseStorageConnectionString(
    `AccountName=acme;AccountKey=${key};EndpointSuffix=core.chinacloudapi.cn;DefaultEndpointsProtocol=http`,
  );
  assert.equal(read.ok && read.value.tableEndpoint, 'http://acme.table.core.chinacloudapi.cn');
});

test('storage: a signature, with or without the question mark, with an account name or with endpoints', () => {
  const signature = 'sv=2024-11-04&ss=bqt&srt=sco&sp=rwdlacup&sig=abc%3D';
  const endpoints =
    'BlobEndpoint=https://b.example/;QueueEndpoint=https://q.example;TableEndpoint=https://t.example/';
  for (const given of [signature, `?${signature}`]) {
    const byName = parseStorageConnectionString(`AccountName=acme;SharedAccessSignature=${given}`);
    assert.ok(byName.ok && byName.value.kind === 'signature');
    assert.equal(byName.value.signature, signature);
    assert.equal(byName.value.queueEndpoint, acme.queueEndpoint);
    const byAddress = parseStorageConnectionString(`${endpoints};SharedAccessSignature=${given}`);
    assert.ok(byAddress.ok && byAddress.value.kind === 'signature');
    assert.equal(byAddress.value.tableEndpoint, 'https://t.example');
  }
});

test('storage: the emulator, here and behind a proxy', () => {
  const here = parseStorageConnectionString('usedevelopmentstorage=TRUE;');
  assert.equal(here.ok && here.value.queueEndpoint, 'http://127.0.0.1:10001/devstoreaccount1');
  const there = parseStorageConnectionString(
    'UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite',
  );
  assert.equal(there.ok && there.value.blobEndpoint, 'http://azurite:10000/devstoreaccount1');
});

const storageProblems: readonly (readonly [string, string])[] = [
  ['', 'AccountName and AccountKey are missing'],
  ['hello', 'it holds something that is not Name=value'],
  ['AccountName=acme', 'AccountKey is missing'],
  [`AccountKey=${key}`, 'AccountName is missing'],
  ['SharedAccessSignature=sig=1', 'AccountName is missing, or BlobEndpoint'],
  [
    `AccountName=Not A Name;AccountKey=${key}`,
    'its AccountName is not 3 to 24 lower-case letters and digits',
  ],
  ['AccountName=acme;AccountKey=not*base64', 'its AccountKey is not base64'],
  [`AccountName=acme;AccountName=other;AccountKey=${key}`, 'it gives one of its values twice'],
  [
    `AccountName=acme;AccountKey=${key};DefaultEndpointsProtocol=ftp`,
    'its DefaultEndpointsProtocol is neither https nor http',
  ],
  [
    `AccountName=acme;AccountKey=${key};TableEndpoint=acme.table.core.windows.net`,
    'its TableEndpoint is no http or https address',
  ],
  ...['a b', '.core.windows.net', 'core..windows.net', 'https://core.windows.net', 'core.windows.net/x'].map(
    (suffix) =>
      [
        `AccountName=acme;AccountKey=${key};EndpointSuffix=${suffix}`,
        'its EndpointSuffix is no host name such as core.windows.net',
      ] as const,
  ),
  [
    'BlobEndpoint=https://b;TableEndpoint=https://t;SharedAccessSignature=sig=1',
    'AccountName is missing, or QueueEndpoint',
  ],
  ['AccountName=acme;SharedAccessSignature=sv=1', 'its SharedAccessSignature has no sig=…'],
  [
    `AccountName=acme;AccountKey=${key};SharedAccessSignature=sig=1`,
    'it holds both AccountKey and SharedAccessSignature',
  ],
  ['UseDevelopmentStorage=yes', 'its UseDevelopmentStorage is not true'],
];

for (const [text, problem] of storageProblems) {
  test(`storage: ${text.replaceAll(key, '…') || 'nothing'} is refused`, () => {
    assert.deepEqual(parseStorageConnectionString(text), { ok: false, problem });
  });
}

const keyed = `SharedAccessKeyName=app;SharedAccessKey=${key}`;

const sameNamespace: readonly string[] = [
  `Endpoint=sb://acme.servicebus.windows.net/;${keyed}`,
  `endpoint=sb://acme.servicebus.windows.net;sharedaccesskeyname=app;SHAREDACCESSKEY=${key}`,
  `Endpoint=https://acme.servicebus.windows.net:443/;${keyed}`,
  `Endpoint=acme.servicebus.windows.net;${keyed}`,
  ` "Endpoint = sb://acme.servicebus.windows.net/ ;; ${keyed};" `,
  `Endpoint=sb://acme.servicebus.windows.net/;${keyed};OperationTimeout=00:01:00;TransportType=Amqp`,
];

for (const text of sameNamespace) {
  test(`Service Bus: the same namespace as ${text.replaceAll(key, '…')}`, async () => {
    const read = parseServiceBusConnectionString(text);
    const connectionString = `Endpoint=sb://acme.servicebus.windows.net/;${keyed};`;
    assert.deepEqual(read, { ok: true, value: { connectionString, transport: 'tcp' } });
    const client = new ServiceBusClient(connectionString);
    assert.equal(client.fullyQualifiedNamespace, 'acme.servicebus.windows.net');
    await client.close();
  });
}

test('Service Bus: what else stands in it is kept as the SDK takes it', () => {
  const read = (text: string) => {
    const parsed = parseServiceBusConnectionString(text);
    return parsed.ok ? parsed.value : undefined;
  };
  assert.equal(
    read(`Endpoint=sb://localhost:5672;${keyed};usedevelopmentemulator=True;ENTITYPATH=orders`)
      ?.connectionString,
    `Endpoint=sb://localhost:5672/;${keyed};EntityPath=orders;UseDevelopmentEmulator=true;`,
  );
  const signature = 'SharedAccessSignature sr=x&sig=y&se=1&skn=app';
  assert.equal(
    read(`Endpoint=sb://acme.example.com;sharedAccessSignature=${signature}`)?.connectionString,
    `Endpoint=sb://acme.example.com/;SharedAccessSignature=${signature};`,
  );
  assert.equal(read(`Endpoint=sb://acme;${keyed};transporttype=AMQPWEBSOCKETS`)?.transport, 'webSockets');
});

const serviceBusProblems: readonly (readonly [string, string])[] = [
  ['', 'Endpoint is missing'],
  [keyed, 'Endpoint is missing'],
  ['Endpoint=sb://acme.example.com', 'SharedAccessKeyName and SharedAccessKey are missing'],
  ['Endpoint=sb://acme.example.com;SharedAccessKeyName=app;SharedAccessKey=', 'SharedAccessKey is missing'],
  [`Endpoint=sb://a b/;${keyed}`, 'its Endpoint is no address such as sb://example.servicebus.windows.net/'],
  [
    'Endpoint=sb://acme.example.com;SharedAccessSignature=sr=x&sig=y',
    'its SharedAccessSignature does not begin with "SharedAccessSignature "',
  ],
  [
    `Endpoint=sb://acme.example.com;SharedAccessSignature=SharedAccessSignature sr=x;${keyed}`,
    'it holds both SharedAccessKey and SharedAccessSignature',
  ],
  [
    `Endpoint=sb://acme.example.com;${keyed};TransportType=NetMessaging`,
    'its TransportType is neither Amqp nor AmqpWebSockets',
  ],
];

for (const [text, problem] of serviceBusProblems) {
  test(`Service Bus: ${text.replaceAll(key, '…') || 'nothing'} is refused`, () => {
    assert.deepEqual(parseServiceBusConnectionString(text), { ok: false, problem });
  });
}

test('any text gives an answer, and one that is good has addresses that are', () => {
  const name = fc.constantFrom(
    'AccountName',
    'AccountKey',
    'BlobEndpoint',
    'Endpoint',
    'SharedAccessKey',
    'x',
  );
  const field = fc.tuple(name, fc.string({ unit: 'binary' })).map(([field, value]) => `${field}=${value}`);
  fc.assert(
    fc.property(
      fc.array(field).map((fields) => fields.join(';')),
      (text) => {
        const storage = parseStorageConnectionString(
          `TableEndpoint=https://t;QueueEndpoint=https://q;${text}`,
        );
        if (storage.ok) assert.ok(URL.canParse(storage.value.blobEndpoint));
        const serviceBus = parseServiceBusConnectionString(`SharedAccessKeyName=a;${text}`);
        if (serviceBus.ok) assert.match(serviceBus.value.connectionString, /^Endpoint=sb:\/\/[^/]+\/;/);
      },
    ),
  );
});

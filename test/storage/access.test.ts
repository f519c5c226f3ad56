import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  AccountSASPermissions,
  AccountSASResourceTypes,
  AccountSASServices,
  generateAccountSASQueryParameters,
  SASProtocol,
  StorageSharedKeyCredential,
} from '@azure/storage-blob';
import { createStorage } from '../../shared/app/storage.ts';
import { openContainer } from '../../shared/storage/blobs.ts';
import { openQueue } from '../../shared/storage/queues.ts';
import { openTable } from '../../shared/storage/tables.ts';
import { accessTo, noCredential } from '../destination/support.ts';
import { startAzurite } from '../testbed/azurite.ts';

const azurite = await startAzurite();
after(() => azurite.stop());

const field = (name: string) => new RegExp(`${name}=([^;]+)`).exec(azurite.connectionString)?.[1] ?? '';

async function useAll(connectionString: string, name: string): Promise<void> {
  const access = accessTo(connectionString);
  const table = await openTable(access, name, noCredential);
  await table.createTable();
  await table.createEntity({ partitionKey: 'a', rowKey: 'b' });
  const container = await openContainer(access, name, noCredential);
  await container.createIfNotExists();
  await container.getBlockBlobClient('c').upload('content', 7);
  assert.equal((await container.getBlockBlobClient('c').downloadToBuffer()).toString(), 'content');
  const queue = await openQueue(access, name, noCredential);
  await queue.createIfNotExists();
  await queue.sendMessage('m');
}

test('where two containers can not be opened at once, the caller hears of it, and the process goes on', async (t) => {
  const unheard = t.mock.fn();
  process.on('unhandledRejection', unheard);
  const storage = createStorage({ ...accessTo(azurite.connectionString), blobEndpoint: 'none' });
  await assert.rejects(storage.undelivered(), /Invalid URL/);
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', unheard);
  assert.equal(unheard.mock.callCount(), 0);
});

test('tables, blobs and queues are opened by a key, however the string is spelled', async () => {
  const spelled = azurite.connectionString
    .split(';')
    .map((part) => part.replace(/^\w+/, (name) => name.toUpperCase()))
    .filter((part) => !part.startsWith('DEFAULTENDPOINTSPROTOCOL'));
  await useAll(` "${spelled.join(' ;; ')};" `, 'spelled');
});

test('and by a shared access signature with its question mark', async () => {
  const signature = generateAccountSASQueryParameters(
    {
      expiresOn: new Date(Date.now() + 3_600_000),
      permissions: AccountSASPermissions.parse('rwdlacup'),
      resourceTypes: AccountSASResourceTypes.parse('sco').toString(),
      services: AccountSASServices.parse('bqt').toString(),
      protocol: SASProtocol.HttpsAndHttp,
    },
    new StorageSharedKeyCredential(field('AccountName'), field('AccountKey')),
  ).toString();
  const endpoints = ['BlobEndpoint', 'QueueEndpoint', 'TableEndpoint'].map(
    (name) => `${name}=${field(name)}`,
  );
  await useAll(`${endpoints.join(';')};SharedAccessSignature=?${signature}`, 'signed');
});

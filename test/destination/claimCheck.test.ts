import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { ContainerClient } from '@azure/storage-blob';
import { createBlobPayloadStore } from '../../shared/delivery/blobPayloadStore.ts';
import { openContainer } from '../../shared/storage/blobs.ts';
import { type Azurite, startAzurite } from '../testbed/azurite.ts';
import { bytesOf, failureOf } from './support.ts';

let azurite: Azurite;
let containers = 0;

before(async () => {
  azurite = await startAzurite();
});

after(async () => {
  await azurite.stop();
});

async function freshContainer(): Promise<ContainerClient> {
  containers += 1;
  return await openContainer(
    {
      kind: 'connectionString',
      connectionString: azurite.connectionString,
    },
    `email-payloads-${containers}`,
    () => Promise.reject(new Error('A connection string needs no credential.')),
  );
}

const owner = { customer: 'acme', connection: 'in.box' };

test('a payload of several blocks comes back byte for byte; the container is made when first needed', async () => {
  const container = await freshContainer();
  for (const size of [0, 1, 4 * 1_024 * 1_024, 13_000_001]) {
    const bytes = bytesOf(size);
    const upload = createBlobPayloadStore(container, owner).beginUpload();
    for (let from = 0; from < size; from += 700_001) await upload.write(bytes.subarray(from, from + 700_001));
    const claimCheck = await upload.commit();
    const [containerName, ...path] = claimCheck.split('/');
    assert.equal(containerName, container.containerName);
    assert.match(path.join('/'), /^acme\/in\.box\/\d{4}-\d\d-\d\d\/[0-9a-f-]{36}$/);
    const back = await container.getBlobClient(path.join('/')).downloadToBuffer();
    assert.ok(back.equals(bytes), `${size} bytes`);
  }
});

test('a piece as large as several blocks is cut up', async () => {
  const container = await freshContainer();
  const bytes = bytesOf(9_000_000);
  const upload = createBlobPayloadStore(container, owner).beginUpload();
  await upload.write(bytes);
  const name = (await upload.commit()).slice(container.containerName.length + 1);
  assert.ok((await container.getBlobClient(name).downloadToBuffer()).equals(bytes));
});

test('an aborted upload leaves no blob to be seen', async () => {
  const container = await freshContainer();
  await container.create();
  const upload = createBlobPayloadStore(container, owner).beginUpload();
  await upload.write(bytesOf(9_000_000));
  await upload.abort();
  await upload.abort();
  for await (const blob of container.listBlobsFlat()) assert.fail(`There is a blob ${blob.name}.`);
});

test('two payloads of one connection never share a blob', async () => {
  const container = await freshContainer();
  const store = createBlobPayloadStore(container, owner);
  const [one, two] = [store.beginUpload(), store.beginUpload()];
  await Promise.all([one.write(bytesOf(10, 1)), two.write(bytesOf(10, 2))]);
  assert.notEqual(await one.commit(), await two.commit());
});

test('storage that is away fails the upload with a sentence, and what the error holds stays out of it', async () => {
  const gone = await startAzurite();
  const container = await openContainer(
    { kind: 'connectionString', connectionString: gone.connectionString },
    'email-payloads',
    () => Promise.reject(new Error('A connection string needs no credential.')),
  );
  await gone.stop();
  const upload = createBlobPayloadStore(container, owner).beginUpload();
  await upload.write(bytesOf(10));
  const failure = await failureOf(upload.commit());
  assert.equal(failure.reason, 'storage');
  assert.match(failure.message, /while storing a payload in email-payloads/);
  await upload.abort();
});

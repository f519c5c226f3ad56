import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { TableClient } from '@azure/data-tables';
import { BlobServiceClient } from '@azure/storage-blob';
import { QueueServiceClient } from '@azure/storage-queue';
import { type Azurite, startAzurite } from '../testbed/azurite.ts';
import { portsRefuse } from '../testbed/child.ts';

let azurite: Azurite;
before(async () => {
  azurite = await startAzurite();
});
after(() => azurite.stop());

test('blobs, queues and tables work with the current SDKs by the connection string', async () => {
  const container = BlobServiceClient.fromConnectionString(azurite.connectionString).getContainerClient(
    'box',
  );
  await container.create();
  await container.getBlockBlobClient('a').upload('hello', 5);
  assert.equal((await container.getBlobClient('a').downloadToBuffer()).toString(), 'hello');

  const queue = QueueServiceClient.fromConnectionString(azurite.connectionString).getQueueClient('line');
  await queue.create();
  await queue.sendMessage('aGk=');
  assert.equal((await queue.receiveMessages()).receivedMessageItems[0]?.messageText, 'aGk=');

  const table = TableClient.fromConnectionString(azurite.connectionString, 'Rows', {
    allowInsecureConnection: true,
  });
  await table.createTable();
  await table.createEntity({ partitionKey: 'p', rowKey: 'r', value: 1 });
  assert.equal((await table.getEntity('p', 'r')).value, 1);
});

test('storage goes silent and comes back', async () => {
  azurite.pause();
  let answered = false;
  const asking = fetch(`http://127.0.0.1:${azurite.blobPort}/`).then(() => {
    answered = true;
  });
  // A connection is accepted by the kernel, so the request is on its way when another one is through.
  await once(connect(azurite.blobPort, '127.0.0.1').unref(), 'connect');
  assert.equal(answered, false);
  azurite.resume();
  await asking;
});

test('after kill connections are refused, after restart the same ports answer', async () => {
  await azurite.kill();
  await assert.rejects(fetch(`http://127.0.0.1:${azurite.blobPort}/`));
  await azurite.restart();
  assert.equal((await fetch(`http://127.0.0.1:${azurite.blobPort}/`)).status >= 400, true);
});

test('kept in a folder, its data outlives a restart', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'testbed-azurite-'));
  const kept = await startAzurite({ folder });
  try {
    const queue = QueueServiceClient.fromConnectionString(kept.connectionString).getQueueClient('kept');
    await queue.create();
    await kept.restart();
    assert.equal(await queue.exists(), true);
  } finally {
    await kept.stop();
    await rm(folder, { recursive: true, force: true });
  }
});

test('a parent that dies by SIGKILL leaves no Azurite behind', async () => {
  const module = fileURLToPath(new URL('../testbed/azurite.ts', import.meta.url));
  const script = `import { startAzurite } from ${JSON.stringify(module)};
    console.log((await startAzurite()).blobPort);`;
  const parent = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(parent.stdout, 'data');
  parent.kill('SIGKILL');
  await portsRefuse([Number(String(line))], 10_000);
});

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { QueueServiceClient } from '@azure/storage-queue';
import { build } from 'esbuild';
import { type Azurite, startAzurite } from '../testbed/azurite.ts';
import { type Host, startHost } from '../testbed/host/host.ts';
import type { LogEntry } from '../testbed/host/invoke.ts';
import { makeTimer } from '../testbed/host/timers.ts';
import { waitFor } from './brokerTest.ts';

const never = '0 0 0 1 1 *';
let azurite: Azurite;
let folder: string;
let main: string;
let queueNumber = 0;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'testbed-host-'));
  main = join(folder, 'dist', 'main.cjs');
  await writeFile(
    join(folder, 'host.json'),
    JSON.stringify({ version: '2.0', extensions: { queues: { batchSize: 16, newBatchThreshold: 8 } } }),
  );
  await Promise.all([
    startAzurite().then((started) => {
      azurite = started;
    }),
    build({
      entryPoints: [fileURLToPath(new URL('./fixtures/app.ts', import.meta.url))],
      outfile: main,
      bundle: true,
      format: 'cjs',
      platform: 'node',
      external: ['@azure/functions-core'],
      logLevel: 'error',
    }),
  ]);
});
after(async () => {
  await azurite.stop();
  await rm(folder, { recursive: true, force: true });
});

test('a timer never overlaps itself, and a failure reaches whoever fired it', async () => {
  await withHost({ TICK_MS: '50' }, async (host) => {
    const outcomes = await Promise.all([host.fireTimer('tick'), host.fireTimer('tick')]);
    assert.deepEqual(outcomes, ['ran', 'skipped']);
    assert.equal(await host.fireTimer('tick'), 'ran');
    assert.equal(userLogs(host.logs).length, 2);
  });
  await withHost({ TICK_FAILS: 'true' }, async (host) => {
    await assert.rejects(host.fireTimer('tick'), /the tick failed/);
    await assert.rejects(host.fireTimer('tock'), /no timer function tock/);
  });
});

test('by schedule a timer fires once a time, six fields, every other time a little early as the real one', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 500 });
  const ticks: number[] = [];
  const timer = makeTimer({ schedule: '*/2 * * * * *', run: async () => void ticks.push(Date.now()) });
  timer.start();
  for (let ms = 500; ms < 9_000; ms += 1) {
    t.mock.timers.tick(1);
    await Promise.resolve();
  }
  timer.stop();
  assert.deepEqual(ticks, [1_997, 4_000, 5_997, 8_000]);
});

test('queue messages arrive parsed, all of many batches', async () => {
  await withHost({}, async (host, queue) => {
    assert.deepEqual(await host.drainQueue(), { succeeded: 0, failed: 0, poisoned: 0 });
    await queue.create();
    for (let n = 0; n < 40; n += 1) await queue.sendMessage(base64(JSON.stringify({ n })));
    assert.equal(await host.runQueueOnce(), 16);
    assert.deepEqual(await host.drainQueue(), { succeeded: 24, failed: 0, poisoned: 0 });
    assert.ok(userLogs(host.logs).includes('work {"n":39}'));
    assert.equal((await queue.getProperties()).approximateMessagesCount, 0);
  });
});

test('a message whose function fails five times, or that is not base64, goes to the poison queue', async () => {
  await withHost({}, async (host, queue, service) => {
    await queue.create();
    await queue.sendMessage(base64(JSON.stringify({ fail: true })));
    await queue.sendMessage('not base64!');
    assert.deepEqual(await host.drainQueue(), { succeeded: 0, failed: 5, poisoned: 2 });
    const poison = service.getQueueClient(`${queue.name}-poison`);
    const { receivedMessageItems } = await poison.receiveMessages({ numberOfMessages: 10 });
    for (const { insertedOn, expiresOn } of receivedMessageItems) {
      assert.equal(Math.round((expiresOn.getTime() - insertedOn.getTime()) / 86_400_000), 7);
    }
    const texts = receivedMessageItems.map((item) => item.messageText).sort();
    assert.deepEqual(texts, [base64('{"fail":true}'), 'not base64!'].sort());
  });
});

test('HTTP functions answer by their routes', async () => {
  await withHost({}, async (host) => {
    const got = await host.invokeHttp('GET /api/things/a%20b?filter=x');
    assert.equal(got.status, 200);
    assert.equal(got.headers.etag, '"1"');
    assert.deepEqual(got.json(), { thing: 'a b', filter: 'x', ticks: 0 });
    const twice = await host.invokeHttp('GET /api/things/a?filter=x&Filter=y+z');
    assert.deepEqual(twice.json(), { thing: 'a', filter: 'x,y z', ticks: 0 });
    const put = await host.invokeHttp('PUT /api/things/c', { body: { on: true } });
    assert.equal(put.status, 201);
    assert.deepEqual(put.json(), { thing: 'c', filter: null, body: { on: true }, ticks: 0 });
    assert.equal((await host.invokeHttp('GET /api/things/broken')).status, 500);
    for (const method of ['DELETE', 'HEAD', 'OPTIONS', 'BREW']) {
      const answer = await host.invokeHttp(`${method} /api/things/a`);
      assert.deepEqual([answer.status, answer.headers, answer.body.length], [404, {}, 0]);
    }
    assert.equal((await host.invokeHttp('GET /api/nothing')).status, 404);
    assert.equal((await host.invokeHttp('GET /things/a')).status, 404);
  });
});

test('what a function logs behind its end is dropped, and said to be', async () => {
  await withHost({}, async (host) => {
    await host.invokeHttp('GET /api/page?late');
    await waitFor(() => host.logs.some(({ category }) => category === 'system'));
    assert.match(host.logs.map(({ message }) => message).join('\n'), /^Warning: Unexpected call to 'log'/);
    assert.deepEqual(userLogs(host.logs), []);
  });
});

test('over real HTTP a function key is demanded where the function is not anonymous', async () => {
  await withHost({}, async (host) => {
    const server = await host.serveHttp({ functionKey: 'k' });
    try {
      const get = (path: string, headers: Record<string, string> = {}) =>
        fetch(`${server.url}${path}`, { headers });
      assert.equal(await (await get('/api/page')).text(), 'hello');
      assert.equal((await get('/api/things/a')).status, 401);
      assert.equal((await get('/api/things/a', { 'x-functions-key': 'k' })).status, 200);
      assert.equal((await get('/api/things/a?code=k')).status, 200);
      assert.equal((await fetch(`${server.url}/api/page`, { method: 'HEAD' })).status, 404);
    } finally {
      await server.stop();
    }
  });
});

test('settings are in the environment while the host runs, and the terminate hooks run at its end', async () => {
  delete process.env.FIXTURE_TERMINATED;
  await withHost({}, async (host) => {
    assert.equal(process.env.TICK_SCHEDULE, never);
    assert.equal(process.env.AzureWebJobsStorage, azurite.connectionString);
    await host.invokeHttp('GET /api/page');
    await assert.rejects(startHost(options(settings())), /stop it first/);
  });
  assert.equal(process.env.TICK_SCHEDULE, undefined);
  assert.equal(process.env.FIXTURE_TERMINATED, 'true');
});

function settings(): Record<string, string> {
  queueNumber += 1;
  return { TICK_SCHEDULE: never, WORK_QUEUE: `work-${queueNumber}` };
}

function options(env: Record<string, string>) {
  return { main, env, storageConnectionString: azurite.connectionString };
}

async function withHost(
  extra: Record<string, string>,
  use: (
    host: Host,
    queue: ReturnType<QueueServiceClient['getQueueClient']>,
    service: QueueServiceClient,
  ) => Promise<void>,
): Promise<void> {
  const env = { ...settings(), ...extra };
  const service = QueueServiceClient.fromConnectionString(azurite.connectionString);
  const host = await startHost(options(env));
  try {
    await use(host, service.getQueueClient(env.WORK_QUEUE ?? ''), service);
  } finally {
    await host.stop();
  }
}

function userLogs(logs: readonly LogEntry[]): string[] {
  return logs.filter((entry) => entry.category === 'user').map((entry) => entry.message);
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { after, afterEach, describe, test } from 'node:test';
import { openContainer } from '../../shared/storage/blobs.ts';
import { openQueue } from '../../shared/storage/queues.ts';
import { storageFailure } from '../../shared/storage/storageFailure.ts';
import { openTable } from '../../shared/storage/tables.ts';
import { type CallLimits, sendInTries, storageLimits } from '../../shared/storage/tries.ts';
import { accessTo, noCredential } from '../destination/support.ts';
import { startAzurite } from '../testbed/azurite.ts';
import {
  type StorageFault,
  type StorageProxy,
  startStorageProxy,
  throughProxies,
} from '../testbed/storageProxy.ts';

const limits: CallLimits = { tries: 4, tryMs: 400, callMs: 1_600, firstDelayMs: 20, maxDelayMs: 400 };
const keys = { partitionKey: 'acme', rowKey: 'orders' };

const azurite = await startAzurite();
const proxies = {
  table: await startStorageProxy(azurite.tablePort),
  blob: await startStorageProxy(azurite.blobPort),
  queue: await startStorageProxy(azurite.queuePort),
};
const connectionString = throughProxies(azurite.connectionString, [
  [azurite.tablePort, proxies.table.port],
  [azurite.blobPort, proxies.blob.port],
  [azurite.queuePort, proxies.queue.port],
]);
const access = accessTo(connectionString);
const table = await openTable(access, 'Connections', noCredential, limits);
const container = await openContainer(access, 'payloads', noCredential, limits);
const queue = await openQueue(access, 'orders', noCredential, limits);
await table.createTable();
await table.createEntity(keys);
await container.createIfNotExists();
await queue.createIfNotExists();
await container.getBlockBlobClient('content').upload('content', 7);
afterEach(() => {
  for (const proxy of Object.values(proxies)) proxy.fault = () => undefined;
});
after(async () => {
  for (const proxy of Object.values(proxies)) await proxy.stop();
  await azurite.stop();
});

const calls: Record<keyof typeof proxies, () => Promise<unknown>> = {
  table: () => table.getEntity(keys.partitionKey, keys.rowKey),
  blob: () => container.getBlockBlobClient('content').getProperties(),
  queue: () => queue.getProperties(),
};

/** Fails the next request in this way. */
function failNext(proxy: StorageProxy, fault: StorageFault): void {
  let failed = 0;
  proxy.fault = () => (failed++ === 0 ? fault : undefined);
}

async function timed<T>(work: () => Promise<T>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

const throttled = (seconds: string): StorageFault => ({
  kind: 'answer',
  status: 503,
  headers: { 'retry-after': seconds, 'x-ms-error-code': 'ServerBusy' },
});

for (const service of ['table', 'blob', 'queue'] as const) {
  describe(service, () => {
    const call = calls[service];

    test('a call ends in its time, whatever Retry-After says', async () => {
      proxies[service].fault = () => throttled('3600');
      const tookMs = await timed(() => assert.rejects(call(), { statusCode: 503 }));
      assert.ok(tookMs < limits.callMs + 200, `${tookMs} ms`);
    });

    test('Retry-After is heeded as far as that', async () => {
      failNext(proxies[service], { kind: 'answer', status: 503, headers: { 'x-ms-retry-after-ms': '300' } });
      const tookMs = await timed(call);
      assert.ok(tookMs >= 290, `${tookMs} ms`);
    });

    test('a service that takes requests and never answers is given up in time, and named', async () => {
      proxies[service].fault = () => ({ kind: 'silent' });
      const before = proxies[service].calls.length;
      let error: unknown;
      const tookMs = await timed(() =>
        call().catch((thrown: unknown) => {
          error = thrown;
        }),
      );
      assert.equal(
        storageFailure(error, 'reading').message,
        `Storage at 127.0.0.1:${proxies[service].port} did not answer in time while reading. Check its health and the network; the app tries again by itself.`,
      );
      assert.ok(tookMs <= limits.callMs + 200, `${tookMs} ms`);
      assert.ok(proxies[service].calls.length - before >= 3, 'it was tried anew');
    });

    test('one answer that is lost, or never comes, costs no more than a try', async () => {
      for (const kind of ['silent', 'loseAnswer'] as const) {
        failNext(proxies[service], { kind });
        const tookMs = await timed(call);
        assert.ok(tookMs < limits.tryMs + 300, `${kind}: ${tookMs} ms`);
      }
    });

    test('what is refused for good is not tried again', async () => {
      const before = proxies[service].calls.length;
      proxies[service].fault = () => ({ kind: 'answer', status: 403 });
      await assert.rejects(call(), { statusCode: 403 });
      assert.equal(proxies[service].calls.length - before, 1);
    });
  });
}

test('what may pass is tried anew, whether it is an answer, an error with one, or a fault of the network', async () => {
  const headers = { get: () => undefined };
  const request = { url: 'https://storage.example/', headers };
  const triesOf = async (outcome: object) => {
    let tries = 0;
    const send = async () => {
      tries += 1;
      if (outcome instanceof Error) throw outcome;
      return { status: 0, headers, ...outcome };
    };
    await sendInTries(request, send, { ...limits, firstDelayMs: 1 }).catch(() => undefined);
    return tries;
  };
  for (const [expected, statuses] of [
    [4, [408, 429, 500, 502, 503, 504]],
    [1, [200, 304, 400, 403, 404, 409, 412, 416, 501, 505]],
  ] as const) {
    for (const status of statuses) {
      assert.equal(await triesOf({ status }), expected, `${status}`);
      const error = Object.assign(new Error('Refused.'), { statusCode: status });
      assert.equal(await triesOf(error), expected, `${status}`);
    }
  }
  const withCode = (code: string) => Object.assign(new Error('Away.'), { code });
  const passing = ['ETIMEDOUT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EHOSTUNREACH', 'ENETUNREACH'];
  for (const code of [...passing, 'ENOTFOUND', 'EAI_AGAIN', 'REQUEST_SEND_ERROR', 'PARSE_ERROR']) {
    assert.equal(await triesOf(withCode(code)), 4, code);
  }
  assert.equal(await triesOf(withCode('DEPTH_ZERO_SELF_SIGNED_CERT')), 1);
});

test('a page whose body stalls is given up in time', async () => {
  proxies.table.fault = () => ({ kind: 'stallBody', afterBytes: 10 });
  const tookMs = await timed(() => assert.rejects(calls.table(), { code: 'ETIMEDOUT' }));
  assert.ok(tookMs <= limits.callMs + 200, `${tookMs} ms`);
});

test('a caller who gives up is heard at once, between tries too, and told what it was', async () => {
  for (const fault of [{ kind: 'silent' } as const, throttled('3600')]) {
    proxies.blob.fault = () => fault;
    const signal = AbortSignal.timeout(100);
    const reading = () => container.getBlockBlobClient('content').getProperties({ abortSignal: signal });
    const tookMs = await timed(() =>
      assert.rejects(reading(), (error) => {
        assert.match(storageFailure(error, 'reading').message, /^The storage account did not answer in time/);
        return true;
      }),
    );
    assert.ok(tookMs < 350, `${tookMs} ms`);
  }
});

test('a download that has begun is not cut off by the time of the call', async () => {
  const content = Buffer.alloc(3_000_000, 'x');
  await container.getBlockBlobClient('large').upload(content, content.length);
  const { readableStreamBody } = await container.getBlockBlobClient('large').download();
  assert.ok(readableStreamBody);
  let bytes = 0;
  await new Promise((resolve) => setTimeout(resolve, limits.callMs + 200));
  for await (const piece of readableStreamBody) bytes += piece.length;
  assert.equal(bytes, content.length);
});

test('downloads that are read slowly, however many, keep no other call from the service', async () => {
  const slow = { ...limits, callMs: 30_000, tryMs: 8_000 };
  const large = (await openContainer(access, 'payloads', noCredential, slow)).getBlockBlobClient('large');
  await large.upload(Buffer.alloc(500_000, 'x'), 500_000);
  const downloads = await Promise.all(Array.from({ length: 64 }, () => large.download()));
  assert.ok(await large.getProperties());
  for (const { readableStreamBody: body } of downloads) if (body instanceof Readable) body.destroy();
});

test('an upload has the time that its bytes need at 0.5 MB/s', async () => {
  const content = Buffer.alloc(500_000, 'x');
  proxies.blob.fault = () => ({ kind: 'silent' });
  const tookMs = await timed(() =>
    assert.rejects(container.getBlockBlobClient('slow').upload(content, content.length), {
      code: 'ETIMEDOUT',
    }),
  );
  assert.ok(tookMs >= limits.callMs + 900 && tookMs < limits.callMs + 1_400, `${tookMs} ms`);
});

test('many calls at a time wait for each other, take bounded connections, and none times out for that', async () => {
  const slow = { ...limits, callMs: 60_000, tryMs: 3_000 };
  const patient = await openTable(access, 'Connections', noCredential, slow);
  proxies.table.fault = () => ({ kind: 'answer', status: 404, afterMs: 1_000 });
  const before = proxies.table.calls.length;
  // Five times as many as there are connections: the last of them wait longer than a try may take.
  await Promise.all(
    Array.from({ length: 320 }, () =>
      assert.rejects(patient.getEntity(keys.partitionKey, keys.rowKey), { statusCode: 404 }),
    ),
  );
  const { most } = proxies.table.connections;
  assert.ok(most <= 64, `${most} connections`);
  assert.equal(proxies.table.calls.length - before, 320, 'none was sent twice');
});

test('in an outage those who wait for others end in their time too', async () => {
  proxies.queue.fault = () => ({ kind: 'silent' });
  const failing = () => Promise.all(Array.from({ length: 320 }, () => assert.rejects(calls.queue())));
  const tookMs = await timed(failing);
  // One after the other they would take five times as long.
  assert.ok(tookMs <= 3 * limits.callMs, `${tookMs} ms`);
});

test('in production a call ends within 45 seconds', () => {
  assert.ok(storageLimits.callMs <= 45_000 - 1_000);
});

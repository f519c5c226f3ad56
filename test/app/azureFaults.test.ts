import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { type Ingestion, startIngestion } from '../telemetry/ingestion.ts';
import { keepUnsentApart } from '../telemetry/support.ts';
import { type Host, startHost } from '../testbed/host/host.ts';
import { type IdentityEndpoint, startIdentityEndpoint } from '../testbed/identityEndpoint.ts';
import { pollOrder } from '../testbed/storage.ts';
import { type StorageProxy, startStorageProxy, throughProxies } from '../testbed/storageProxy.ts';
import { hostOptions, type Parts, serverColumns, startParts } from './testbed.ts';

keepUnsentApart();

let parts: Parts;
before(async () => {
  parts = await startParts();
});
after(() => parts.stop());

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

/** What the app itself logged as an error, without the fields; what it throws the host logs with its stack. */
function errorsOf(host: Host): string[] {
  return host.logs
    .filter(({ level, message }) => level === 'error' && !/^(Executed|Failure:)/.test(message))
    .map(({ message }) => message.replace(/ \{.*\}$/, ''));
}

describe('storage in trouble', () => {
  let host: Host;
  let ingestion: Ingestion;
  let proxies: Record<'table' | 'blob' | 'queue', StorageProxy>;

  before(async () => {
    ingestion = await startIngestion();
    proxies = {
      table: await startStorageProxy(parts.azurite.tablePort),
      blob: await startStorageProxy(parts.azurite.blobPort),
      queue: await startStorageProxy(parts.azurite.queuePort),
    };
    const AzureWebJobsStorage = throughProxies(parts.azurite.connectionString, [
      [parts.azurite.tablePort, proxies.table.port],
      [parts.azurite.blobPort, proxies.blob.port],
      [parts.azurite.queuePort, proxies.queue.port],
    ]);
    const APPLICATIONINSIGHTS_CONNECTION_STRING = ingestion.connectionString;
    host = await startHost(
      hostOptions(parts, { AzureWebJobsStorage, APPLICATIONINSIGHTS_CONNECTION_STRING }),
    );
    // A mailbox whose server refuses: enough for a poll that is carried out and says so.
    await parts.addConnection('orders', serverColumns('IMAP', 1));
  });
  afterEach(() => {
    for (const proxy of Object.values(proxies)) proxy.fault = () => undefined;
  });
  after(async () => {
    await host.stop();
    for (const proxy of Object.values(proxies)) await proxy.stop();
    await ingestion.stop();
  });

  test('tables that ask to wait an hour hold a poll no longer than 45 s, nor its lease; it is said once', async () => {
    proxies.table.fault = () => ({ kind: 'answer', status: 503, headers: { 'retry-after': '3600' } });
    const known = errorsOf(host).length;
    await parts.orders.sendMessage(pollOrder('acme', 'orders'));
    const tookMs = await timed(() => host.runQueueOnce());
    assert.ok(tookMs < 45_000, `${tookMs} ms`);
    assert.deepEqual(errorsOf(host).slice(known), [
      `Storage at 127.0.0.1:${proxies.table.port} answered 503 while reading connection acme/orders.`,
    ]);
    const lease = parts.container('email-leases').getBlobClient('acme/orders');
    assert.equal((await lease.getProperties()).leaseState, 'available');
    await parts.orders.clearMessages();
  });

  test('a tick that fails says so, to the host once and to Application Insights', async () => {
    proxies.table.fault = () => ({ kind: 'answer', status: 403 });
    const known = errorsOf(host).length;
    await assert.rejects(host.fireTimer('schedulePolls'));
    const [sentence, ...more] = errorsOf(host).slice(known);
    assert.match(sentence ?? '', /refused access \(403\) while reading the table EmailConnections\./);
    assert.deepEqual(more, []);
    await host.stop();
    const lines = ingestion
      .ofType('MessageData')
      .filter(({ data }) => data.baseData.message === sentence)
      .map(({ data }) => data.baseData.severityLevel);
    assert.deepEqual(lines, ['Error']);
  });
});

describe('an identity endpoint that is silent', () => {
  let host: Host;
  let endpoint: IdentityEndpoint;

  before(async () => {
    endpoint = await startIdentityEndpoint();
    endpoint.answer = () => ({ kind: 'silence' });
    const settings = {
      ...endpoint.env,
      AzureWebJobsStorage: '',
      AzureWebJobsStorage__blobServiceUri: 'https://blob.invalid',
      AzureWebJobsStorage__queueServiceUri: 'https://queue.invalid',
      AzureWebJobsStorage__tableServiceUri: 'https://table.invalid',
      AzureWebJobsStorage__credential: 'managedidentity',
    };
    host = await startHost(hostOptions(parts, settings));
  });
  after(async () => {
    await host.stop();
    await endpoint.stop();
  });

  test('ends ticks, polls and calls of the API within 25 s, each with its sentence, and later ones ask anew', async () => {
    await parts.orders.sendMessage(pollOrder('acme', 'orders'));
    const tookMs = await timed(async () => {
      const [tick, , answer] = await Promise.allSettled([
        host.fireTimer('schedulePolls'),
        host.runQueueOnce(),
        host.invokeHttp('GET /api/connections'),
      ]);
      assert.equal(tick.status, 'rejected');
      assert.ok(answer.status === 'fulfilled');
      assert.equal(answer.value.status, 503);
      assert.match(answer.value.text(), /the identity endpoint did not answer within 20 s/);
    });
    assert.ok(tookMs < 25_000, `${tookMs} ms`);
    const said = errorsOf(host).filter((sentence) => sentence.includes('did not answer within 20 s'));
    assert.ok(said.length >= 3, said.join('\n'));

    endpoint.answer = () => ({ kind: 'token', token: 'identity-token' });
    const asked = endpoint.asked.length;
    await assert.rejects(
      host.fireTimer('schedulePolls'),
      /Storage at (table|queue)\.invalid could not be reached/,
    );
    assert.ok(endpoint.asked.length > asked);
    await parts.orders.clearMessages();
  });
});

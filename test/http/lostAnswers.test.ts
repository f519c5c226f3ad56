import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { PipelinePolicy } from '@azure/core-rest-pipeline';
import { RestError, TableClient } from '@azure/data-tables';
import { openConnectionStore } from '../../shared/connection/connectionStore.ts';
import { deleteConnection, putConnection } from '../../shared/http/connections.ts';
import { type Azurite, startAzurite } from '../testbed/azurite.ts';
import { dependenciesWith, requestOf } from './dependencies.ts';

let azurite: Azurite;
before(async () => {
  azurite = await startAzurite();
});
after(() => azurite.stop());

/** How many answers to writes are lost on the way, after storage has done what they ask for. */
let losses = 0;
/** Done once, by another, between a write whose answer is lost and its repetition. */
let meanwhile: (() => Promise<unknown>) | undefined;

function openTable(): TableClient {
  const table = TableClient.fromConnectionString(azurite.connectionString, 'EmailConnections', {
    allowInsecureConnection: true,
    retryOptions: { maxRetries: 2, retryDelayInMs: 10, maxRetryDelayInMs: 20 },
  });
  const loseAnswers: PipelinePolicy = {
    name: 'loseAnswers',
    async sendRequest(request, next) {
      const response = await next(request);
      if (request.method === 'GET' || request.url.endsWith('/Tables') || losses === 0) return response;
      losses -= 1;
      await meanwhile?.();
      meanwhile = undefined;
      throw new RestError('socket hang up', { code: 'ECONNRESET', request });
    },
  };
  table.pipeline.addPolicy(loseAnswers, { afterPhase: 'Retry' });
  return table;
}

const key = { customer: 'acme', connection: 'orders' };
const base = { host: 'mail.example.com', hostType: 'IMAP', username: 'anna', password: 'hunter2' };
const call = (handle: typeof putConnection, headers?: Record<string, string>, body?: object) =>
  handle(
    requestOf('PUT', key, body, headers),
    dependenciesWith({
      connections: async () => openConnectionStore(openTable()),
      forget: async () => undefined,
    }),
  );

const put = (body: object, headers?: Record<string, string>) => call(putConnection, headers, body);
const stored = () => openTable().getEntity<Record<string, unknown>>(key.customer, key.connection);

for (const lost of [1, 3]) {
  test(`a write whose answer is lost ${lost} times is one's own: made, replaced, removed`, async () => {
    await put(base);
    await call(deleteConnection);
    losses = lost;
    const made = await put(base, { 'if-none-match': '*' });
    assert.deepEqual([made.status, losses], [201, 0]);
    const etag = String(made.headers?.ETag);

    losses = lost;
    const replaced = await put({ ...base, folder: 'New' }, { 'if-match': etag });
    assert.deepEqual([replaced.status, losses], [200, 0]);
    assert.equal((await stored()).folder, 'New');

    losses = lost;
    assert.equal((await call(deleteConnection, { 'if-match': String(replaced.headers?.ETag) })).status, 204);
    assert.equal(losses, 0);
    await assert.rejects(stored(), { statusCode: 404 });
  });
}

test("another's change in the very moment is not taken for one's own", async () => {
  const made = await put(base);
  const { ETag: etag = '' } = made.headers ?? {};
  losses = 1;
  meanwhile = async () => {
    const { configWriteId: _, ...others } = await stored();
    await openTable().updateEntity(
      { ...others, partitionKey: 'acme', rowKey: 'orders', folder: 'Theirs', configWriteId: 'theirs' },
      'Replace',
    );
  };
  assert.equal((await put({ ...base, folder: 'Mine' }, { 'if-match': etag })).status, 412);
  assert.equal((await stored()).folder, 'Theirs');
});

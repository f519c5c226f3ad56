import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHttpHeaders } from '@azure/core-rest-pipeline';
import { AzureNamedKeyCredential, TableClient } from '@azure/data-tables';
import { openConnectionStore } from '../../shared/connection/connectionStore.ts';

/** The store over the real library, and the bodies that it sends. */
function watchedStore() {
  const bodies: string[] = [];
  const credential = new AzureNamedKeyCredential('acme', 'YQ==');
  const table = new TableClient('https://acme.table.core.windows.net', 'EmailConnections', credential);
  table.pipeline.addPolicy({
    name: 'watch',
    async sendRequest(request) {
      bodies.push(String(request.body));
      return { request, status: 204, headers: createHttpHeaders() };
    },
  });
  return { store: openConnectionStore(table), bodies };
}

test('a note that is a large number goes back as the double it was: without a type it would be an Int32', async () => {
  const { store, bodies } = watchedStore();
  const notes = { seen: 1_700_000_000_000, below: -2_147_483_649, small: 2_147_483_647, share: 0.5 };
  const entity = { key: { customer: 'acme', connection: 'orders' }, columns: notes, etag: '*' };
  const replaced = await store.replaceConfig(entity, { host: 'mail.example.com' });
  assert.deepEqual(replaced, { kind: 'replaced', columns: { ...notes, host: 'mail.example.com' } });
  assert.deepEqual(JSON.parse(bodies[0] ?? ''), {
    ...notes,
    'seen@odata.type': 'Edm.Double',
    'below@odata.type': 'Edm.Double',
    host: 'mail.example.com',
    PartitionKey: 'acme',
    RowKey: 'orders',
  });
});

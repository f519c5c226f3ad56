import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { TableClient } from '@azure/data-tables';
import { type ConnectionStore, openConnectionStore } from '../../shared/connection/connectionStore.ts';
import { writeRefreshToken } from '../../shared/connection/refreshToken.ts';
import { startAzurite } from '../testbed/azurite.ts';

const azurite = await startAzurite();
after(() => azurite.stop());
const table = TableClient.fromConnectionString(azurite.connectionString, 'Connections', {
  allowInsecureConnection: true,
});
await table.createTable();
const store = openConnectionStore(table);

const keyOf = (connection: string) => ({ customer: 'acme', connection });

async function addRow(name: string): Promise<void> {
  await table.createEntity({ partitionKey: 'acme', rowKey: name, oauth2RefreshToken: 'old' });
}

/** The store, with `change` merged into the row between each read and what follows it. */
function changing(change: Readonly<Record<string, string>>): Pick<ConnectionStore, 'read' | 'merge'> {
  return {
    merge: store.merge,
    async read(key) {
      const entity = await store.read(key);
      await store.merge(key, change);
      return entity;
    },
  };
}

async function token(name: string): Promise<unknown> {
  return (await store.read(keyOf(name)))?.columns.oauth2RefreshToken;
}

test('a refresh token is written though the run writes its state in between', async () => {
  await addRow('busy');
  let reads = 0;
  const once = {
    merge: store.merge,
    read: async (key: ReturnType<typeof keyOf>) => {
      reads += 1;
      return await (reads === 1 ? changing({ lastStatus: 'running' }) : store).read(key);
    },
  };
  await writeRefreshToken(once, keyOf('busy'), 'new', 'old');
  assert.equal(await token('busy'), 'new');
});

test('one that the operator sets in between stays', async () => {
  await addRow('set');
  await writeRefreshToken(changing({ oauth2RefreshToken: 'set' }), keyOf('set'), 'new', 'old');
  assert.equal(await token('set'), 'set');
});

test('a row that never rests is told, so that it is tried again', async () => {
  await addRow('restless');
  const restless = changing({ lastStatus: 'running' });
  await assert.rejects(
    writeRefreshToken(restless, keyOf('restless'), 'new', 'old'),
    /acme\/restless was changed/,
  );
});

test('a connection that is gone is not made anew', async () => {
  await writeRefreshToken(store, keyOf('gone'), 'new', 'old');
  assert.equal(await store.read(keyOf('gone')), undefined);
});

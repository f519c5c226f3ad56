import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { route } from '../../shared/http/router.ts';
import { type Azurite, startAzurite } from '../testbed/azurite.ts';
import { openStorage, undeliveredMail } from '../undelivered/storage.ts';
import { dependenciesWith, requestOf } from './dependencies.ts';

let azurite: Azurite;
before(async () => {
  azurite = await startAzurite();
});
after(() => azurite.stop());

test('a mail that is delivered while it is looked at is not found; one whose parts can not be read is there', async (t) => {
  const storage = await openStorage(azurite);
  await storage.store.store(undeliveredMail(['x']));
  const { id = '' } = (await storage.newest()) ?? {};
  const dependencies = dependenciesWith({ undelivered: async () => storage.store });
  const read = () => route('undelivered', requestOf('GET', { id }), dependencies);
  const readParts = storage.parts.read.bind(storage.parts);
  await storage.undelivered.deleteBlob(`${id}/mail.json`);
  await assert.rejects(read(), /404.* while reading the heads of an undelivered mail/);
  t.mock.method(storage.parts, 'read', async (of: string) => {
    await storage.store.remove(of);
    return await readParts(of);
  });
  assert.equal((await read()).status, 404);
});

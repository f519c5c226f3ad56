import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { HttpDependencies } from '../../shared/http/dependencies.ts';
import type { ApiRequest } from '../../shared/http/request.ts';
import { route } from '../../shared/http/router.ts';
import { type Azurite, startAzurite } from '../testbed/azurite.ts';
import { openStorage, undeliveredMail } from '../undelivered/storage.ts';

let azurite: Azurite;
before(async () => {
  azurite = await startAzurite();
});
after(() => azurite.stop());

const unused = () => Promise.reject(new Error('This is not needed here.'));

test('a mail that is delivered while it is looked at is not found; one whose parts can not be read is there', async (t) => {
  const storage = await openStorage(azurite);
  await storage.store.store(undeliveredMail(['x']));
  const { id = '' } = (await storage.newest()) ?? {};
  const dependencies: HttpDependencies = {
    ...{ connections: unused, orders: unused, openSession: unused, openQueue: unused, forget: unused },
    ...{ checkServer: unused, testTimeoutMs: 0, now: () => new Date() },
    undelivered: async () => storage.store,
    secrets: { settingsPrefix: 'MAILBOX_', readSetting: () => undefined },
    journal: { container: unused, mode: 'off' },
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
  };
  const request = { method: 'GET', params: { id }, query: new URLSearchParams(), headers: new Headers() };
  const read = () => route('undelivered', { ...request, body: null } as ApiRequest, dependencies);
  const readParts = storage.parts.read.bind(storage.parts);
  await storage.undelivered.deleteBlob(`${id}/mail.json`);
  await assert.rejects(read(), /404.* while reading the heads of an undelivered mail/);
  t.mock.method(storage.parts, 'read', async (of: string) => {
    await storage.store.remove(of);
    return await readParts(of);
  });
  assert.equal((await read()).status, 404);
});

import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { listenLocally, startOnFreePorts } from '../testbed/child.ts';

function serverFor(t: TestContext) {
  const server = createServer();
  t.after(() => server.close());
  return server;
}

test('a server whose port another process took just before is started on another', async (t) => {
  const tried: number[] = [];
  const port = await startOnFreePorts(1, async ([free = 0]) => {
    tried.push(free);
    if (tried.length === 1) await listenLocally(serverFor(t), free);
    return await listenLocally(serverFor(t), free);
  });
  assert.equal(tried.length, 2);
  assert.equal(port, tried[1]);
});

test('one that can not be started for another reason is not tried again', async () => {
  let tries = 0;
  const starting = startOnFreePorts(1, async () => {
    tries += 1;
    throw new Error('The configuration has an error.');
  });
  await assert.rejects(starting, /has an error/);
  assert.equal(tries, 1);
});

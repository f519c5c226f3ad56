import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { listenLocally } from '../testbed/child.ts';
import { type ProxyOptions, startProxy } from '../testbed/proxy.ts';
import { waitFor } from './brokerTest.ts';

const deadline = { timeout: 20_000 };

async function startEnds(
  t: TestContext,
  serve: (socket: Socket) => void,
  options: Partial<ProxyOptions> = {},
) {
  /** In order. */
  const accepted: Socket[] = [];
  const clients: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    accepted.push(socket);
    serve(socket);
  });
  const targetPort = await listenLocally(server);
  const proxy = await startProxy({ targetHost: '127.0.0.1', targetPort, ...options });
  t.after(async () => {
    for (const client of clients) client.destroy();
    for (const socket of accepted) socket.destroy();
    await proxy.stop();
    server.close();
  });
  return {
    proxy,
    accepted,
    async open() {
      const client = connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true });
      client.on('error', () => {});
      clients.push(client);
      await once(client, 'connect');
      return client;
    },
  };
}

const echo = (socket: Socket) => socket.pipe(socket);

async function read(socket: Socket, byteCount: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    chunks.push(chunk);
    size += chunk.length;
    if (size >= byteCount) break;
  }
  return Buffer.concat(chunks);
}

/** Sends a text to the server and waits until it has come back. */
async function echoed(socket: Socket, text: string): Promise<void> {
  socket.write(text);
  await read(socket, text.length);
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function outcomeOf(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.on('end', () => resolve('end'));
    socket.on('error', (error) => resolve('code' in error ? String(error.code) : error.name));
  });
}

/** The quickest of some: a busy machine makes each of them longer. */
async function roundTripMs(client: Socket): Promise<number> {
  const times: number[] = [];
  for (let count = 0; count < 5; count += 1) {
    const startedMs = performance.now();
    await echoed(client, 'ping');
    times.push(performance.now() - startedMs);
  }
  return Math.min(...times);
}

test('a delay holds back each way, once, and costs neither order nor throughput', deadline, async (t) => {
  const { open } = await startEnds(t, echo, { oneWayDelayMs: 60 });
  const client = await open();
  const quickestMs = await roundTripMs(client);
  assert.ok(quickestMs >= 120 && quickestMs < 240, `round trip ${quickestMs} ms`);

  const sent = randomBytes(20_000_000);
  const startedMs = performance.now();
  client.write(sent);
  assert.equal(sha256(await read(client, sent.length)), sha256(sent));
  // In 64 KiB chunks one after the other it would be 300 delays each way, 36 s.
  const bulkMs = performance.now() - startedMs;
  assert.ok(bulkMs < 18_000, `20 MB took ${bulkMs} ms`);
});

test('a delay can be changed while a connection is open', deadline, async (t) => {
  const { proxy, open } = await startEnds(t, echo);
  const client = await open();
  proxy.setDelay(50);
  assert.ok((await roundTripMs(client)) >= 100);
});

test('a delayed handshake keeps the greeting for two round trips', deadline, async (t) => {
  const { open } = await startEnds(t, (socket) => socket.write('* OK'), {
    oneWayDelayMs: 20,
    delaysHandshake: true,
  });
  const startedMs = performance.now();
  const client = await open();
  await read(client, 4);
  assert.ok(performance.now() - startedMs >= 79);
});

for (const [how, expected] of [
  ['fin', 'end'],
  ['rst', 'ECONNRESET'],
] as const) {
  test(`dropAll ends every connection by ${how}, and new ones work`, deadline, async (t) => {
    const { proxy, open, accepted } = await startEnds(t, echo);
    const clients = [await open(), await open()];
    await waitFor(() => accepted.length === 2);
    const outcomes = clients.map((client) => outcomeOf(client.resume()));
    proxy.dropAll(how);
    assert.deepEqual(await Promise.all(outcomes), [expected, expected]);
    const next = await open();
    await echoed(next, 'still there');
  });
}

test('dropAll by silence keeps connections open and carries nothing more', deadline, async (t) => {
  const { proxy, open, accepted } = await startEnds(t, echo);
  const client = await open();
  await echoed(client, 'one');
  proxy.dropAll('silence');
  let heard = 0;
  client.on('data', () => heard++);
  client.on('end', () => heard++);
  accepted[0]?.resetAndDestroy();
  client.write('two');
  const other = await open();
  await echoed(other, 'round trip after it');
  assert.equal(heard, 0);
  assert.equal(client.readyState, 'open');
});

test('refusing leaves open connections alone, and restore listens on the same port', deadline, async (t) => {
  const { proxy, open } = await startEnds(t, echo);
  const client = await open();
  await echoed(client, 'a');
  await proxy.refuse(true);
  await assert.rejects(open(), { code: 'ECONNREFUSED' });
  await echoed(client, 'b');
  await proxy.restore();
  await open();
});

for (const direction of ['toClient', 'toServer'] as const) {
  test(`cutAfterBytes cuts ${direction} after exactly so many bytes, once`, deadline, async (t) => {
    const received: Buffer[] = [];
    const { proxy, open } = await startEnds(t, (socket) => {
      socket.on('data', (chunk) => received.push(chunk));
      if (direction === 'toClient') socket.write(Buffer.alloc(100_000, 'x'));
    });
    proxy.cutAfterBytes(direction, 70_001, 'fin');
    const client = await open();
    if (direction === 'toServer') client.write(Buffer.alloc(100_000, 'x'));
    const got = await read(client, 100_000);
    assert.equal(got.length, direction === 'toClient' ? 70_001 : 0);
    if (direction === 'toServer') await waitFor(() => Buffer.concat(received).length === 70_001);
    assert.equal(proxy.bytes[direction], 70_001);

    const next = await open();
    if (direction === 'toClient') assert.equal((await read(next, 100_000)).length, 100_000);
  });
}

test('what was let through arrives before a reset', deadline, async (t) => {
  const { proxy, open } = await startEnds(t, (socket) => {
    socket.once('data', () => socket.write('0123456789'));
  });
  proxy.cutAfterBytes('toClient', 5, 'rst');
  const client = await open();
  client.write('RETR 1');
  let got = '';
  client.on('data', (chunk) => {
    got += chunk;
  });
  assert.equal(await outcomeOf(client), 'ECONNRESET');
  assert.equal(got, '01234');
});

test('a slow reader holds the sender back instead of filling memory', deadline, async (t) => {
  let written = 0;
  const { proxy, open } = await startEnds(t, (socket) => {
    const chunk = Buffer.alloc(1_000_000);
    const pump = () => {
      while (written < 200_000_000) {
        written += chunk.length;
        if (!socket.write(chunk)) return;
      }
    };
    socket.on('drain', pump);
    pump();
  });
  await open();
  await waitFor(() => proxy.bytes.toClient > 0);
  // Bytes that nobody holds back move in nearly every turn of the event loop.
  let seen = 0;
  for (let idleTurns = 0; idleTurns < 1_000; idleTurns += 1) {
    await new Promise(setImmediate);
    const now = written + proxy.bytes.toClient;
    if (now !== seen) idleTurns = 0;
    seen = now;
  }
  assert.ok(written < 50_000_000, `${written} bytes left the server`);
});

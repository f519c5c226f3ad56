import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import * as http from 'node:http';
import * as https from 'node:https';
import * as net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { createWebSocketStream, WebSocketServer } from 'ws';
import { startBroker } from '../testbed/broker/broker.ts';
import { testCertificate } from '../testbed/certificates.ts';
import { listening } from '../testbed/listening.ts';

const main = join(import.meta.dirname, 'webSocketMain.ts');

const tunnels: string[] = [];
const protocols: string[] = [];

const broker = await startBroker({ queues: [{ name: 'orders' }] });
const { caCertificate, certificate, key } = await testCertificate();
const folder = await mkdtemp(join(tmpdir(), 'web-socket-'));
await writeFile(join(folder, 'ca.pem'), caCertificate);
// What Service Bus does at port 443: AMQP in the frames of a WebSocket.
const amqpServer = https.createServer({ key, cert: certificate });
const sockets = new WebSocketServer({ server: amqpServer });
sockets.on('connection', (socket, request) => {
  protocols.push(`${request.url} ${socket.protocol}`);
  const stream = createWebSocketStream(socket);
  const upstream = net.connect(broker.port, '127.0.0.1');
  stream.pipe(upstream).pipe(stream);
  for (const each of [stream, upstream]) each.on('error', () => upstream.destroy());
});
const gateway = await listening(amqpServer);
const proxyServer = http.createServer();
proxyServer.on('connect', (request, socket: net.Socket) => {
  tunnels.push(String(request.url));
  const upstream = net.connect(gateway.port, '127.0.0.1', () => {
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    socket.pipe(upstream).pipe(socket);
  });
  for (const each of [socket, upstream]) each.on('error', () => each.destroy());
});
const proxy = await listening(proxyServer);
after(async () => {
  await Promise.all([gateway, proxy, broker].map((server) => server.stop()));
  await rm(folder, { recursive: true });
});

async function send(env: Readonly<Record<string, string>>): Promise<void> {
  const key = /SharedAccessKeyName=[^;]+;SharedAccessKey=[^;]+/.exec(broker.connectionString)?.[0];
  await promisify(execFile)(process.execPath, [main], {
    timeout: 30_000,
    env: {
      PATH: process.env.PATH,
      NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem'),
      ServiceBusConnection: `Endpoint=sb://localhost:${gateway.port}/;${key}`,
      ...env,
    },
  });
}

test('with AmqpWebSockets messages go to port 443’s path, without a proxy', async () => {
  await send({});
  assert.deepEqual(tunnels, []);
  assert.deepEqual(protocols, ['/$servicebus/websocket AMQPWSB10']);
  assert.equal(broker.queue('orders').messages.at(-1)?.body.toString(), 'through the proxy');
});

test('through the proxy that HTTPS_PROXY names, and past it where NO_PROXY says so', async () => {
  const before = broker.queue('orders').accepted;
  const proxyUrl = `http://127.0.0.1:${proxy.port}`;
  await send({ HTTPS_PROXY: proxyUrl });
  assert.deepEqual(tunnels, [`localhost:${gateway.port}`]);
  await send({ HTTPS_PROXY: proxyUrl, NO_PROXY: 'localhost' });
  assert.equal(tunnels.length, 1);
  assert.equal(broker.queue('orders').accepted - before, 2);
});

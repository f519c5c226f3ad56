import assert from 'node:assert/strict';
import * as net from 'node:net';
import { describe, it } from 'node:test';
import Pop3Command from 'node-pop3';
import { Failure } from '../../../shared/failure/failure.ts';
import { Pop3Body } from '../../../shared/mailbox/pop3/multiLine.ts';
import { Deadline, Pop3Wire } from '../../../shared/mailbox/pop3/wire.ts';

const sentBytes = 64 * 1024 * 1024;

async function serverOf(
  serve: (socket: net.Socket) => void,
): Promise<{ port: number; stop: () => Promise<void> }> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: address !== null && typeof address === 'object' ? address.port : 0,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe('POP3 wire', () => {
  it('holds the server back while nobody reads, and loses nothing', async () => {
    const server = await serverOf((socket) => socket.end(Buffer.alloc(sentBytes, 'x')));
    const socket = net.connect(server.port, '127.0.0.1');
    const wire = new Pop3Wire(socket, {
      protocol: 'POP3',
      host: '127.0.0.1',
      port: server.port,
      security: 'plain',
    });
    while (!socket.isPaused()) await new Promise((resolve) => setImmediate(resolve));
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.ok(socket.bytesRead < 2 * 1024 * 1024, `${socket.bytesRead} bytes were read unasked`);

    let readBytes = 0;
    while (readBytes < sentBytes) readBytes += (await wire.piece(new Deadline(10_000))).length;
    assert.equal(readBytes, sentBytes);
    await assert.rejects(wire.piece(new Deadline(10_000)), { reason: 'connection-lost' });
    await server.stop();
  });

  it('finds the socket of node-pop3 where this version puts it, at once', async () => {
    const server = await serverOf(() => {});
    const client = new Pop3Command({
      user: '',
      password: '',
      host: '127.0.0.1',
      port: server.port,
      tls: false,
    });
    const connecting = client.connect();
    assert.ok(client._socket instanceof net.Socket);
    assert.equal(client._socket.listenerCount('data'), 1);
    client._socket.destroy();
    await assert.rejects(connecting);
    await server.stop();
  });
});

describe('A reply of many lines', () => {
  it('is cut off, with its connection, when it is longer than it may be', async () => {
    const server = await serverOf((socket) => socket.write(Buffer.alloc(300_000, 'x\r\n')));
    const socket = net.connect({ port: server.port, host: '127.0.0.1' });
    const contact = { protocol: 'POP3', host: '127.0.0.1', port: server.port, security: 'plain' } as const;
    const wire = new Pop3Wire(socket, contact);
    const tooLong = () => new Failure('protocol', 'Too long.');
    const body = new Pop3Body(wire, new Deadline(10_000), 200_000, tooLong);
    await assert.rejects(body.discard(), { message: 'Too long.' });
    assert.ok(socket.destroyed);
    await server.stop();
  });
});

import assert from 'node:assert/strict';
import * as net from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import Pop3Command from 'node-pop3';
import { Failure } from '../../../shared/failure/failure.ts';
import { defaultTimeouts } from '../../../shared/mailbox/mailbox.ts';
import { Pop3Body } from '../../../shared/mailbox/pop3/multiLine.ts';
import { Deadline, Pop3Wire } from '../../../shared/mailbox/pop3/wire.ts';
import { listening } from '../../testbed/listening.ts';

const sentBytes = 64 * 1024 * 1024;

/** The wire of a connection to a server that does this with it. */
async function wireTo(t: TestContext, serve: (socket: net.Socket) => void) {
  const { port, stop } = await listening(net.createServer(serve));
  t.after(stop);
  const socket = net.connect(port, '127.0.0.1');
  const contact = { protocol: 'POP3', host: '127.0.0.1', port, security: 'plain' } as const;
  const wire = new Pop3Wire(socket, contact, defaultTimeouts);
  return { socket, wire };
}

describe('POP3 wire', () => {
  it('holds the server back while nobody reads, and loses nothing', async (t) => {
    const { socket, wire } = await wireTo(t, (connection) => connection.end(Buffer.alloc(sentBytes, 'x')));
    while (!socket.isPaused()) await setImmediate();
    for (let turn = 0; turn < 50; turn += 1) await setImmediate();
    assert.ok(socket.bytesRead < 2 * 1024 * 1024, `${socket.bytesRead} bytes were read unasked`);

    let readBytes = 0;
    while (readBytes < sentBytes) readBytes += (await wire.piece(new Deadline(10_000))).length;
    assert.equal(readBytes, sentBytes);
    await assert.rejects(wire.piece(new Deadline(10_000)), { reason: 'connection-lost' });
  });

  it('finds the socket of node-pop3 where this version puts it, at once', async (t) => {
    const { port, stop } = await listening(net.createServer());
    t.after(stop);
    const client = new Pop3Command({ user: '', password: '', host: '127.0.0.1', port, tls: false });
    const connecting = client.connect();
    assert.ok(client._socket instanceof net.Socket);
    assert.equal(client._socket.listenerCount('data'), 1);
    client._socket.destroy();
    await assert.rejects(connecting);
  });

  it('is given more time for a reply by all that came of it', async (t) => {
    const { wire } = await wireTo(t, (connection) => connection.end(`${'x\r\n'.repeat(100_000)}.\r\n`));
    const deadline = new Deadline(10_000);
    const body = new Pop3Body(wire, deadline, sentBytes, () => new Failure('protocol', 'Too long.'));
    await body.discard();
    deadline.spend(10_000);
    assert.equal(deadline.waitMs, 10_000);
  });

  it('is cut when a reply of many lines is longer than it may be', async (t) => {
    const { socket, wire } = await wireTo(t, (connection) =>
      connection.write(Buffer.alloc(300_000, 'x\r\n')),
    );
    const tooLong = () => new Failure('protocol', 'Too long.');
    const body = new Pop3Body(wire, new Deadline(10_000), 200_000, tooLong);
    await assert.rejects(body.discard(), { message: 'Too long.' });
    assert.ok(socket.destroyed);
  });
});

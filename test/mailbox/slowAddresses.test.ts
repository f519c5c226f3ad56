import assert from 'node:assert/strict';
import * as net from 'node:net';
import { test } from 'node:test';
import { addressMs, allowSlowAddresses } from '../../shared/mailbox/slowAddresses.ts';

test('every address of a host has seconds to connect, not 250 ms, and a dead one does not end the attempt', async () => {
  allowSlowAddresses();
  assert.equal(net.getDefaultAutoSelectFamilyAttemptTimeout(), addressMs);
  const server = net.createServer((socket) => socket.end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  // Nothing listens on the first address.
  const socket = net.connect({
    host: 'mail.example.com',
    port,
    lookup: (_host, _options, done) =>
      done(null, [
        { address: '::1', family: 6 },
        { address: '127.0.0.1', family: 4 },
      ]),
  });
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  assert.equal(socket.remoteAddress, '127.0.0.1');
  socket.destroy();
  await new Promise((resolve) => server.close(resolve));
});

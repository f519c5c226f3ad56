import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { type Dovecot, startDovecot } from '../../testbed/dovecot.ts';
import { seedMaildir } from '../../testbed/seed.ts';
import { drain } from './drain.ts';
import { optionsFor } from './scriptedImapServer.ts';

const user = { user: 'anna', password: 'pass-7391-word' };
let server: Dovecot;

before(async () => {
  server = await startDovecot({ users: [user] });
});
after(() => server.stop());

/** A relay that counts how often the client speaks after the server did: each is a round trip. */
async function countRoundTrips(port: number, use: (port: number) => Promise<void>): Promise<number> {
  let trips = 0;
  const sockets = new Set<net.Socket>();
  const relay = net.createServer((client) => {
    // The TCP handshake.
    trips += 1;
    let serverSpoke = true;
    const upstream = net.connect(port, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
    }
    client.on('data', (bytes) => {
      if (serverSpoke) trips += 1;
      serverSpoke = false;
      upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      serverSpoke = true;
      client.write(bytes);
    });
    client.on('end', () => upstream.end());
    upstream.on('end', () => client.end());
  });
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
  const address = relay.address();
  try {
    await use(typeof address === 'object' && address !== null ? address.port : 0);
    return trips;
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => relay.close(resolve));
  }
}

test('a whole poll, from connect to logout, takes eight round trips', async () => {
  const mails = Array.from({ length: 50 }, (_, index) => Buffer.from(`Subject: ${index}\r\n\r\nbody\r\n`));
  await seedMaildir(server.maildir(user.user), mails);
  const trips = await countRoundTrips(server.imapPort, async (port) => {
    assert.equal((await drain(optionsFor(port))).length, 50);
  });
  assert.ok(trips <= 8, `${trips} round trips`);
});

test('an idle poll takes five', async () => {
  const trips = await countRoundTrips(server.imapPort, async (port) => {
    assert.equal((await drain(optionsFor(port))).length, 0);
  });
  assert.ok(trips <= 5, `${trips} round trips`);
});

test('deleting takes one more than marking read', async () => {
  await seedMaildir(server.maildir(user.user), [Buffer.from('Subject: x\r\n\r\n')]);
  const trips = await countRoundTrips(server.imapPort, async (port) => {
    assert.equal((await drain(optionsFor(port, { deleteMails: true }))).length, 1);
  });
  assert.ok(trips <= 9, `${trips} round trips`);
});

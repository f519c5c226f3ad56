import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { type Dovecot, startDovecot } from '../../testbed/dovecot.ts';
import { listening } from '../../testbed/listening.ts';
import { seedMaildir } from '../../testbed/seed.ts';
import { drain } from './drain.ts';
import { optionsFor, smallMails } from './scriptedImapServer.ts';

const user = { user: 'anna', password: 'pass-7391-word' };
let server: Dovecot;

before(async () => {
  server = await startDovecot({ users: [user] });
});
after(() => server.stop());

/** A relay that counts how often the client speaks after the server did: each is a round trip. */
async function countRoundTrips(port: number, use: (port: number) => Promise<void>): Promise<number> {
  let trips = 0;
  const relay = net.createServer((client) => {
    // The TCP handshake.
    trips += 1;
    let serverSpoke = true;
    const upstream = net.connect(port, '127.0.0.1').on('error', () => {});
    client.on('data', () => {
      if (serverSpoke) trips += 1;
      serverSpoke = false;
    });
    upstream.on('data', () => {
      serverSpoke = true;
    });
    client.pipe(upstream).pipe(client);
    client.on('close', () => upstream.destroy());
  });
  const { port: relayPort, stop } = await listening(relay);
  await use(relayPort).finally(stop);
  return trips;
}

const cases = [
  ['a whole poll, from connect to logout, takes eight round trips', 8, 50, {}],
  ['an idle poll takes five', 5, 0, {}],
  ['deleting takes one more than marking read', 9, 1, { deleteMails: true }],
] as const;
for (const [name, mostTrips, count, changes] of cases) {
  test(name, async () => {
    await seedMaildir(server.maildir(user.user), smallMails(count));
    const trips = await countRoundTrips(server.imapPort, async (port) => {
      assert.equal((await drain(optionsFor(port, changes))).length, count);
    });
    assert.ok(trips <= mostTrips, `${trips} round trips`);
  });
}

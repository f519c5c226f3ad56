import assert from 'node:assert/strict';
import net from 'node:net';
import { after, test } from 'node:test';
import { startDovecot } from '../../testbed/dovecot.ts';
import { listening } from '../../testbed/listening.ts';
import { seedMaildir } from '../../testbed/seed.ts';
import { drain } from './drain.ts';
import { optionsFor, smallMails, withServer } from './scriptedImapServer.ts';

const user = { user: 'anna', password: 'pass-7391-word' };
const server = await startDovecot({ users: [user] });
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

test('a server is asked for what a poll needs and for nothing more, whatever it can', async () => {
  const extensions =
    'IMAP4rev2 SASL-IR ID NAMESPACE ENABLE CONDSTORE QRESYNC UTF8=ACCEPT COMPRESS=DEFLATE IDLE LIST-EXTENDED';
  const capabilities = `IMAP4rev1 UIDPLUS AUTH=PLAIN ${extensions}`;
  await withServer({ capabilities }, async ({ port, commands }) => {
    assert.equal((await drain(optionsFor(port))).length, 2);
    const poll = ['LOGIN', 'SELECT', 'UID SEARCH', 'UID FETCH', 'UID FETCH', 'UID STORE'];
    assert.deepEqual(commands.map(({ name }) => name).slice(0, poll.length), poll);
  });
});

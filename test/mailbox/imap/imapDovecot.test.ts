import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { after, test } from 'node:test';
import type { MailboxOptions } from '../../../shared/mailbox/mailbox.ts';
import { withCrlf } from '../../servers/mailServers.ts';
import { listMaildir, readMaildir } from '../../testbed/seed.ts';
import { CountedMemory } from '../memory.ts';
import { variedMails } from '../pop3/variedMails.ts';
import { flagDeleted, newUser, optionsOn, startServer, withMailProgram } from './dovecotUsers.ts';
import {
  assertFails,
  assertNotOpened,
  drain,
  fetchAll,
  fetched,
  fetchFrom,
  kindsOf,
  listAndMeasure,
  sentenceIn,
  sourcesOf,
  withSession,
} from './drain.ts';
import { smallMails } from './scriptedImapServer.ts';

const server = await startServer();
after(() => server.stop());

for (const security of ['plain', 'starttls', 'tls'] as const) {
  test(`200 varied mails come byte for byte and are marked read, ${security}`, async () => {
    const seeded = variedMails(200).map(withCrlf);
    const user = await newUser(seeded, server);
    const secure = optionsOn(server, user, {
      security,
      port: security === 'tls' ? server.imapsPort : server.imapPort,
      caCertificate: server.caCertificate,
    });
    const drained = await drain(secure);
    assert.equal(drained.length, 200);
    for (const [index, source] of drained.entries())
      assert.ok(source.equals(seeded[index] ?? Buffer.alloc(0)), `mail ${index}`);
    const after = await listMaildir(server.maildir(user));
    assert.ok(after.every(({ seen }) => seen));
    assert.deepEqual(await drain(secure), [], 'a second poll finds nothing');
  });
}

test('a certificate that nothing vouches for ends the upgrade by STARTTLS, and is told so', async () => {
  const options = optionsOn(server, await newUser([], server), { security: 'starttls' });
  await assertNotOpened(options, 'tls', /^The TLS certificate of .* is not trusted .* in caCertificate\.$/);
});

test('listing, measuring and fetching mark nothing', async () => {
  const user = await newUser(smallMails(3), server);
  await withSession(optionsOn(server, user), async (session) => {
    const measured = await listAndMeasure(session);
    assert.equal((await fetchAll(session, measured)).length, 3);
    assert.equal((await session.readHeads(measured, 10)).size, 3);
  });
  const streamed = await fetchFrom(optionsOn(server, user, { wholeBytes: 0 }));
  assert.deepEqual(sourcesOf(streamed), smallMails(3));
  assert.ok((await listMaildir(server.maildir(user))).every(({ seen }) => !seen));
});

test('a key is the UID, and the mailbox has one name in every session', async () => {
  const user = await newUser(smallMails(3), server);
  const keys = async (): Promise<string[]> =>
    withSession(optionsOn(server, user, { folder: 'inbox' }), async (session) => {
      assert.equal(session.endpoint, `imap://127.0.0.1:${server.imapPort}/INBOX`);
      return [session.mailboxId, ...(await session.list(10)).map(({ key }) => key)];
    });
  const first = await keys();
  assert.match(first[0] ?? '', /^\["imap","127\.0\.0\.1","user\d+","INBOX","\d{5,}"\]$/);
  assert.deepEqual(first.slice(1), ['1', '2', '3']);
  assert.deepEqual(await keys(), first);
});

test('the oldest come first, as many as asked for, with size and date', async () => {
  const user = await newUser(smallMails(5), server);
  await withSession(optionsOn(server, user), async (session) => {
    const pages: number[][] = [];
    for (let page = 0; page < 4; page += 1) pages.push((await session.list(2)).map(({ id }) => id));
    assert.deepEqual(pages, [[1, 2], [3, 4], [5], []]);
    assert.equal(session.hasMore, false);
    const [first] = await session.measure([{ id: 1, key: '1' }]);
    assert.equal(first?.sizeBytes, smallMails(1)[0]?.length);
    assert.ok(Math.abs(Date.now() - (first?.receivedAt?.getTime() ?? 0)) < 60_000);
    assert.deepEqual(await session.list(0), []);
    assert.deepEqual(await session.measure([]), []);
    assert.deepEqual(await fetchAll(session, []), []);
    await session.settle([]);
  });
});

test('deleting expunges the settled mails and no foreign one, flagged or not', async () => {
  const user = await newUser(smallMails(6), server);
  await flagDeleted(optionsOn(server, user), '2');
  await withSession(optionsOn(server, user, { deleteMails: true }), async (session) => {
    const listed = await session.list(10);
    assert.deepEqual(
      listed.map(({ id }) => id),
      [1, 3, 4, 5, 6],
      'a mail flagged \\Deleted is no candidate',
    );
    await session.settle(listed.slice(0, 3));
  });
  const left = await readMaildir(server.maildir(user));
  assert.deepEqual(left, [smallMails(2)[1], smallMails(5)[4], smallMails(6)[5]]);
});

test('a session that is closed while it settles settles first', async () => {
  const user = await newUser(smallMails(6), server);
  await withSession(optionsOn(server, user, { deleteMails: true }), async (session) => {
    const settling = session.settle(await session.list(10));
    assert.equal(await session.close(), true);
    await settling;
  });
  assert.deepEqual(await readMaildir(server.maildir(user)), []);
});

async function expunge(to: MailboxOptions, uids: readonly number[]): Promise<void> {
  await withSession({ ...to, deleteMails: true }, (session) =>
    session.settle(uids.map((id) => ({ id, key: `${id}` }))),
  );
}

test('without UIDPLUS: expunged when all flagged mails are ours, else left flagged and read', async (t) => {
  const old = await startServer({ withoutImapCapabilities: ['UIDPLUS'] });
  t.after(() => old.stop());
  const alone = await newUser(smallMails(4), old);
  const first = optionsOn(old, alone, { deleteMails: true });
  await withSession(first, async (session) => {
    const listed = await session.list(10);
    await session.settle(listed.slice(0, 2));
    await session.settle(listed.slice(2, 3));
  });
  assert.deepEqual(await readMaildir(old.maildir(alone)), [smallMails(4)[3]]);

  const shared = await newUser(smallMails(4), old);
  const second = optionsOn(old, shared, { deleteMails: true });
  await flagDeleted(second, '1');
  assert.equal((await drain(second)).length, 3);
  assert.deepEqual(await readMaildir(old.maildir(shared)), smallMails(4), 'nothing is gone');
  const left = await listMaildir(old.maildir(shared));
  assert.deepEqual(
    left.map(({ deleted, seen }) => [deleted, seen]),
    [
      [true, false],
      [true, true],
      [true, true],
      [true, true],
    ],
  );
  assert.deepEqual(await drain(second), [], 'what was left flagged is not sent again');
});

test('mails expunged or read by someone else between list, measure and fetch are gone', async () => {
  const user = await newUser(smallMails(8), server);
  await withSession(optionsOn(server, user), async (session) => {
    const listed = await session.list(10);
    await expunge(optionsOn(server, user), [1]);
    // Whether that one is measured all the same is up to the server.
    const measured = (await session.measure(listed)).filter(({ id }) => id !== 1);
    await expunge(optionsOn(server, user), [3]);
    await withSession(optionsOn(server, user), (other) => other.settle([{ id: 5, key: '5' }]));
    await flagDeleted(optionsOn(server, user), '7');
    const kinds = ['2 mail', '3 gone', '4 mail', '5 gone', '6 mail', '7 gone', '8 mail'];
    assert.deepEqual(kindsOf(await fetchAll(session, measured)), kinds);
    await withSession(optionsOn(server, user, { wholeBytes: 0 }), async (streaming) => {
      assert.deepEqual(kindsOf(await fetchAll(streaming, measured)), kinds);
    });
    await session.settle(listed);
  });
  assert.deepEqual(await drain(optionsOn(server, user)), []);
});

test('a mail that the server lists and can not read is unavailable, and the rest comes', async () => {
  const user = await newUser(smallMails(5), server);
  const files = await listMaildir(server.maildir(user));
  chmodSync(files[2]?.file ?? '', 0);
  for (const wholeBytes of [1_000, 0]) {
    const fetched = await fetchFrom(optionsOn(server, user, { wholeBytes }));
    assert.deepEqual(kindsOf(fetched), ['1 mail', '2 mail', '3 unavailable', '4 mail', '5 mail']);
    assert.match(sentenceIn(fetched), /^The mail with UID 3 in folder "INBOX" can't be fetched/);
  }
});

test('a large mail streams byte for byte and in bounded memory, whatever its size field says', async () => {
  const lines = Buffer.alloc(20 * 1024 * 1024 + 13, `${'x'.repeat(74)}\r\n`);
  const large = Buffer.concat([Buffer.from('Subject: large\r\n\r\n'), lines]);
  const user = await newUser([large], server);
  await withSession(optionsOn(server, user), async (session) => {
    const [mail] = await listAndMeasure(session);
    assert.ok(mail !== undefined);
    for (const sizeBytes of [mail.sizeBytes, 1, 4 * 1024 * 1024, mail.sizeBytes + 5_000]) {
      const memory = new CountedMemory();
      const [streamed] = await fetchAll(session, [{ ...mail, sizeBytes }], memory);
      assert.ok(streamed?.kind === 'mail' && streamed.source.equals(large), `size ${sizeBytes}`);
      assert.equal(memory.mostBytes, 12 * 1024 * 1024);
      assert.equal(memory.heldBytes, 0);
    }
    for await (const abandoned of session.fetch([mail], new CountedMemory())) {
      assert.ok(abandoned.kind === 'mail');
      for await (const _ of await abandoned.open()) break;
      for await (const _ of await abandoned.open()) break;
      break;
    }
    assert.equal((await session.measure([mail])).length, 1, 'the session goes on');
  });
});

test('too many connections are busy', async (t) => {
  const small = await startServer({ maxConnectionsPerUser: 1 });
  t.after(() => small.stop());
  const options = optionsOn(small, await newUser(smallMails(1), small));
  await withSession(options, async () => {
    await assertNotOpened(options, 'busy', /Maximum number of connections/);
  });
});

test('a server that goes away while mails come is a lost connection, and after its return all is there', async (t) => {
  const own = await startServer();
  t.after(() => own.stop());
  const mails = Array.from({ length: 60 }, () => Buffer.alloc(500_000, `${'w'.repeat(70)}\r\n`));
  const user = await newUser(mails, own);
  const to = optionsOn(own, user);
  await withSession(to, async (session) => {
    const measured = await listAndMeasure(session);
    const fetching = async (): Promise<void> => {
      for await (const one of fetched(session, measured)) if (one.mail.id === 2) await own.kill();
    };
    await assertFails(fetching(), 'connection-lost', /was lost/);
  });
  await own.restart();
  assert.equal((await drain(to)).length, 60);
});

test('a mail that is removed as its header is read for a filter is none that the server withholds', async () => {
  const user = await newUser(smallMails(702), server);
  const headerFilter = { fingerprint: 'all', takes: () => true };
  const options = optionsOn(server, user, { headerFilter });
  await withSession(options, async (session) => {
    // The headers of the first 700 are read for it.
    await session.list(700);
    await withMailProgram(options, async (program) => {
      await program.mailboxOpen('INBOX');
      await program.messageDelete('701', { uid: true });
    });
    assert.deepEqual(await session.list(700), [{ key: '702', id: 702 }]);
  });
});

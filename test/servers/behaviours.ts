import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { defaultTimeouts } from '../../shared/mailbox/mailbox.ts';
import { arrivedParts, expectedParts, inAnyOrder } from '../app/arrived.ts';
import { mailboxColumns, password, queueName, type RunningApp, startApp } from '../app/testbed.ts';
import { sampleMails } from '../mail/mails.ts';
import { fetchAll, listAndMeasure, withSession } from '../mailbox/imap/drain.ts';
import { optionsFor } from '../mailbox/imap/scriptedImapServer.ts';
import { messagesOf } from '../reliability/mails.ts';
import {
  countMails,
  inMailProgram,
  type Mailbox,
  type MailServer,
  type StartMailServer,
  seedFolder,
  withCrlf,
} from './mailServers.ts';

const mailCount = 100;
const mails = sampleMails(mailCount, 11);
const sources = mails.map(({ source }) => source);
const small = (count: number) =>
  Array.from({ length: count }, (_, index) => Buffer.from(`Subject: s${index}\r\n\r\nMail ${index}\r\n`));

/** What the app does with a mail server of any make. */
export function testMailServer(name: string, start: StartMailServer): void {
  let app: RunningApp;
  let server: MailServer;
  let users = 0;
  const names = Array.from({ length: 30 }, (_, index) => `user${index}`);
  before(async () => {
    [app, server] = await Promise.all([startApp(), start({ users: names, password })]);
  });
  after(async () => {
    await app.stop();
    await server.stop();
  });

  const newMailbox = (): Mailbox => ({ server, user: names[users++] ?? 'none', password });
  const connect = async (
    { user }: Mailbox,
    hostType: 'IMAP' | 'POP3',
    columns: Record<string, unknown> = {},
  ): Promise<string> => {
    const connection = `${name}-${user}-${hostType}`.toLowerCase();
    await app.addConnection(connection, { ...mailboxColumns(server, hostType, user), ...columns });
    return connection;
  };

  const ways = [
    { way: 'IMAP, marked read', hostType: 'IMAP', columns: {}, left: mailCount },
    { way: 'IMAP, deleted', hostType: 'IMAP', columns: { deleteMessages: true }, left: 0 },
    { way: 'POP3, deleted', hostType: 'POP3', columns: {}, left: 0 },
  ] as const;
  for (const { way, hostType, columns, left } of ways) {
    test(`${mailCount} varied mails arrive part by part, byte for byte, once: ${way}`, async () => {
      const mailbox = newMailbox();
      await seedFolder(mailbox, sources);
      const connection = await connect(mailbox, hostType, columns);
      const state = await app.poll(connection);
      assert.equal(state.lastError, '');
      assert.equal(state.lastMailCount, mailCount);
      const expected = mails.map(expectedParts).filter((parts) => parts.length > 0);
      assert.deepEqual(
        inAnyOrder(arrivedParts(messagesOf(app, connection), connection)),
        inAnyOrder(expected),
      );
      assert.equal(state.lastMessageCount, expected.flat().length);
      assert.deepEqual(await countMails(mailbox), { count: left, seen: left });
      for await (const { rowKey } of app.table('EmailDelivered').listEntities())
        assert.fail(`left: ${rowKey}`);

      const { transfers } = app.broker.queue(queueName);
      const again = await app.poll(connection);
      assert.deepEqual([again.lastError, again.lastMailCount], ['', 0]);
      assert.equal(app.broker.queue(queueName).transfers, transfers);
      assert.equal(app.broker.queue(queueName).duplicates, 0);
    });

    test(`whole mails arrive byte for byte: ${way}`, async () => {
      const mailbox = newMailbox();
      await seedFolder(mailbox, sources);
      const connection = await connect(mailbox, hostType, {
        ...columns,
        bodyFormat: 'eml',
        sendAttachments: false,
      });
      assert.equal((await app.poll(connection)).lastError, '');
      const arrived = messagesOf(app, connection).map(({ body }) => body.toString('base64'));
      assert.deepEqual(
        arrived.toSorted(),
        sources.map((source) => withCrlf(source).toString('base64')).toSorted(),
      );
    });
  }

  for (const hostType of ['IMAP', 'POP3'] as const) {
    test(`each way to encrypt works, and nothing else is trusted: ${hostType}`, async () => {
      const mailbox = newMailbox();
      await seedFolder(mailbox, small(1));
      const tlsPort = hostType === 'IMAP' ? server.imapsPort : server.pop3sPort;
      const { caCertificate } = server;
      const ways = [
        { useSsl: true, port: tlsPort, caCertificate },
        { startTls: true, caCertificate },
      ];
      for (const columns of ways) {
        await seedFolder(mailbox, small(1));
        const connection = await connect(mailbox, hostType, columns);
        assert.equal((await app.poll(connection)).lastError, '');
      }
      for (const columns of [{ useSsl: true, port: tlsPort }, { startTls: true }]) {
        const connection = await connect(mailbox, hostType, columns);
        assert.match(String((await app.poll(connection)).lastError), /certificate.*caCertificate/);
      }
    });

    test(`a wrong password gets its sentence and touches nothing: ${hostType}`, async () => {
      const mailbox = newMailbox();
      await seedFolder(mailbox, small(2));
      const connection = await connect(mailbox, hostType, { password: 'wrong horse' });
      const state = await app.poll(connection);
      assert.equal(state.lastStatus, 'failed');
      assert.match(
        String(state.lastError),
        new RegExp(
          `^${hostType} login to 127\\.0\\.0\\.1:\\d+ as ${mailbox.user} was refused: .*Check username and password`,
        ),
      );
      assert.doesNotMatch(String(state.lastError), /horse/);
      assert.deepEqual(await countMails(mailbox), { count: 2, seen: 0 });
    });

    test(`an empty mailbox is an ok without mails: ${hostType}`, async () => {
      const mailbox = newMailbox();
      await inMailProgram(mailbox, async () => undefined);
      const state = await app.poll(await connect(mailbox, hostType));
      assert.deepEqual([state.lastError, state.lastStatus, state.lastMailCount], ['', 'ok', 0]);
    });
  }

  test('a folder that is not there gets its sentence', async () => {
    const mailbox = newMailbox();
    await inMailProgram(mailbox, async () => undefined);
    const state = await app.poll(await connect(mailbox, 'IMAP', { folder: 'Nowhere' }));
    assert.match(String(state.lastError), /folder.*Nowhere/i);
  });

  test('folders with odd names are read', async () => {
    const mailbox = newMailbox();
    for (const folder of server.oddFolders) {
      await seedFolder(mailbox, small(2), folder);
      const state = await app.poll(await connect(mailbox, 'IMAP', { folder }));
      assert.deepEqual([state.lastError, state.lastMailCount], ['', 2], folder);
      assert.deepEqual(await countMails(mailbox, folder), { count: 2, seen: 2 }, folder);
    }
  });

  test('what others have read or removed since the list was taken is not fetched', async () => {
    const mailbox = newMailbox();
    await seedFolder(mailbox, small(4));
    const credential = { kind: 'password', password } as const;
    const options = optionsFor(server.imapPort, { username: mailbox.user, credential });
    await withSession({ ...options, timeouts: defaultTimeouts }, async (session) => {
      const measured = await listAndMeasure(session);
      await inMailProgram(mailbox, async (program) => {
        await program.mailboxOpen('INBOX');
        await program.messageFlagsAdd('1', ['\\Seen']);
        await program.messageDelete('2');
      });
      const kinds = (await fetchAll(session, measured)).map(({ kind }) => kind);
      assert.deepEqual(kinds.toSorted(), ['gone', 'gone', 'mail', 'mail']);
      await session.settle(measured);
    });
    assert.deepEqual(await countMails(mailbox), { count: 3, seen: 3 });
  });

  test('only what was delivered is expunged, not what others have flagged as deleted', async () => {
    const mailbox = newMailbox();
    await seedFolder(mailbox, small(4));
    await inMailProgram(mailbox, async (program) => {
      await program.mailboxOpen('INBOX');
      await program.messageFlagsAdd('2', ['\\Deleted']);
    });
    const state = await app.poll(await connect(mailbox, 'IMAP', { deleteMessages: true }));
    assert.deepEqual([state.lastError, state.lastMailCount], ['', 3]);
    assert.deepEqual(await countMails(mailbox), { count: 1, seen: 0 });
  });
}

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { connect as tlsConnect } from 'node:tls';
import { ImapFlow } from 'imapflow';
import { testCertificate } from '../testbed/certificates.ts';
import { type Dovecot, startDovecot } from '../testbed/dovecot.ts';
import { programs, requirePrograms } from '../testbed/programs.ts';
import { clearMaildir, crlfSizeBytes, listMaildir, readMaildir, seedMaildir } from '../testbed/seed.ts';

const mails = [
  Buffer.from('Subject: one\r\n\r\n.dot\r\n'),
  Buffer.from([...Buffer.from('Subject: two\r\n\r\n'), 0xe4, 0xff, 13, 10]),
  Buffer.from('Subject: three\r\n\r\nno line end'),
];

let dovecot: Dovecot;
before(async () => {
  requirePrograms([programs.dovecot]);
  dovecot = await startDovecot({
    users: ['anna', 'berta', 'carl'].map((user) => ({ user, password: `${user}: "pass" ` })),
  });
});
after(() => dovecot.stop());

test('seeded mails come over IMAP with TLS byte for byte, in order, and their flags can be read', async () => {
  await seedMaildir(dovecot.maildir('anna'), mails);
  const client = imap(dovecot, 'anna', dovecot.imapsPort, true);
  await client.connect();
  await client.mailboxOpen('INBOX');
  const sources: Buffer[] = [];
  for await (const mail of client.fetch('1:*', { source: true, size: true })) {
    assert.equal(mail.size, mails[sources.length]?.length);
    if (mail.source !== undefined) sources.push(mail.source);
  }
  assert.deepEqual(sources, mails);
  await client.messageFlagsAdd('2', ['\\Seen']);
  await client.messageFlagsAdd('3', ['\\Deleted']);
  await client.logout();

  const listed = await listMaildir(dovecot.maildir('anna'));
  assert.deepEqual(
    listed.map(({ seen, deleted }) => ({ seen, deleted })),
    [
      { seen: false, deleted: false },
      { seen: true, deleted: false },
      { seen: false, deleted: true },
    ],
  );
  assert.deepEqual(await readMaildir(dovecot.maildir('anna')), mails);
  await clearMaildir(dovecot.maildir('anna'));
  assert.deepEqual(await listMaildir(dovecot.maildir('anna')), []);
});

test('a folder below INBOX is seeded and opened by its name', async () => {
  await seedMaildir(dovecot.maildir('anna', 'Orders'), mails.slice(0, 1));
  const client = imap(dovecot, 'anna', dovecot.imapPort, false);
  await client.connect();
  assert.equal((await client.mailboxOpen('Orders')).exists, 1);
  await client.logout();
});

test('POP3 answers on both ports and counts with CRLF line ends', async () => {
  const bare = Buffer.from('Subject: bare\n\nline\n');
  assert.equal(crlfSizeBytes(bare), bare.length + 3);
  await seedMaildir(dovecot.maildir('berta'), [bare]);
  const plain = connect(dovecot.pop3Port, '127.0.0.1');
  const secure = tlsConnect({
    port: dovecot.pop3sPort,
    host: '127.0.0.1',
    servername: 'mail.test',
    ca: dovecot.caCertificate,
  });
  for (const socket of [plain, secure]) {
    const replies = await talk(socket, ['USER berta', 'PASS berta: "pass" ', 'STAT', 'QUIT']);
    assert.match(replies, new RegExp(`\\+OK 1 ${bare.length + 3}\r\n`));
  }
});

test('both plain ports offer the upgrade to TLS, and do not when it is off', async () => {
  assert.match(await talk(connect(dovecot.imapPort, '127.0.0.1'), ['a LOGOUT']), /STARTTLS/);
  assert.match(await talk(connect(dovecot.pop3Port, '127.0.0.1'), ['CAPA', 'QUIT']), /STLS/);
  const plain = await startDovecot({ users: [], tls: false });
  try {
    assert.doesNotMatch(await talk(connect(plain.imapPort, '127.0.0.1'), ['a LOGOUT']), /STARTTLS/);
    assert.doesNotMatch(await talk(connect(plain.pop3Port, '127.0.0.1'), ['CAPA', 'QUIT']), /STLS/);
  } finally {
    await plain.stop();
  }
});

test('a new password holds from the next login, a wrong one is refused at once', async () => {
  await assert.rejects(imap(dovecot, 'carl', dovecot.imapPort, false, 'wrong').connect());
  for (const password of ['second', 'third1']) {
    await dovecot.setPassword('carl', password);
    const client = imap(dovecot, 'carl', dovecot.imapPort, false, password);
    await client.connect();
    await client.logout();
  }
});

test('options: few connections, no UIDPLUS', async () => {
  const limited = await startDovecot({
    users: [{ user: 'dora', password: 'd' }],
    maxConnectionsPerUser: 1,
    withoutImapCapabilities: ['UIDPLUS'],
  });
  try {
    const first = imap(limited, 'dora', limited.imapPort, false, 'd');
    await first.connect();
    assert.equal(first.capabilities.has('UIDPLUS'), false);
    assert.equal(first.capabilities.has('MOVE'), true);
    await assert.rejects(imap(limited, 'dora', limited.imapPort, false, 'd').connect(), {
      serverResponseCode: 'LIMIT',
    });
    await first.logout();
  } finally {
    await limited.stop();
  }
});

test('after kill the server is away, after restart it is back with its mails', async () => {
  await seedMaildir(dovecot.maildir('carl'), mails);
  await dovecot.setPassword('carl', 'again');
  const open = connect(dovecot.imapPort, '127.0.0.1');
  await once(open, 'data');
  const closed = once(open, 'close');
  await dovecot.kill();
  await closed;
  await assert.rejects(once(connect(dovecot.imapPort, '127.0.0.1'), 'connect'));
  await dovecot.restart();
  const client = imap(dovecot, 'carl', dovecot.imapPort, false, 'again');
  await client.connect();
  assert.equal((await client.mailboxOpen('INBOX')).exists, mails.length);
  await client.logout();
});

test('certificates hold for the names asked for, and can be expired', async () => {
  const usual = await testCertificate();
  assert.equal(await testCertificate(), usual);
  const expired = await testCertificate({ names: ['other.test'], expired: true });
  assert.notEqual(expired.caCertificate, usual.caCertificate);
  const server = await startDovecot({ users: [], certificate: expired });
  try {
    const socket = tlsConnect({
      port: server.imapsPort,
      host: '127.0.0.1',
      servername: 'other.test',
      ca: expired.caCertificate,
    });
    await assert.rejects(once(socket, 'secureConnect'), { code: 'CERT_HAS_EXPIRED' });
  } finally {
    await server.stop();
  }
});

function imap(server: Dovecot, user: string, port: number, secure: boolean, password?: string): ImapFlow {
  return new ImapFlow({
    host: 'localhost',
    port,
    secure,
    logger: false,
    auth: { user, pass: password ?? `${user}: "pass" ` },
    tls: { ca: server.caCertificate },
  });
}

/** Sends the lines after the greeting, gives everything that was answered until the server closed. */
async function talk(socket: Socket, lines: readonly string[]): Promise<string> {
  let text = '';
  socket.on('data', (piece: Buffer) => {
    text += piece.toString('latin1');
  });
  await once(socket, 'data');
  socket.write(lines.map((line) => `${line}\r\n`).join(''));
  await once(socket, 'close');
  return text;
}

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { openImapMailbox } from '../../../shared/mailbox/imap/imapMailbox.ts';
import { testCertificate } from '../../testbed/certificates.ts';
import { assertFails, failureOf } from './drain.ts';
import { type Command, optionsFor, startScriptedImapServer, type Wire } from './scriptedImapServer.ts';

/** A TLS server that greets and then drops; gives its port and the SNI names it saw. */
async function withTlsServer(
  options: tls.TlsOptions,
  use: (port: number, names: readonly (string | undefined)[]) => Promise<void>,
): Promise<void> {
  const { certificate, key } = await testCertificate();
  const names: (string | undefined)[] = [];
  const sockets = new Set<tls.TLSSocket>();
  const server = tls.createServer({ cert: certificate, key, ...options }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    names.push(socket.servername || undefined);
    socket.end('* BYE enough\r\n');
  });
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  try {
    await use(typeof address === 'object' && address !== null ? address.port : 0, names);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

test('the certificate is checked against host, whichever address is connected to, and SNI is sent', async () => {
  const { caCertificate } = await testCertificate();
  await withTlsServer({}, async (port, names) => {
    const secure = { security: 'tls', caCertificate, addresses: ['127.0.0.1'] } as const;
    await assertFails(openImapMailbox(optionsFor(port, { ...secure, host: 'mail.test' })), 'busy', /enough/);
    assert.deepEqual(names, ['mail.test']);
    await assertFails(
      openImapMailbox(optionsFor(port, { ...secure, host: 'other.test' })),
      'tls',
      /is for other names .*mail\.test/,
    );
    await assertFails(
      openImapMailbox(optionsFor(port, { security: 'tls', caCertificate })),
      'busy',
      /enough/,
    );
  });
});

test('a certificate of an unknown CA, an expired one, and a TLS older than 1.2 are refused', async () => {
  const { caCertificate } = await testCertificate();
  await withTlsServer({}, async (port) => {
    await assertFails(openImapMailbox(optionsFor(port, { security: 'tls' })), 'tls', /is not trusted/);
  });
  const expired = await testCertificate({ expired: true });
  await withTlsServer({ cert: expired.certificate, key: expired.key }, async (port) => {
    const options = optionsFor(port, { security: 'tls', caCertificate: expired.caCertificate });
    await assertFails(openImapMailbox(options), 'tls', /has expired/);
  });
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
  await withTlsServer(old, async (port) => {
    await assertFails(openImapMailbox(optionsFor(port, { security: 'tls', caCertificate })), 'tls', /TLS/);
  });
});

test('what the system trusts stays trusted beside caCertificate', async () => {
  const system = await testCertificate();
  const other = await testCertificate({ names: ['elsewhere.test'] });
  const folder = mkdtempSync(join(tmpdir(), 'imap-tls-'));
  const systemRoots = join(folder, 'roots.pem');
  writeFileSync(systemRoots, system.caCertificate);
  try {
    await withTlsServer({}, async (port) => {
      const options = optionsFor(port, { security: 'tls', caCertificate: other.caCertificate });
      const module = new URL('../../../shared/mailbox/imap/imapMailbox.ts', import.meta.url);
      const script = `import { openImapMailbox } from ${JSON.stringify(module)};
        openImapMailbox(${JSON.stringify(options)}).catch((error) => console.log(error.reason));`;
      // Node reads the system's roots once, when it starts.
      const env = { ...process.env, NODE_EXTRA_CA_CERTS: systemRoots };
      const run = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], { env });
      assert.equal((await run).stdout.trim(), 'busy', 'it came as far as the BYE');
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a plain port spoken to with TLS, and a TLS port spoken to without, say what to change', async () => {
  const server = await startScriptedImapServer();
  try {
    await assertFails(
      openImapMailbox(optionsFor(server.port, { security: 'tls' })),
      'tls',
      /does not speak TLS/,
    );
  } finally {
    await server.stop();
  }
  await withTlsServer({}, async (port) => {
    const timeouts = { connectMs: 100, openMs: 100, commandMs: 100 };
    await assertFails(openImapMailbox(optionsFor(port, { timeouts })), 'timeout', /set useSsl to true/);
  });
});

async function withStartTls(
  answer: (command: Command, wire: Wire) => void,
  use: (port: number, commands: readonly Command[]) => Promise<void>,
  capabilities = 'IMAP4rev1 STARTTLS AUTH=PLAIN',
): Promise<void> {
  const server = await startScriptedImapServer({
    capabilities,
    onCommand: (command, wire) => {
      if (command.name === 'STARTTLS') answer(command, wire);
      return command.name === 'STARTTLS';
    },
  });
  try {
    await use(server.port, server.commands);
    assert.ok(
      !server.commands.some(({ name }) => name === 'LOGIN' || name === 'AUTHENTICATE'),
      'no credentials',
    );
  } finally {
    await server.stop();
  }
}

const timeouts = { connectMs: 400, openMs: 400, commandMs: 400 };

test('STARTTLS: bytes injected after the OK are refused', async () => {
  const injected = ({ tag }: Command, wire: Wire): void =>
    wire.send(`${tag} OK go\r\n* CAPABILITY IMAP4rev1 AUTH=LOGIN\r\n9 OK fine\r\n`);
  await withStartTls(injected, async (port) => {
    const opening = openImapMailbox(optionsFor(port, { security: 'starttls', timeouts }));
    await assertFails(opening, 'tls', /sent data between STARTTLS and TLS/);
  });
  const later = ({ tag }: Command, wire: Wire): void => {
    wire.send(`${tag} OK go\r\n`);
    setImmediate(() => wire.send('* CAPABILITY IMAP4rev1 AUTH=LOGIN\r\n'));
  };
  await withStartTls(later, async (port) => {
    const failure = await failureOf(openImapMailbox(optionsFor(port, { security: 'starttls', timeouts })));
    assert.equal(failure.reason, 'tls', failure.message);
  });
});

test('STARTTLS: not offered, refused, dropped or stalled ends before any login', async () => {
  const options = (port: number) => optionsFor(port, { security: 'starttls', timeouts });
  await withStartTls(
    () => {},
    async (port) => assertFails(openImapMailbox(options(port)), 'tls', /offers no STARTTLS/),
    'IMAP4rev1 AUTH=PLAIN',
  );
  await withStartTls(
    ({ tag }, wire) => wire.send(`${tag} NO not now\r\n`),
    async (port) => assertFails(openImapMailbox(options(port)), 'tls', /did not start TLS/),
  );
  await withStartTls(
    (_command, wire) => wire.reset(),
    async (port) => {
      const { reason } = await failureOf(openImapMailbox(options(port)));
      assert.ok(reason === 'tls' || reason === 'connection-lost', reason);
    },
  );
  await withStartTls(
    () => {},
    async (port) => assertFails(openImapMailbox(options(port)), 'timeout', /within 400 ms/),
  );
  await withStartTls(
    ({ tag }, wire) => wire.send(`${tag} OK go\r\n`),
    async (port) => assertFails(openImapMailbox(options(port)), 'timeout', /TLS handshake/),
  );
});

test('without startTls no upgrade is tried, though it is offered', async () => {
  const server = await startScriptedImapServer({ capabilities: 'IMAP4rev1 STARTTLS AUTH=PLAIN' });
  try {
    const session = await openImapMailbox(optionsFor(server.port));
    await session.close();
    assert.ok(!server.commands.some(({ name }) => name === 'STARTTLS'));
  } finally {
    await server.stop();
  }
});

test('a port that refuses, and a host that is none', async () => {
  const closed = createServer();
  await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
  const address = closed.address();
  await new Promise((resolve) => closed.close(resolve));
  const port = typeof address === 'object' && address !== null ? address.port : 1;
  for (const security of ['plain', 'tls'] as const) {
    await assertFails(openImapMailbox(optionsFor(port, { security })), 'refused', /refused the connection/);
    const host = 'no-such-host.invalid';
    await assertFails(
      openImapMailbox(optionsFor(port, { security, host })),
      'unknown-host',
      /no-such-host\.invalid/,
    );
  }
});

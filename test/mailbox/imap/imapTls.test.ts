import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import tls from 'node:tls';
import { promisify } from 'node:util';
import type { FailureReason } from '../../../shared/failure/failure.ts';
import { openImapMailbox } from '../../../shared/mailbox/imap/imapMailbox.ts';
import { testCertificate } from '../../testbed/certificates.ts';
import { listening } from '../../testbed/listening.ts';
import { assertNotOpened, assertRefused, failureOf, onServer } from './drain.ts';
import {
  type Answer,
  type Command,
  faultAt,
  optionsFor,
  timeoutsOf,
  withServer,
} from './scriptedImapServer.ts';

/** A TLS server that greets and then drops; gives its port and the SNI names it saw. */
async function withTlsServer(
  options: tls.TlsOptions,
  use: (port: number, names: readonly (string | undefined)[]) => Promise<void>,
): Promise<void> {
  const { certificate, key } = await testCertificate();
  const names: (string | undefined)[] = [];
  const server = tls.createServer({ cert: certificate, key, ...options }, (socket) => {
    socket.on('error', () => {});
    names.push(socket.servername || undefined);
    socket.end('* BYE enough\r\n');
  });
  server.on('tlsClientError', () => {});
  const { port, stop } = await listening(server);
  await use(port, names).finally(stop);
}

test('the certificate is checked against host, whichever address is connected to, and SNI is sent', async () => {
  const { caCertificate } = await testCertificate();
  await withTlsServer({}, async (port, names) => {
    const secure = { security: 'tls', caCertificate, addresses: ['127.0.0.1'] } as const;
    await assertNotOpened(optionsFor(port, { ...secure, host: 'mail.test' }), 'busy', /enough/);
    assert.deepEqual(names, ['mail.test']);
    const other = optionsFor(port, { ...secure, host: 'other.test' });
    await assertNotOpened(other, 'tls', /is for other names .*mail\.test/);
    await assertNotOpened(optionsFor(port, { security: 'tls', caCertificate }), 'busy', /enough/);
  });
});

test('a certificate of an unknown CA, an expired one, and a TLS older than 1.2 or without safe ciphers are refused', async () => {
  const { caCertificate } = await testCertificate();
  const { certificate: cert, key, ...expired } = await testCertificate({ expired: true });
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
  for (const [server, trusted, sentence] of [
    [{}, undefined, /is not trusted/],
    [{ cert, key }, expired.caCertificate, /has expired/],
    [old, caCertificate, /TLS/],
    [
      { ciphers: 'ADH-AES128-SHA:@SECLEVEL=0', maxVersion: 'TLSv1.2' },
      caCertificate,
      /no safe TLS in common/,
    ],
  ] as const) {
    await withTlsServer(server, async (port) => {
      const trust = trusted === undefined ? {} : { caCertificate: trusted };
      await assertNotOpened(optionsFor(port, { security: 'tls', ...trust }), 'tls', sentence);
    });
  }
});

test('what the system trusts stays trusted beside caCertificate', async (t) => {
  const system = await testCertificate();
  const other = await testCertificate({ names: ['elsewhere.test'] });
  const folder = mkdtempSync(join(tmpdir(), 'imap-tls-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const systemRoots = join(folder, 'roots.pem');
  writeFileSync(systemRoots, system.caCertificate);
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
});

test('a plain port spoken to with TLS, and a TLS port spoken to without, say what to change', async () => {
  await assertRefused({}, 'tls', /does not speak TLS/, { security: 'tls' });
  const silent = { security: 'tls', timeouts: timeoutsOf(100) } as const;
  await assertRefused({ greeting: false }, 'timeout', /did not complete the TLS handshake within/, silent);
  await withTlsServer({}, async (port) => {
    const options = optionsFor(port, { timeouts: timeoutsOf(100) });
    await assertNotOpened(options, 'timeout', /set useSsl to true/);
  });
});

const noUpgrade: Record<string, readonly [Answer, FailureReason, RegExp]> = {
  'followed by bytes injected after the OK': [
    'TAG OK go\r\n* CAPABILITY IMAP4rev1 AUTH=LOGIN\r\n9 OK fine\r\n',
    'tls',
    /sent data between STARTTLS and TLS/,
  ],
  'followed by bytes injected a little later': [
    (_command, wire) => {
      setImmediate(() => wire.send('* CAPABILITY IMAP4rev1 AUTH=LOGIN\r\n'));
      return 'TAG OK go\r\n';
    },
    'tls',
    /./,
  ],
  refused: ['TAG NO not now\r\n', 'tls', /did not start TLS/],
  stalled: ['', 'timeout', /within 400 ms/],
  'answered by a BYE': ['* BYE too many sessions\r\n', 'busy', /at its start: too many sessions\./],
  'answered, and TLS is not begun': ['TAG OK go\r\n', 'timeout', /TLS handshake/],
};
const starttls = { security: 'starttls', timeouts: timeoutsOf(400) } as const;
const offering = {
  capabilities: 'IMAP4rev1 STARTTLS AUTH=PLAIN',
  // A TLS hello holds line ends by chance: what looks like a command then has no answer.
  onCommand: ({ name }: Command) => !/^[A-Z]+$/.test(name),
};
const isLogin = (name: string): boolean => name === 'LOGIN' || name === 'AUTHENTICATE';

for (const [what, [STARTTLS, reason, sentence]] of Object.entries(noUpgrade)) {
  test(`STARTTLS that is ${what} ends before any login`, async () => {
    const commands = await assertRefused({ ...offering, answers: { STARTTLS } }, reason, sentence, starttls);
    assert.ok(commands.includes('STARTTLS') && !commands.some(isLogin));
  });
}

test('STARTTLS that is not offered, or dropped, ends before any login', async () => {
  const script = { capabilities: 'IMAP4rev1 AUTH=PLAIN' };
  const commands = await assertRefused(script, 'tls', /offers no STARTTLS/, starttls);
  assert.ok(!commands.some(isLogin));
  const dropping = { ...offering, ...faultAt('STARTTLS', (wire) => wire.reset()) };
  await withServer(dropping, async ({ port, commands }) => {
    const { reason } = await failureOf(openImapMailbox(optionsFor(port, starttls)));
    assert.ok(reason === 'tls' || reason === 'connection-lost', reason);
    assert.ok(!commands.some(({ name }) => isLogin(name)));
  });
});

test('without startTls no upgrade is tried, though it is offered', async () => {
  await onServer(offering, async (_, { commands }) =>
    assert.ok(!commands.some(({ name }) => name === 'STARTTLS')),
  );
});

test('a port that refuses, and a host that is none', async () => {
  const { port, stop } = await listening(net.createServer());
  await stop();
  for (const security of ['plain', 'tls'] as const) {
    await assertNotOpened(optionsFor(port, { security }), 'refused', /refused the connection/);
    const nowhere = optionsFor(port, { security, host: 'no-such-host.invalid' });
    await assertNotOpened(nowhere, 'unknown-host', /no-such-host\.invalid/);
  }
});

import assert from 'node:assert/strict';
import * as net from 'node:net';
import { after, before, describe, it } from 'node:test';
import * as tls from 'node:tls';
import { openPop3Mailbox } from '../../../shared/mailbox/pop3/pop3Mailbox.ts';
import { type Certificate, testCertificate } from '../../testbed/certificates.ts';
import { type Script, type ScriptedServer, startScriptedServer } from './scriptedServer.ts';
import { failureOf, openAndDrain, password, pop3Options, sources } from './sessions.ts';

const mails = [Buffer.from('.secret\r\n')];
const short = { connectMs: 100, openMs: 100, commandMs: 100 };

describe('POP3 security', () => {
  let good: Certificate;
  let otherName: Certificate;
  let expired: Certificate;
  before(async () => {
    good = await testCertificate();
    otherName = await testCertificate({ names: ['other.test'] });
    expired = await testCertificate({ expired: true });
  });
  let servers: ScriptedServer[] = [];
  const start = async (script: Script) => {
    const server = await startScriptedServer({ mails, ...script });
    servers.push(server);
    return server;
  };
  after(async () => {
    for (const server of servers) await server.stop();
    servers = [];
  });
  const assertNoCredential = ({ commands }: ScriptedServer) => {
    assert.ok(
      commands.every((line) => !/USER|PASS|AUTH/.test(line)),
      commands.join(' | '),
    );
  };

  it('upgrades by STLS before it asks for capabilities or logs in', async () => {
    const server = await start({ stls: good });
    const { answers, confirmed } = await openAndDrain(
      pop3Options(server.port, { security: 'starttls', caCertificate: good.caCertificate }),
    );
    assert.deepEqual(sources(answers), mails);
    assert.equal(confirmed, true);
    assert.deepEqual(server.commands.slice(0, 4), ['STLS', 'CAPA', 'USER x', `PASS ${password}`]);
  });

  it('sends no credentials when STLS is refused', async () => {
    const server = await start({});
    const failure = await failureOf(
      openPop3Mailbox(pop3Options(server.port, { security: 'starttls' })),
      'tls',
    );
    assert.match(
      failure.message,
      /refused STARTTLS, so no login was tried\. Set startTls to false and useSsl to true/,
    );
    assertNoCredential(server);
  });

  it('refuses bytes that come along with the answer to STLS', async () => {
    const server = await start({
      stls: good,
      answer: (line, { secure }) => (line === 'STLS' && !secure ? '+OK\r\n+OK injected\r\n' : undefined),
    });
    const failure = await failureOf(
      openPop3Mailbox(pop3Options(server.port, { security: 'starttls', caCertificate: good.caCertificate })),
      'tls',
    );
    assert.match(failure.message, /sent data ahead of the TLS handshake/);
    assertNoCredential(server);
  });

  it('never upgrades in plain mode', async () => {
    const server = await start({ stls: good, capa: ['STLS', 'UIDL', 'USER'] });
    await openAndDrain(pop3Options(server.port));
    assert.ok(!server.commands.includes('STLS'));
  });

  it('verifies the name in host when another address is given', async () => {
    const server = await start({ tls: good });
    const options = pop3Options(server.port, {
      host: 'mail.test',
      addresses: ['127.0.0.1'],
      security: 'tls',
      caCertificate: good.caCertificate,
    });
    assert.deepEqual(sources((await openAndDrain(options)).answers), mails);
    const failure = await failureOf(openPop3Mailbox({ ...options, host: 'elsewhere.test' }), 'tls');
    assert.match(
      failure.message,
      /is for other names \(.*DNS:mail\.test.*\)\. Set host to a name it holds\.$/,
    );
  });

  it('sends the name in host as SNI', async () => {
    let serverName: string | false | null = null;
    const server = tls.createServer({ key: good.key, cert: good.certificate }, (socket) => {
      serverName = socket.servername;
      socket.on('error', () => {});
      socket.end('-ERR bye\r\n');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const changes = {
      host: 'mail.test',
      addresses: ['127.0.0.1'],
      caCertificate: good.caCertificate,
    } as const;
    await failureOf(openPop3Mailbox(pop3Options(port, { ...changes, security: 'tls' })), 'busy');
    assert.equal(serverName, 'mail.test');
    await new Promise((resolve) => server.close(resolve));
  });

  for (const security of ['tls', 'starttls'] as const) {
    const script = (certificate: Certificate): Script =>
      security === 'tls' ? { tls: certificate } : { stls: certificate };

    it(`refuses a certificate that nothing vouches for (${security})`, async () => {
      const server = await start(script(good));
      const failure = await failureOf(openPop3Mailbox(pop3Options(server.port, { security })), 'tls');
      assert.match(
        failure.message,
        /is not trusted \(\w+\)\. If its CA is private, put the CA's PEM in caCertificate\.$/,
      );
      assertNoCredential(server);
    });

    it(`refuses a certificate for another name (${security})`, async () => {
      const server = await start(script(otherName));
      const options = pop3Options(server.port, { security, caCertificate: otherName.caCertificate });
      const failure = await failureOf(openPop3Mailbox(options), 'tls');
      assert.match(failure.message, /is for other names/);
      assertNoCredential(server);
    });

    it(`refuses a certificate that has expired (${security})`, async () => {
      const server = await start(script(expired));
      const options = pop3Options(server.port, { security, caCertificate: expired.caCertificate });
      const failure = await failureOf(openPop3Mailbox(options), 'tls');
      assert.match(failure.message, /has expired/);
      assertNoCredential(server);
    });
  }

  it('refuses a CA certificate that is no PEM, before it connects', async () => {
    const failure = await failureOf(
      openPop3Mailbox(pop3Options(1, { security: 'tls', caCertificate: 'junk' })),
      'config',
    );
    assert.match(failure.message, /^caCertificate is not valid; it must be/);
  });

  it('refuses TLS 1.1', async () => {
    const server = tls.createServer({
      key: good.key,
      cert: good.certificate,
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    server.on('tlsClientError', () => {});
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const options = pop3Options(port, { security: 'tls', caCertificate: good.caCertificate });
    const failure = await failureOf(openPop3Mailbox(options), 'tls');
    assert.match(failure.message, /offers no TLS version from 1\.2 on/);
    await new Promise((resolve) => server.close(resolve));
  });

  it('says so when TLS is spoken to a plain port', async () => {
    const server = await start({});
    const failure = await failureOf(openPop3Mailbox(pop3Options(server.port, { security: 'tls' })), 'tls');
    assert.match(failure.message, /does not speak TLS there\. Use its SSL port, or set useSsl to false/);
  });

  it('says so when a TLS port is spoken to in the clear', async () => {
    const server = await start({ tls: good });
    const failure = await failureOf(
      openPop3Mailbox(pop3Options(server.port, { timeouts: short })),
      'timeout',
    );
    assert.match(
      failure.message,
      /sent no greeting within 100 ms\. If this is its SSL port, set useSsl to true/,
    );
  });
});

describe('POP3 server that cannot be reached', () => {
  it('is named when it refuses the connection', async () => {
    const failure = await failureOf(openPop3Mailbox(pop3Options(await unusedPort())), 'refused');
    assert.match(
      failure.message,
      /^POP3 server 127\.0\.0\.1:\d+ refused the connection: .* Check host, port and firewall\.$/,
    );
  });

  it('is named when TLS was to be spoken to it', async () => {
    await failureOf(openPop3Mailbox(pop3Options(await unusedPort(), { security: 'tls' })), 'refused');
  });

  it('is named when DNS does not know it', async () => {
    const options = pop3Options(995, { host: 'no-such-host.invalid', security: 'tls' });
    const failure = await failureOf(openPop3Mailbox(options), 'unknown-host');
    assert.match(failure.message, /^POP3 server no-such-host\.invalid:995 /);
  });

  it('fails, and does not crash, on a port that is none', async () => {
    await failureOf(openPop3Mailbox(pop3Options(70_000)));
  });
});

async function unusedPort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return address !== null && typeof address === 'object' ? address.port : 0;
}

describe('POP3 server that repeats the password', () => {
  const echo = `you said ${password} and ${Buffer.from(`\0x\0${password}`).toString('base64')}`;
  for (const command of ['', 'CAPA', 'USER', 'PASS', 'LIST', 'UIDL', 'RETR', 'DELE']) {
    it(`${command === '' ? 'in its greeting' : `at ${command}`} gets it into no sentence`, async () => {
      const server = await startScriptedServer({
        mails: [Buffer.from('one\r\n')],
        capa: ['UIDL', 'USER'],
        ...(command === '' ? { greeting: `-ERR ${echo}\r\n` } : {}),
        answer: (line) => {
          if (command === '' || !line.startsWith(command)) return undefined;
          return command === 'CAPA' ? `${echo}\r\n` : `-ERR ${echo}\r\n`;
        },
      });
      const sentence = await openAndDrain(pop3Options(server.port)).then(
        ({ answers }) =>
          answers.map((answer) => (answer.kind === 'unavailable' ? answer.sentence : '')).join(),
        (error: unknown) => String(error),
      );
      assert.match(sentence, /you said \*\*\*/);
      assert.ok(!sentence.includes(password.trim()));
      assert.ok(!sentence.includes(Buffer.from(password).toString('base64').slice(0, 10)), sentence);
      await server.stop();
    });
  }
});

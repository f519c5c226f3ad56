import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FailureReason } from '../../../shared/failure/failure.ts';
import type { MailboxOptions } from '../../../shared/mailbox/mailbox.ts';
import { openPop3Mailbox } from '../../../shared/mailbox/pop3/pop3Mailbox.ts';
import { testCertificate } from '../../testbed/certificates.ts';
import { freePorts } from '../../testbed/child.ts';
import { assertFails, failureOf, sentenceIn, timeoutsOf } from '../outcomes.ts';
import type { Script } from './scriptedServer.ts';
import { drained, openAndDrain, password, pop3Options, sources, threeMails, withServer } from './sessions.ts';

const good = await testCertificate();
const otherName = await testCertificate({ names: ['other.test', 'localhost'] });
const expired = await testCertificate({ expired: true });

describe('POP3 security', () => {
  /** What the session fails with, before any credential was sent. */
  const refusal = (script: Script, changes: Partial<MailboxOptions>, reason: FailureReason = 'tls') =>
    withServer(script, async ({ port, commands }) => {
      const { message } = await failureOf(openPop3Mailbox(pop3Options(port, changes)), reason);
      assert.ok(!commands.some((line) => /USER|PASS|AUTH/.test(line)), commands.join(' | '));
      return message;
    });

  it('upgrades by STLS before it asks for capabilities or logs in', () =>
    withServer({ stls: good }, async ({ port, commands }) => {
      const options = pop3Options(port, { security: 'starttls', caCertificate: good.caCertificate });
      const { answers, confirmed } = await openAndDrain(options);
      assert.deepEqual([sources(answers), confirmed], [threeMails, true]);
      assert.deepEqual(commands.slice(0, 4), ['STLS', 'CAPA', 'USER x', `PASS ${password}`]);
    }));

  it('tells what fails behind STLS from the handshake', () =>
    withServer({ stls: good, answer: { PASS: 'fin' } }, async ({ port }) => {
      const options = pop3Options(port, { security: 'starttls', caCertificate: good.caCertificate });
      await assertFails(
        openPop3Mailbox(options),
        'connection-lost',
        /closed the connection during the login/,
      );
    }));

  it('sends no credentials when STLS is refused', async () => {
    assert.match(
      await refusal({}, { security: 'starttls' }),
      /refused STARTTLS, so no login was tried\. Set startTls to false and useSsl to true/,
    );
  });

  it('refuses bytes that come along with the answer to STLS', async () => {
    const answer = { STLS: '+OK\r\n+OK injected\r\n' };
    assert.match(await refusal({ answer }, { security: 'starttls' }), /sent data ahead of the TLS handshake/);
  });

  it('never upgrades in plain mode', async () => {
    const { server } = await drained({ stls: good, capa: ['STLS', 'UIDL', 'USER'] });
    assert.ok(!server.commands.includes('STLS'));
  });

  it('verifies the name in host when another address is given', () =>
    withServer({ tls: good }, async ({ port }) => {
      const { caCertificate } = good;
      const addresses = ['127.0.0.1'];
      const options = pop3Options(port, { host: 'mail.test', addresses, security: 'tls', caCertificate });
      assert.deepEqual(sources((await openAndDrain(options)).answers), threeMails);
      await assertFails(
        openPop3Mailbox({ ...options, host: 'elsewhere.test' }),
        'tls',
        /is for other names \(.*DNS:mail\.test.*\)\. Set host to a name it holds\.$/,
      );
    }));

  for (const security of ['tls', 'starttls'] as const) {
    for (const [what, sentence, certificate, isTrusted] of [
      [
        'that nothing vouches for',
        /is not trusted \(\w+\)\. If its CA is private, put the CA's PEM in caCertificate\.$/,
        good,
        false,
      ],
      ['for another name', /is for other names/, otherName, true],
      ['that has expired', /has expired/, expired, true],
    ] as const) {
      it(`refuses a certificate ${what} (${security})`, async () => {
        const script = { [security === 'tls' ? 'tls' : 'stls']: certificate };
        const trust = isTrusted ? { caCertificate: certificate.caCertificate } : {};
        assert.match(await refusal(script, { security, ...trust }), sentence);
      });
    }
  }

  it('says so when TLS is spoken to a plain port', async () => {
    assert.match(
      await refusal({}, { security: 'tls' }),
      /does not speak TLS there\. Use its SSL port, or set useSsl to false/,
    );
  });

  it('says so when a TLS port is spoken to in the clear', async () => {
    const timeouts = timeoutsOf(100);
    assert.match(
      await refusal({ tls: good }, { timeouts }, 'timeout'),
      /sent no greeting within 100 ms\. If this is its SSL port, set useSsl to true/,
    );
  });
});

describe('POP3 server that cannot be reached', () => {
  for (const security of ['plain', 'tls'] as const) {
    it(`is named when it refuses the connection (${security})`, async () => {
      const [port = 0] = await freePorts(1);
      await assertFails(
        openPop3Mailbox(pop3Options(port, { security })),
        'refused',
        /^POP3 server 127\.0\.0\.1:\d+ refused the connection: .* Check host, port and firewall\.$/,
      );
    });
  }

  it('is named when DNS does not know it', async () => {
    const options = pop3Options(995, { host: 'no-such-host.invalid', security: 'tls' });
    await assertFails(openPop3Mailbox(options), 'unknown-host', /^POP3 server no-such-host\.invalid:995 /);
  });
});

describe('POP3 server that repeats the password', () => {
  const echo = `you said ${password} and ${Buffer.from(`\0x\0${password}`).toString('base64')}\r\n`;
  const errors = ['USER', 'PASS', 'LIST', 'UIDL', 'RETR', 'DELE'].map(
    (command) => [`at ${command}`, { answer: { [command]: `-ERR ${echo}` } }] as const,
  );
  for (const [where, script] of [
    ['in its greeting', { greeting: `-ERR ${echo}` }],
    ['at CAPA', { answer: { CAPA: echo } }],
    ...errors,
  ] as const) {
    it(`${where} gets it into no sentence`, async () => {
      const sentence = await drained({ capa: ['UIDL', 'USER'], ...script }).then(
        ({ answers }) => sentenceIn(answers),
        (error: unknown) => String(error),
      );
      assert.match(sentence, /you said \*\*\*/);
      assert.ok(!sentence.includes(password.trim()));
      assert.ok(!sentence.includes(Buffer.from(password).toString('base64').slice(0, 10)), sentence);
    });
  }
});

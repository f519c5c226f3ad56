import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Failure, type FailureReason } from '../../shared/failure/failure.ts';
import {
  adviceInWords,
  describeNetworkFailure,
  describeTimeout,
  type MailServerContact,
} from '../../shared/mailbox/networkFailure.ts';

const contact: MailServerContact = {
  protocol: 'IMAP',
  host: 'mail.example.com',
  port: 993,
  security: 'tls',
  phase: 'connect',
};
const coded = (code: string, message = code) => Object.assign(new Error(message), { code });

describe('network failure', () => {
  const cases: Record<string, readonly [FailureReason, string]> = {
    ENOTFOUND: ['unknown-host', 'is unknown: DNS has no address for it (ENOTFOUND). Check host.'],
    EAI_AGAIN: [
      'unknown-host',
      'could not be looked up: DNS gave no answer (EAI_AGAIN). Check host and DNS.',
    ],
    ECONNREFUSED: [
      'refused',
      'refused the connection: nothing listens there (ECONNREFUSED). Check host, port and firewall.',
    ],
    EHOSTUNREACH: ['refused', 'is unreachable (EHOSTUNREACH). Check host, port and network.'],
    ETIMEDOUT: ['timeout', 'could not be reached in time. Check host, port and firewall.'],
    UPGRADE_TIMEOUT: [
      'timeout',
      'did not complete the TLS handshake in time. Check that this is its port for SSL.',
    ],
    ERR_SSL_WRONG_VERSION_NUMBER: [
      'tls',
      'does not speak TLS there. Use its SSL port, or set useSsl to false with startTls true, or both false for a plain one.',
    ],
    ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: [
      'tls',
      'offers no TLS version from 1.2 on (ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION). The server must be updated.',
    ],
    'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE': [
      'tls',
      'has no safe TLS in common with this app, or wants a certificate of it (ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE). The server must be updated.',
    ],
  };
  for (const [code, [reason, sentence]] of Object.entries(cases)) {
    it(`by ${code} says what to do`, () => {
      const failure = describeNetworkFailure(coded(code), contact);
      assert.equal(failure.reason, reason);
      assert.equal(failure.message, `IMAP server mail.example.com:993 ${sentence}`);
    });
  }

  for (const code of ['EPROTO', 'ERR_SSL_NO_SHARED_CIPHER', 'ERR_TLS_HANDSHAKE_TIMEOUT']) {
    it(`by ${code} names the handshake`, () => {
      const { reason, message } = describeNetworkFailure(coded(code), contact);
      assert.equal(reason, 'tls');
      assert.equal(
        message,
        `The TLS handshake with IMAP server mail.example.com:993 failed (${code}). Check port, useSsl and startTls.`,
      );
    });
  }

  for (const code of [
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  ]) {
    it(`by ${code} points at caCertificate`, () => {
      const failure = describeNetworkFailure(coded(code), contact);
      assert.equal(failure.reason, 'tls');
      assert.match(failure.message, /is not trusted .* put the CA's PEM in caCertificate\.$/);
    });
  }

  it('names the phase in which the connection was lost', () => {
    const sentences = (['connect', 'tls', 'greeting', 'login', 'session'] as const).map((phase) => {
      const failure = describeNetworkFailure(coded('ECONNRESET'), { ...contact, phase });
      assert.equal(failure.reason, 'connection-lost');
      assert.match(failure.message, /\(ECONNRESET\)/);
      return failure.message;
    });
    assert.equal(new Set(sentences).size, sentences.length);
  });

  it('quotes nothing of a foreign error but a code that is a word', () => {
    const error = coded('hunter2 is the password', 'hunter2');
    assert.doesNotMatch(describeNetworkFailure(error, contact).message, /hunter2/);
  });

  it('gives a Failure back as it is', () => {
    const failure = new Failure('login', 'No.');
    assert.equal(describeNetworkFailure(failure, contact), failure);
  });

  it('points at useSsl when a plain port gives no greeting', () => {
    const plain = { ...contact, security: 'plain', phase: 'greeting' } as const;
    assert.match(
      describeTimeout(plain, 30_000).message,
      /no greeting within 30 s\. If this is its SSL port, set useSsl to true/,
    );
    assert.doesNotMatch(describeTimeout({ ...plain, security: 'tls' }).message, /useSsl/);
  });

  it('points at useSsl where a server asks for encryption, unless there is some', () => {
    const words = 'Please log in by a secure connection';
    assert.match(adviceInWords(words, { ...contact, security: 'plain' }) ?? '', /Set useSsl or startTls/);
    assert.equal(adviceInWords(words, contact), undefined);
  });

  it('by what Node has no code for names the certificate, as one whose key is too small', () => {
    const failure = describeNetworkFailure(coded('UNSPECIFIED', 'EE certificate key too weak'), contact);
    assert.equal(failure.reason, 'tls');
    assert.match(failure.message, /^The TLS certificate of .* is not acceptable \(UNSPECIFIED\)\. Ask/);
  });

  it('points at OAuth2 where Microsoft refuses a password, and only there', () => {
    for (const words of ['LOGIN failed.', 'Logon failure: unknown user name or bad password.']) {
      const atMicrosoft = { ...contact, host: 'outlook.office365.com' };
      assert.match(adviceInWords(words, atMicrosoft) ?? '', /take no passwords: set authType to oauth2\.$/);
      assert.equal(adviceInWords(words, contact), undefined);
      assert.equal(adviceInWords('AUTHENTICATE failed.', atMicrosoft), undefined);
    }
  });

  it('puts an IPv6 address in brackets, so that its port can be told from it', () => {
    const { message } = describeTimeout({ ...contact, host: '2001:db8::1' }, 30_000);
    assert.match(message, /^IMAP server \[2001:db8::1\]:993 could not be reached/);
  });
});

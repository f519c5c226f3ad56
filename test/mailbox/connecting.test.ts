import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import * as tls from 'node:tls';
import { tlsOptions } from '../../shared/mailbox/connecting.ts';
import { defaultTimeouts } from '../../shared/mailbox/mailbox.ts';
import { testCertificate } from '../testbed/certificates.ts';

it('TLS is spoken from 1.2 on, and names the host that it is for, unless that is an address', () => {
  const { servername, minVersion } = tlsOptions('mail.test');
  assert.deepEqual([servername, minVersion], ['mail.test', 'TLSv1.2']);
  assert.equal(tlsOptions('127.0.0.1').servername, undefined);
});

describe('trusted roots', () => {
  it("are the system's and each certificate of caCertificate", async () => {
    const one = (await testCertificate()).caCertificate;
    const other = (await testCertificate({ names: ['other.test'] })).caCertificate;
    const { ca: roots } = tlsOptions('mail.test', `# ours\n${one}\n${other}\n`);
    assert.ok(Array.isArray(roots));
    assert.ok(roots.includes(one) && roots.includes(other));
    assert.ok(tls.rootCertificates.every((root) => roots.includes(root)));
  });

  it("are Node's own without a caCertificate", () => {
    assert.equal(tlsOptions('mail.test', undefined).ca, undefined);
    assert.equal(tlsOptions('mail.test', ' \n').ca, undefined);
  });

  it('refuse what is no PEM certificate', () => {
    const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----';
    for (const text of ['junk', broken]) {
      assert.throws(() => tlsOptions('mail.test', text), {
        reason: 'config',
        message:
          'caCertificate is not valid; it must be one or more certificates in PEM, without a private key.',
      });
    }
  });
});

it('a mail server has the time that the documents name, and its silence ends a run within 150 s', () => {
  const { connectMs, openMs, commandMs } = defaultTimeouts;
  const documents = readFileSync(join(import.meta.dirname, '../../docs/reliability.md'), 'utf8');
  const [connect, open, command] = [connectMs, openMs, commandMs].map((ms) => `${ms / 1000} s`);
  const named = `connecting and logging in to the mail server ${connect} in all; opening the mailbox, and listing it, ${open} each; each other command, and each silence in a mail, ${command};`;
  assert.ok(documents.includes(named), named);
  assert.ok(connectMs + openMs <= 150_000);
});

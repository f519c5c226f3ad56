import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as tls from 'node:tls';
import { trustedRoots } from '../../shared/mailbox/trustedRoots.ts';
import { testCertificate } from '../testbed/certificates.ts';

describe('trusted roots', () => {
  it("are the system's and each certificate of caCertificate", async () => {
    const one = (await testCertificate()).caCertificate;
    const other = (await testCertificate({ names: ['other.test'] })).caCertificate;
    const roots = trustedRoots(`# ours\n${one}\n${other}\n`) ?? [];
    assert.ok(roots.includes(one) && roots.includes(other));
    assert.ok(tls.rootCertificates.every((root) => roots.includes(root)));
  });

  it("are Node's own without a caCertificate", () => {
    assert.equal(trustedRoots(undefined), undefined);
    assert.equal(trustedRoots(' \n'), undefined);
  });

  it('refuse what is no PEM certificate', () => {
    const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----';
    for (const text of ['junk', broken]) {
      assert.throws(() => trustedRoots(text), {
        reason: 'config',
        message:
          'caCertificate is not valid; it must be one or more certificates in PEM, without a private key.',
      });
    }
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCertificates, toPem } from '../../shared/mailbox/pem.ts';
import { caPem } from './caPem.ts';

const body = caPem.replace(/-----[^-]+-----/g, '').trim();
const oneLine = caPem.trim();

test('a certificate is taken however a one-line field or an editor has mangled its line ends', () => {
  const forms = [
    caPem,
    caPem.replaceAll('\n', '\r\n'),
    caPem.replaceAll('\n', '\r'),
    oneLine.replaceAll('\n', ' '),
    oneLine.replaceAll('\n', '\\n'),
    oneLine.replaceAll('\n', '\\r\\n'),
    oneLine.replaceAll('\n', '\u00a0'),
    oneLine.replaceAll(/\s/g, ''),
    `"${oneLine.replaceAll('\n', '\\n')}"`,
    `'${caPem}'`,
    `\ufeff${caPem}`,
    `subject=/CN=ca.example.com\nissuer=/CN=ca.example.com\n${caPem}`,
    `Bag Attributes\n  friendlyName: ca\n${caPem}\ntrailing`,
    caPem.split('\n').join('\n  '),
    caPem.replaceAll('CERTIFICATE', 'X509 CERTIFICATE'),
  ];
  for (const form of forms) {
    const [certificate = '', ...others] = readCertificates(form) ?? [];
    assert.deepEqual([certificate.trim(), others], [oneLine, []], JSON.stringify(form));
  }
});

test('several are taken in their order, and come out as one text that reads the same again', () => {
  const text = toPem(`${oneLine} ${oneLine.replaceAll('\n', '\\n')}`);
  assert.equal(text, caPem + caPem);
  assert.equal(toPem(text), text);
});

test('a list of which one is cut short, no certificate or a key is refused whole', () => {
  const refused = [
    '',
    'ca.example.com',
    body,
    `-----BEGIN CERTIFICATE-----\n${body}`,
    `${caPem}-----BEGIN CERTIFICATE-----\n${body.slice(0, 300)}`,
    caPem.replace(body, body.slice(0, 300)),
    caPem.replace(body, `${body}!`),
    `-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----`,
    `${caPem}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----`,
    `${caPem}-----BEGINRSAPRIVATEKEY-----`,
    caPem.repeat(80),
  ];
  for (const text of refused) assert.equal(readCertificates(text), undefined, text.slice(0, 80));
});

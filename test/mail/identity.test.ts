import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { identityWindowBytes, mailFingerprint } from '../../shared/mail/identity.ts';

const header = [
  'Received: by mx.example.com; Mon, 2 Nov 2026 10:00:01 +0000',
  'From: Anna <anna@example.com>',
  'Subject: An order of\r\n many words',
  'Date: Mon, 2 Nov 2026 10:00:00 +0000',
  'Message-ID: <1@example.com>',
];
const mailOf = (lines: readonly string[], body = 'Subject: no field\r\n') =>
  Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`, 'latin1');
const fingerprint = (lines: readonly string[], body?: string) => mailFingerprint(mailOf(lines, body));
const usual = fingerprint(header);
const changed = (from: string, to: string) => header.map((line) => line.replace(from, to));

describe('the fingerprint of a mail', () => {
  test('is the SHA-256 that this header had from the beginning', () => {
    // Whatever is remembered of delivered mails hangs on it: it must not change.
    assert.equal(usual, '0f4f1c4a68c315189a3535d2259f05079682eb75d5b8f4ff88b0998dc3a6502f');
  });

  test('changes with each of the four fields, by a single byte', () => {
    const others = [
      changed('Anna', 'Hanna'),
      changed('order', 'ordeR'),
      changed('10:00:00', '10:00:02'),
      changed('<1@', '<2@'),
      header.slice(0, -1),
      [...header.slice(0, -1), 'Message-ID:'],
    ];
    assert.equal(new Set([usual, ...others.map((lines) => fingerprint(lines))]).size, others.length + 1);
  });

  test('keeps fields apart: what moves from one to the next makes another mail', () => {
    assert.notEqual(fingerprint(['From: ab', 'Subject: c']), fingerprint(['From: a', 'Subject: bc']));
    assert.notEqual(fingerprint(['From: a']), fingerprint(['Subject: a']));
  });

  test('does not change with other fields, the order of fields, the body or how it is folded', () => {
    const status = ['Status: RO', 'X-UID: 17', 'X-IMAPbase: 1 2', ...header, 'Content-Length: 5'];
    assert.equal(fingerprint(status), usual);
    assert.equal(fingerprint([...header].reverse()), usual);
    assert.equal(fingerprint(header, 'another'), usual);
    assert.equal(fingerprint(changed('of\r\n many', 'of many')), usual);
    assert.equal(fingerprint(changed('Message-ID:', 'MESSAGE-ID :')), usual);
    assert.equal(fingerprint(['From anna@example.com Mon Nov  2 10:00:00 2026', ...header]), usual);
  });

  test('takes the first of several fields', () => {
    assert.equal(fingerprint([...header, 'Subject: second', 'From: <second@example.com>']), usual);
  });

  test('is the same behind a byte order mark and with any line ends', () => {
    const mail = mailOf(header).toString('latin1');
    assert.equal(mailFingerprint(Buffer.from(`\xef\xbb\xbf${mail}`, 'latin1')), usual);
    for (const lineEnd of ['\n', '\r', '\r\r\n'])
      assert.equal(mailFingerprint(Buffer.from(mail.replaceAll('\r\n', lineEnd), 'latin1')), usual);
  });

  test('is the same for the header alone, cut off behind its last line or not', () => {
    const bare = header.join('\r\n');
    for (const end of ['', '\r\n', '\r\n\r\n']) assert.equal(mailFingerprint(Buffer.from(bare + end)), usual);
  });

  test('does not read encoded words, and tells bytes apart that are no UTF-8', () => {
    const one = fingerprint([...header.slice(3), 'Subject: \xe4']);
    assert.notEqual(one, fingerprint([...header.slice(3), 'Subject: \xf6']));
    assert.notEqual(one, fingerprint([...header.slice(3), 'Subject: =?iso-8859-1?Q?=E4?=']));
  });

  test('is the same for the whole mail and for its beginning, wherever the window cuts it', () => {
    const field = fc.record({
      name: fc.constantFrom('From', 'Subject', 'Date', 'Message-ID', 'X-Other'),
      value: fc.string({ unit: fc.constantFrom('a', ' ', '\t', '\r', '\n', '\r\n ', ':', '\xff') }),
    });
    const padding = fc.integer({ min: identityWindowBytes - 200, max: identityWindowBytes + 50 });
    fc.assert(
      fc.property(fc.array(field), padding, fc.nat(300), (fields, length, after) => {
        const lines = fields.map(({ name, value }) => `${name}: ${value}`);
        const mail = mailOf([`X: ${'x'.repeat(length)}`, ...lines], 'y'.repeat(after));
        const whole = mailFingerprint(mail);
        assert.equal(mailFingerprint(mail.subarray(0, identityWindowBytes)), whole);
        assert.equal(mailFingerprint(mail.subarray(0, identityWindowBytes + after)), whole);
      }),
    );
  });

  test('of a mail with none of these fields is that of every such mail', () => {
    assert.equal(mailFingerprint(Buffer.alloc(0)), mailFingerprint(Buffer.from('no mail at all')));
    assert.equal(mailFingerprint(Buffer.alloc(0)), fingerprint(['X: y'], 'Subject: in the body'));
  });
});

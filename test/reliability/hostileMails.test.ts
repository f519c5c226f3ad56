import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { protocols, userOf, usersOf } from '../app/testbed.ts';
import { type ReliabilityBed, startReliabilityBed } from './bed.ts';
import { messagesOf } from './mails.ts';

const maxRssBytes = 256 * 1_048_576;

let bed: ReliabilityBed;
before(async () => {
  bed = await startReliabilityBed({ users: usersOf('hostile') });
});
after(() => bed.stop());

const head = (subject: string) => `From: a@example.com\r\nSubject: ${subject}\r\nMIME-Version: 1.0\r\n`;
const mixed = 'Content-Type: multipart/mixed; boundary=b\r\n\r\n';

/** Mails that break a limit or a rule of MIME, each of which is to arrive as it is. */
const raw: Readonly<Record<string, string>> = {
  '10,000 parts': `${mixed}${'--b\r\nContent-Type: text/plain\r\n\r\nx\r\n'.repeat(10_000)}--b--\r\n`,
  '10,000 multiparts in each other': Array.from(
    { length: 10_000 },
    (_, depth) => `Content-Type: multipart/mixed; boundary=b${depth}\r\n\r\n--b${depth}\r\n`,
  ).join(''),
  'a header of 2 MB': `X-Long: ${'x'.repeat(2_000_000)}\r\n\r\nbody\r\n`,
  '100,000 header lines': `${'X: y\r\n'.repeat(100_000)}\r\nbody\r\n`,
  '100,000 recipients': `To: ${Array.from({ length: 100_000 }, (_, n) => `user${n}@example.com`).join(',\r\n ')}\r\n\r\nbody\r\n`,
  'a multipart without a boundary': 'Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\nlost\r\n--b--\r\n',
  'base64 that is none': 'Content-Transfer-Encoding: base64\r\n\r\n!!!!!\r\n',
};

/** Mails that are taken apart all the same: nothing of them is silently empty. */
const split: Readonly<Record<string, string>> = {
  '5 MB of unclosed tags': `Content-Type: text/html\r\n\r\n${'<b><div><table>\r\n'.repeat(300_000)}`,
  'a date in the year 99999': 'Date: Mon, 1 Jan 99999 00:00:00 +0000\r\n\r\nbody\r\n',
  'a file name with a path, line ends and NUL': `${mixed}--b\r\nContent-Type: application/pdf; name*=utf-8''..%2F..%2Fetc%2Fx%0D%0AInjected%3A%20y%00.pdf\r\nContent-Disposition: attachment; filename*=utf-8''..%2F..%2Fetc%2Fx%0D%0AInjected%3A%20y%00.pdf\r\n\r\nPDF\r\n--b--\r\n`,
  '30 MB of attachment': `${mixed}--b\r\nContent-Type: application/zip; name=bomb.zip\r\nContent-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\n${`${'A'.repeat(76)}\r\n`.repeat(400_000)}--b--\r\n`,
};

const plain = Array.from({ length: 10 }, (_, index) => `plain ${index}`);

function mailbox(): Buffer[] {
  const hostile = [...Object.entries(raw), ...Object.entries(split)].map(([subject, rest]) =>
    Buffer.from(head(subject) + rest),
  );
  return [...hostile, ...plain.map((subject) => Buffer.from(`${head(subject)}\r\nBody\r\n`))];
}

for (const protocol of protocols) {
  test(`${protocol}: hostile mails arrive as they are, those behind them too, within 256 MB`, async () => {
    const name = userOf('hostile', protocol);
    await bed.withChild(async (child) => {
      const mails = mailbox();
      await bed.addMailbox(name, protocol, mails);
      await bed.order(name);
      await child.drainQueue();
      const state = await bed.state(name);
      assert.equal(state.lastError, '');
      assert.equal(state.lastMailCount, mails.length);

      const bySubject = Map.groupBy(messagesOf(bed, name), (message) =>
        String(message.applicationProperties?.emailSubject),
      );
      for (const subject of Object.keys(raw)) {
        const [only, ...others] = bySubject.get(subject) ?? [];
        assert.equal(only?.subject, 'raw', subject);
        assert.equal(only?.contentType, 'message/rfc822');
        assert.equal(others.length, 0);
        const source = mails.find((mail) => mail.includes(`Subject: ${subject}\r\n`));
        assert.equal(only?.applicationProperties?.size, source?.length, subject);
      }
      for (const subject of Object.keys(split)) {
        const parts = bySubject.get(subject) ?? [];
        assert.ok(parts.length > 0, subject);
        for (const { applicationProperties, subject: kind } of parts) {
          assert.notEqual(kind, 'raw', subject);
          assert.ok(Number(applicationProperties?.size) > 0, subject);
          assert.match(String(applicationProperties?.inboundFileName), /^[^/\\\r\n\0]{1,255}$/);
        }
      }
      for (const subject of plain) assert.equal(bySubject.get(subject)?.length, 1, subject);
      const warnings = child.logs.filter(({ level }) => level === 'warning');
      assert.ok(warnings.length > 0 && warnings.length < 20, `${warnings.length} warnings`);
      const usage = await child.usage();
      assert.ok(usage.maxRssBytes < maxRssBytes, `${Math.round(usage.maxRssBytes / 1_048_576)} MB`);
    });
  });
}

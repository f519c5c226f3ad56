import { createHash } from 'node:crypto';
import { between, entity, type Random } from '../mail/build.ts';
import { attached, mixedMail } from '../reliability/mails.ts';

/** A mail whose parts are known: `parts` holds the SHA-256 of each, in order. */
export interface TortureMail {
  /** No other mail has it. */
  readonly subject: string;
  readonly source: Buffer;
  readonly parts: readonly string[];
}

/** Mostly small, some large, a few that go by claim check or are streamed. */
export function tortureMail(random: Random, mailbox: string, index: number): TortureMail {
  const subject = `${mailbox} ${index}`;
  const body = Array.from({ length: between(random, 1, 30) }, (_, line) => `Line ${line} of ${subject}`);
  const attachments = Array.from({ length: between(random, 0, 2) }, (_, number) =>
    Buffer.alloc(attachmentBytes(random), `${subject} attachment ${number} `),
  );
  const fields = `From: sender@example.com\r\nSubject: ${subject}\r\nMessage-ID: <${index}@${mailbox}.example.com>`;
  const source = mixedMail(`${fields}\r\nMIME-Version: 1.0`, [
    entity('Content-Type: text/plain; charset=utf-8', body.join('\r\n')),
    ...attachments.map((bytes, number) => attached('application/octet-stream', `${number}.bin`, bytes)),
  ]);
  return {
    subject,
    source,
    parts: [Buffer.from(body.join('\n')), ...attachments].map((bytes) =>
      createHash('sha256').update(bytes).digest('hex'),
    ),
  };
}

function attachmentBytes(random: Random): number {
  const kind = random();
  if (kind < 0.003) return 3_000_000;
  if (kind < 0.008) return 1_500_000;
  if (kind < 0.03) return between(random, 100_000, 300_000);
  return between(random, 100, 20_000);
}
